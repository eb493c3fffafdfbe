-- name: ensure_limit
-- The first row; a second call changes nothing.
insert into money_limit (tps, shares, set_by, reason)
values (%(tps)s, %(shares)s, %(actor)s, 'first value, from the settings')
on conflict (only_row) do nothing

-- name: get_limit
-- With the numbers of the leased shares.
select tps, shares, set_by, set_at, reason, until, tps_afterwards,
       array(select share::int from live_share where share < shares) as leased
from money_limit

-- name: limit_in_force
-- The same, read only: a temporary figure whose time is over counts no more, also where nobody has written that yet.
select case when over then tps_afterwards else tps end as tps, shares, set_by,
       case when over then until else set_at end as set_at,
       case when over then 'the temporary limit is over' else reason end as reason,
       case when not over then until end as until, case when not over then tps_afterwards end as tps_afterwards,
       array(select share::int from live_share where share < shares) as leased
from money_limit, lateral (select coalesce(until <= clock_timestamp(), false) as over) as time

-- name: lock_limit
select tps, tps_afterwards, set_by from money_limit for update

-- name: lock_limit_that_is_over
select tps, tps_afterwards, set_by from money_limit where until <= clock_timestamp() for update

-- name: set_limit
update money_limit
set tps = %(tps)s, set_by = %(actor)s, set_at = clock_timestamp(), reason = %(reason)s, until = %(until)s,
    tps_afterwards = %(tps_afterwards)s

-- name: list_limit_changes
-- Changes of the limit as the audit log has them, the latest first, before a row of it; what is no figure is null.
select audit_no, occurred_at as at, login, actor,
       case when detail->>'tps' ~ '^[0-9]{1,9}$' then (detail->>'tps')::int end as tps,
       case when detail->>'tps_before' ~ '^[0-9]{1,9}$' then (detail->>'tps_before')::int end as tps_before,
       detail->>'reason' as reason, detail->>'until' as until,
       case when detail->>'tps_afterwards' ~ '^[0-9]{1,9}$' then (detail->>'tps_afterwards')::int end as tps_afterwards
from audit_event
where action = 'tps.set' and (%(before_no)s::bigint is null or audit_no < %(before_no)s)
  and (%(since)s::timestamptz is null or occurred_at >= %(since)s)
order by audit_no desc limit %(rows_max)s
