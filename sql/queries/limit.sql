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

-- name: lock_limit
select tps, tps_afterwards, set_by from money_limit for update

-- name: lock_limit_that_is_over
select tps, tps_afterwards, set_by from money_limit where until <= clock_timestamp() for update

-- name: set_limit
update money_limit
set tps = %(tps)s, set_by = %(actor)s, set_at = clock_timestamp(), reason = %(reason)s, until = %(until)s,
    tps_afterwards = %(tps_afterwards)s
