-- name: count_campaigns
-- By the state that each shows.
select case when c.withdrawn_at is not null then 'WITHDRAWN' else coalesce(r.state::text, 'WAITING') end as state,
       count(*) as campaigns
from campaign c
left join (select distinct on (campaign_id) campaign_id, state from campaign_run
           order by campaign_id, run_no desc) r using (campaign_id)
group by 1

-- name: list_shown_campaigns
-- Those that a figure names: the one that runs, and those whose latest run ended a short time ago; the latest first.
select campaign_id from campaign_run
where finished_at is null or finished_at > clock_timestamp() - %(days)s * interval '1 day'
group by campaign_id order by bool_or(state = 'RUNNING') desc, max(started_at) desc limit %(campaigns_max)s

-- name: sum_counters
-- Payments and points of these campaigns; a kind of failure that none has is not there.
select campaign_id, state::text, failure_kind::text, sum(count)::bigint as payments, sum(amount)::bigint as points
from campaign_counter where campaign_id = any(%(campaign_ids)s)
group by 1, 2, 3 order by 1, 2, 3

-- name: count_unknown
-- Over all campaigns that are not archived.
select coalesce(sum(k.count), 0)::bigint from campaign_counter k
where k.failure_kind = 'UNKNOWN' and not exists (select from campaign_archive a where a.campaign_id = k.campaign_id)

-- name: list_driver_leases
-- Of the run that says RUNNING: until when its driver is certainly alive.
select campaign_id, driver_until from campaign_run where state = 'RUNNING'

-- name: list_share_conditions
-- rate: what the money API lets through of the share, null: all. open: it answers nothing usable, and the share only
-- probes it.
select s.share, coalesce(s.leased_until > clock_timestamp(), false) as leased,
       (s.pressure->>'rate')::float8 as rate, s.pressure->>'open_since' is not null as open
from money_share s, money_limit l where s.share < l.shares order by s.share

-- name: count_outbox
-- What waits for Kafka, and since when; what it refuses.
select (select count(*) from outbox_event where published_at is null and parked_at is null) as waiting,
       (select min(occurred_at) from outbox_event where published_at is null and parked_at is null) as oldest_waiting,
       (select count(*) from outbox_event where parked_at is not null) as parked

-- name: count_partitions
-- Tables of payments and of attempts.
select count(*) from pg_inherits where inhparent in ('payment'::regclass, 'payment_attempt'::regclass)
