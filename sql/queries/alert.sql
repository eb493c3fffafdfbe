-- name: find_alerts
-- What needs a person while a campaign runs, each with a key that stays the same as long as the trouble is the same.
with running as (
    -- Not from campaign_overview, which would look for the latest run of every campaign.
    select r.run_id, r.campaign_id, c.name, r.started_at, r.driver_until,
           r.driver_until <= clock_timestamp() as abandoned
    from campaign_run r join campaign c using (campaign_id) where r.state = 'RUNNING'
), standing as (
    -- since: the first sample with the present number of ended payments, after the last one with another number or a
    -- limit of 0. Null where payments ended after the latest sample: only what samples prove counts.
    select r.*, (
        select min(p.sampled_at) from campaign_progress p
        where p.run_id = r.run_id and p.sampled_at > coalesce(other.last_at, '-infinity')) as since
    from running r
    join campaign_count k using (campaign_id)
    cross join lateral (
        select max(p.sampled_at) as last_at from campaign_progress p
        where p.run_id = r.run_id and (p.success + p.failed <> k.success + k.failed or p.tps = 0)) other
)
select 'DRIVER_GONE' as kind, concat_ws(' ', 'run', run_id, 'lease', extract(epoch from driver_until)) as key,
       campaign_id, name, driver_until as since, null as who, null as why, null::timestamptz as until
from running where abandoned
union all
select 'ON_HOLD', concat_ws(' ', 'run', run_id, 'limit', extract(epoch from l.set_at)),
       campaign_id, name, l.set_at, l.set_by, l.reason, l.until
from running, money_limit l
where l.tps = 0 and (l.until is null or l.until > clock_timestamp())
  and greatest(l.set_at, started_at) <= clock_timestamp() - %(hold_s_max)s * interval '1 s'
union all
select 'STANDSTILL', concat_ws(' ', 'run', run_id, 'since', extract(epoch from since)),
       campaign_id, name, since, null, null, null
from standing, money_limit l
where l.tps > 0 and not abandoned and since <= clock_timestamp() - %(standstill_s_max)s * interval '1 s'
union all
select 'PARKED', 'event ' || e.event_id,
       e.campaign_id, coalesce(c.name, 'deployment'), e.parked_at, null, e.trouble, null
from outbox_event e left join campaign c using (campaign_id) where e.parked_at is not null
