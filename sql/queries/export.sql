-- name: export_payments
-- A campaign's payments in the order of its list, all or only FAILED ones. A payment has the moment of its claim, which
-- comes seconds before the call where the limit is low: its first call says when that really left. A worker that died
-- took its record of the call with it; then the claim is all there is.
select p.campaign_id, p.member_id, p.amount, p.reason, p.state::text, p.transaction_id, p.failure_kind::text,
       p.failure_code, p.failure_message, p.tries as attempts,
       coalesce(a.first_sent_at, p.first_sent_at) as first_sent_at, p.finished_at,
       h.settled_by as settled_by_hand
from payment p
left join settled_by_hand h using (campaign_id, seq)
left join (
    select seq, min(sent_at) as first_sent_at from payment_attempt
    where campaign_id = %(campaign_id)s and method = 'POST' group by seq
) a using (seq)
where p.campaign_id = %(campaign_id)s and (not %(failed_only)s or p.state = 'FAILED')
order by p.seq

-- name: report_failures
-- FAILED payments and their points by kind and code, the most frequent first. The money API chooses its codes, so there
-- may be many.
select failure_kind::text as kind, failure_code as code, count(*)::bigint as count, sum(amount)::bigint as amount
from payment where campaign_id = %(campaign_id)s and state = 'FAILED'
group by 1, 2 order by 3 desc, 1, 2 limit %(rows_max)s

-- name: report_runs
-- A campaign's runs, the first one first. done_before: payments that had ended when the run began; done_after: when the
-- next one began, or by now. So a result that came in late is counted in its run, and the runs add up to the payments.
select r.run_no, r.kind::text, r.state::text, coalesce(r.reason, r.halt) as reason, r.actor,
       r.started_at, r.finished_at, r.done_before,
       coalesce(lead(r.done_before + r.reopened) over (order by r.run_no), c.success + c.failed) as done_after
from campaign_run r join campaign_count c using (campaign_id)
where r.campaign_id = %(campaign_id)s order by r.run_no

-- name: report_samples
-- Samples of a campaign's runs, at even distances, and the last one of each run.
select run_no, sampled_at as at, done, tps from (
    select r.run_no, p.sampled_at, p.success + p.failed as done, p.tps,
           row_number() over (order by r.run_no, p.sampled_at) - 1 as position, count(*) over () as samples,
           lead(p.run_id) over (partition by p.run_id order by p.sampled_at) is null as last
    from campaign_run r join campaign_progress p using (run_id)
    where r.campaign_id = %(campaign_id)s
) numbered
where last or position %% greatest(1, (samples + %(samples_max)s - 1) / %(samples_max)s) = 0
order by run_no, sampled_at

-- name: report_amount_range
select min(amount) as lowest, max(amount) as highest from payment where campaign_id = %(campaign_id)s

-- name: report_amounts
-- How many payments have an amount from edge number i to below the next one, by how they ended.
select width_bucket(amount, %(edges)s::bigint[]) - 1 as edge,
       count(*) filter (where state = 'SUCCESS') as success,
       count(*) filter (where state = 'FAILED' and failure_kind <> 'UNKNOWN') as failed,
       count(*) filter (where failure_kind = 'UNKNOWN') as unknown,
       count(*) filter (where state = 'PENDING') as open, count(*) filter (where state = 'PROCESSING') as processing
from payment where campaign_id = %(campaign_id)s
group by 1 order by 1
