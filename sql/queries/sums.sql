-- name: sum_kinds
-- What FAILED, by kind, from the counters.
select failure_kind::text as kind, count, amount from campaign_failed_count
where campaign_id = %(campaign_id)s and count > 0 order by failure_kind

-- name: sum_reasons
-- By reason, those with the most points first. Each payment may have a reason of its own.
select reason,
-- include: sums_by_outcome
from payment where campaign_id = %(campaign_id)s
group by reason order by sum(amount) desc, reason limit %(rows_max)s

-- name: finished_between
-- When the first and the last payment of a campaign ended; null where none has.
select min(finished_at) as first, max(finished_at) as last from payment
where campaign_id = %(campaign_id)s and state in ('SUCCESS', 'FAILED')

-- name: sum_days
-- Payments that ended, by day: day i begins at starts[i] and ends before starts[i + 1]. One scan of one campaign.
select width_bucket(finished_at, %(starts)s::timestamptz[]) - 1 as day_no,
-- include: sums_by_outcome
from payment
where campaign_id = %(campaign_id)s and state in ('SUCCESS', 'FAILED')
  and finished_at >= %(begin)s and finished_at < %(end)s
group by 1 order by 1

-- name: month_campaigns
-- The campaigns of which payments may have ended between two moments: a run touched them, or something was done to the
-- campaign, as a look-up of what is UNKNOWN. An answer that a dead job left may be recorded a little after its run.
-- Nothing here opens a campaign's payments.
with ran as (
    select campaign_id, count(*) filter (where finished_at is null or finished_at >= %(begin)s) as runs
    from campaign_run
    where started_at < %(end)s and (finished_at is null or finished_at + interval '1 day' >= %(begin)s)
    group by 1
), changed as (
    select distinct campaign_id from audit_event
    where occurred_at >= %(begin)s and occurred_at < %(end)s and action not in ('export', 'find')
)
select c.campaign_id, c.name, c.state, coalesce(r.runs, 0) as runs, c.target_count, c.target_amount,
       k.pending + k.processing as open, k.pending_amount + k.processing_amount as open_amount,
       k.processing, k.processing_amount, c.archived_at is not null as archived
from campaign_overview c join campaign_count k using (campaign_id) left join ran r using (campaign_id)
where c.frozen_at is not null
  and (r.campaign_id is not null or c.campaign_id in (select campaign_id from changed))
order by c.campaign_id

-- name: month_reasons
-- What became SUCCESS between two moments, by reason. One scan of one campaign.
select reason, count(*) as count, sum(amount)::bigint as amount from payment
where campaign_id = %(campaign_id)s and state = 'SUCCESS' and finished_at >= %(begin)s and finished_at < %(end)s
group by reason order by reason
