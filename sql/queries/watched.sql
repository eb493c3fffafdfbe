-- name: page_of_campaigns
-- Campaigns for a list in a browser, newest first, below %(before)s: those of some states, or all; those with a text
-- in their name, or this number. Rows are read until there are enough, which `offset 0` enforces: by what a state seems
-- to be worth, all of them would be read and sorted.
select
-- include: campaign_with_run
from (
    select campaign_id as id from campaign
    where campaign_id < %(before)s
      and (%(text)s::text is null or campaign_id = %(number)s or position(lower(%(text)s) in lower(name)) > 0)
    order by campaign_id desc offset 0
) newest
cross join lateral (select * from campaign_overview where campaign_id = newest.id offset 0) o
where %(states)s::text[] is null or state = any(%(states)s)
order by newest.id desc limit %(rows_max)s

-- name: head_of_queue
-- The first campaigns that wait, oldest first, and how many wait in all.
select campaign_id, not_before is null or not_before <= clock_timestamp() as due,
       (select count(*) from campaign where frozen_at is null and withdrawn_at is null) as waiting
from campaign
where frozen_at is null and withdrawn_at is null
order by campaign_id limit %(rows_max)s

-- name: count_latest_calls
-- What the latest %(calls_max)s calls of a campaign came to. Their ids are in order of time.
select method, outcome, http_status, code, count(*) as count, max(sent_at) as latest
from (select method, outcome, http_status, code, sent_at from payment_attempt
      where campaign_id = %(campaign_id)s order by attempt_id desc limit %(calls_max)s) latest
group by 1, 2, 3, 4 order by 5 desc, 1, 2, 3, 4 limit %(rows_max)s

-- name: shares_at_work
-- The shares of the limit, those of a run first in order; what the money API lets each of them send, and heard it say.
select s.share, coalesce(s.run_id = %(run_id)s and s.leased_until > clock_timestamp(), false) as leased,
       l.tps / l.shares + (s.share < mod(l.tps, l.shares))::int as permits,
       (s.pressure->>'rate')::float8 as slowed_to,
       to_timestamp((s.pressure->>'open_since')::float8) as open_since,
       case when (s.heard->>'asked_until')::float8 > extract(epoch from clock_timestamp())
            then to_timestamp((s.heard->>'asked_until')::float8) end as asked_until,
       s.heard->>'outcome' as trouble, s.heard->>'code' as code
from money_share s cross join money_limit l
where s.share < l.shares order by s.share limit %(rows_max)s

-- name: recent_history
-- The latest of what happened to a campaign, newest first, with the changes of the limit during its runs; without those
-- who only looked.
select audit_no, occurred_at, login, os_user, host, actor, action, campaign_id, run_no, detail, hash
from (
    (select * from audit_event where campaign_id = %(campaign_id)s and action not in ('find', 'list', 'preview')
     order by audit_no desc limit %(rows_max)s)
    union all
    (select a.* from audit_event a
     where a.campaign_id is null and a.action = 'tps.set' and exists (
         select from campaign_run r where r.campaign_id = %(campaign_id)s
            and a.occurred_at between r.started_at and coalesce(r.finished_at, 'infinity'))
     order by a.audit_no desc limit %(rows_max)s)
) latest
order by audit_no desc limit %(rows_max)s

-- name: walk_payments
-- Payments that are wanted among those numbered above %(after)s and up to %(up_to)s, in order; no more than that part
-- is read, however rare they are. An index on state would make every payment slower.
select seq, member_id, amount, reason, state::text, failure_kind::text, failure_code, failure_message, transaction_id,
       tries, maybe_credited, first_sent_at, next_try_at, finished_at
from payment
where campaign_id = %(campaign_id)s and seq > %(after)s and seq <= %(up_to)s
  and (%(state)s::payment_state is null or state = %(state)s::payment_state)
  and (%(kinds)s::failure_kind[] is null or failure_kind = any(%(kinds)s::failure_kind[]))
  and (%(code)s::text is null or failure_code = %(code)s)
order by seq limit %(rows_max)s

-- name: member_numbered
select member_id from payment where campaign_id = %(campaign_id)s and seq = %(seq)s

-- name: number_of_member
select seq from payment where campaign_id = %(campaign_id)s and member_id = %(member_id)s

-- name: may_write
-- Whether this login may stop a run: what a group role gives, beside which no right is needed.
select has_column_privilege('campaign_run', 'stop_asked_at', 'update')

-- name: open_run_requests
-- Every run that was asked for and is not made yet, the oldest first.
select q.campaign_id, c.name, q.kind::text, q.actor, q.requested_at
from run_request q join campaign c using (campaign_id)
where q.state in ('WAITING', 'TAKEN')
  and (q.alive_until > clock_timestamp() or q.valid_until > clock_timestamp())
order by q.requested_at limit %(rows_max)s
