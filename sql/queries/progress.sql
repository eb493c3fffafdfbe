-- name: sample_progress
-- One look at a campaign: its latest run, its counts, the limit. Nothing is counted before the freeze.
select clock_timestamp() as at, o.state, o.run_no, o.run_reason,
       coalesce(o.target_count, o.expected_count) as total,
       coalesce(c.processing, 0) as processing, coalesce(c.success, 0) as success, coalesce(c.failed, 0) as failed,
       coalesce(c.unknown, 0) as unknown, coalesce(c.success_amount, 0) as success_amount,
       coalesce(c.failed_amount, 0) as failed_amount, coalesce(c.unknown_amount, 0) as unknown_amount,
       l.tps, l.reason as tps_reason, l.until as tps_until, m.slowed_to, m.out_since,
       o.driver_is_gone, o.run_waiting, o.stopping, coalesce(r.done_before, 0) as done_before
from campaign_overview o
left join campaign_run r using (run_id)
left join campaign_count c on c.campaign_id = o.campaign_id
left join money_limit l on true
left join lateral (
    -- What the money API lets through of the limit, by the shares that it slows; and since when it answers nothing. Of
    -- this run: what slowed an earlier one counts once a share of this run is slowed too.
    select sum(coalesce((s.pressure->>'rate')::float8,
                        l.tps / l.shares + (s.share < mod(l.tps, l.shares))::int))::int as slowed_to,
           to_timestamp(min((s.pressure->>'trouble_since')::float8)
                        filter (where s.pressure->>'open_since' is not null)) as out_since
    from live_share s where o.state = 'RUNNING' and s.run_id = o.run_id having count(s.pressure) > 0
) m on true
where o.campaign_id = %(campaign_id)s

-- name: count_failed
-- FAILED payments and their points by kind and code, whether the selection includes them, whether they had their
-- maximum of RETRY runs, and whether they are too old to be sent again. One scan.
select failure_kind::text as kind, failure_code as code, count(*)::bigint as count, sum(amount)::bigint as amount,
       failure_kind = any(%(kinds)s::failure_kind[]) and (%(code)s::text is null or failure_code = %(code)s) as chosen,
       %(retry_runs_max)s::int is not null and retry_runs >= %(retry_runs_max)s as spent,
       %(send_again_s_max)s::float8 is not null
           and first_sent_at <= clock_timestamp() - %(send_again_s_max)s::float8 * interval '1 s' as too_old
from payment where campaign_id = %(campaign_id)s and state = 'FAILED'
group by 1, 2, 5, 6, 7 order by 3 desc, 1, 2, 7

-- name: keep_progress
-- A sample of a run, for its graph afterwards.
insert into campaign_progress (run_id, pending, processing, success, failed, tps)
select r.run_id, c.pending, c.processing, c.success, c.failed, l.tps
from campaign_run r join campaign_count c using (campaign_id) join money_limit l on true
where r.run_id = %(run_id)s

-- name: summarize_run
-- How a run ended. done_before: what earlier runs had ended.
select o.campaign_id, o.name, r.run_no, r.kind::text, r.state::text, shown_reason(coalesce(r.reason, r.halt)) as reason,
       r.started_at, r.finished_at,
       c.pending + c.processing as open, c.processing, c.success, c.failed, c.unknown,
       (select coalesce(sum(f.count), 0)::bigint from campaign_failed_count f
        where f.campaign_id = r.campaign_id and f.failure_kind <> all(%(retried_kinds)s::failure_kind[])) as refused,
       c.pending_amount + c.processing_amount as open_amount, c.processing_amount, c.success_amount, c.failed_amount,
       c.unknown_amount,
       r.done_before,
       (select json_object_agg(kind, coalesce(f.count, 0) order by kind)
        from unnest(enum_range(null::failure_kind)) as kind
        left join campaign_failed_count f on f.campaign_id = r.campaign_id and f.failure_kind = kind) as failure_kinds
from campaign_run r
join campaign o using (campaign_id)
join campaign_count c using (campaign_id)
where r.run_id = %(run_id)s

-- name: count_results
-- Results of a campaign so far, for the guard against wholesale failure. A mismatch halts the run by itself.
select clock_timestamp() as at, c.success,
       (select coalesce(sum(f.count), 0)::bigint from campaign_failed_count f
        where f.campaign_id = c.campaign_id and f.failure_kind = 'REJECTED') as rejected,
       (select coalesce(sum(f.count), 0)::bigint from campaign_failed_count f
        where f.campaign_id = c.campaign_id and f.failure_kind in ('UNAVAILABLE', 'UNKNOWN')) as unresolved
from campaign_count c where c.campaign_id = %(campaign_id)s

-- name: commonest_failure
-- The kind and code with which most payments have FAILED since %(since)s. One scan of the campaign.
select failure_kind::text as kind, failure_code as code
from payment
where campaign_id = %(campaign_id)s and state = 'FAILED' and finished_at >= %(since)s
group by 1, 2 order by count(*) desc, 1, 2 limit 1

-- name: commonest_codes
-- The commonest codes of each kind of failure, the commonest first. One scan of the campaign.
select kind::text, array_agg(code order by count desc, code) as codes from (
    select failure_kind as kind, failure_code as code, count(*) as count,
           row_number() over (partition by failure_kind order by count(*) desc, failure_code) as rank
    from payment
    where campaign_id = %(campaign_id)s and state = 'FAILED' and failure_code is not null group by 1, 2) counted
where rank <= %(most)s group by kind

-- name: last_call
-- When the latest call of a campaign left. Attempt ids are made in order of time, before sending, so it is among the
-- last thousand of them, for every size of campaign.
select max(sent_at) from (
    select sent_at from payment_attempt where campaign_id = %(campaign_id)s order by attempt_id desc limit 1000
) latest

-- name: run_id_of_number
select run_id from campaign_run where campaign_id = %(campaign_id)s and run_no = %(run_no)s

-- name: recent_figures
-- A run's samples of its last %(seconds)s seconds, oldest first.
select extract(epoch from sampled_at)::float8 as at_s, success + failed as done, tps
from campaign_progress p
where run_id = %(run_id)s
  and sampled_at >= (select max(sampled_at) from campaign_progress where run_id = %(run_id)s)
                    - %(seconds)s * interval '1 s'
order by sampled_at

-- name: done_before_of_run
select done_before from campaign_run where run_id = %(run_id)s

-- name: quarter_published
-- The last quarter of a campaign that was published, in percent; 0 for none.
select coalesce(max((data->>'percent')::int), 0) from outbox_event
where campaign_id = %(campaign_id)s and type = 'campaign.progressed'
