-- name: sample_progress
-- One look at a campaign: its latest run, its counts, the limit. Counts are null before the freeze.
select clock_timestamp(), o.state, o.run, o.run_reason, coalesce(o.target_count, o.expected_count),
       c.processing, c.success, c.failed, c.failed_unknown, c.success_amount, c.failed_amount,
       l.tps, l.reason, l.until
from campaign_overview o
left join campaign_count c using (campaign_id)
left join money_limit l on true
where o.campaign_id = %(campaign_id)s

-- name: keep_progress
-- A sample of a run, for its graph afterwards.
insert into campaign_progress (run_id, pending, processing, success, failed, tps)
select r.run_id, c.pending, c.processing, c.success, c.failed, l.tps
from campaign_run r join campaign_count c using (campaign_id) join money_limit l on true
where r.run_id = %(run_id)s
