-- name: list_ended_troubles
-- Campaigns whose last run ended and left something for a person, by the counters: no payment is read. Without those of
-- which somebody has said that they stay as they are, until another run begins. The campaigns of which that may be so
-- are found first, by two small indexes; `offset 0` keeps the planner from counting all others too.
with candidate as (
    select campaign_id from campaign_run where state in ('FAILED', 'STOPPED')
    union
    select campaign_id from campaign_counter where failure_kind = 'UNKNOWN' group by campaign_id having sum(count) > 0
)
select o.campaign_id, o.name, o.state, o.run_reason as reason, o.run_finished_at as since,
       extract(epoch from clock_timestamp() - o.run_finished_at)::float8 as age_s,
       c.pending + c.processing as open, c.processing, c.failed - c.unknown as not_paid, c.unknown
from candidate
cross join lateral (select * from campaign_overview o where o.campaign_id = candidate.campaign_id offset 0) o
cross join lateral (select * from campaign_count c where c.campaign_id = o.campaign_id offset 0) c
where o.state in ('COMPLETED', 'FAILED', 'STOPPED') and o.archived_at is null
  and (c.unknown > 0
       or o.state <> 'COMPLETED' and c.pending + c.processing > 0
       or o.state = 'FAILED' and c.failed > c.unknown)
  and not exists (
      select from audit_event a
      where a.campaign_id = o.campaign_id and a.run_no = o.run_no and a.action = 'acknowledge')
order by o.campaign_id

-- name: is_acknowledged
-- Whether somebody has said that what this run left stays as it is.
select exists (
    select from audit_event where campaign_id = %(campaign_id)s and run_no = %(run_no)s and action = 'acknowledge')

-- name: list_waiting_campaigns
-- What waits to be started, with the seconds since it was created, and since it was due and there.
select campaign_id, name, creator_login::text, created_at, not_before, approved_at is not null as approved,
       extract(epoch from clock_timestamp() - created_at)::float8 as age_s,
       extract(epoch from clock_timestamp()
                          - case when not_before < created_at then created_at else not_before end)::float8 as late_s
from campaign_overview
where state = 'WAITING' and frozen_at is null and withdrawn_at is null
order by campaign_id

-- name: list_unaccepted_findings
-- Campaigns that wait, and whose list, as it was judged last, has findings at stake that nobody has accepted.
select o.campaign_id, o.name, j.judged_at as since, string_agg(f.finding, ', ' order by f.finding) as findings,
       extract(epoch from clock_timestamp() - j.judged_at)::float8 as age_s
from campaign_overview o
join lateral (
    select l.digest, l.judged_at from judged_list l where l.campaign_id = o.campaign_id
    order by l.judged_at desc limit 1) j on true
join campaign_finding f on f.campaign_id = o.campaign_id and f.digest = j.digest
where o.state = 'WAITING' and o.frozen_at is null and o.withdrawn_at is null and f.at_stake and f.accepted_by is null
group by o.campaign_id, o.name, j.judged_at order by o.campaign_id

-- name: list_starts_not_taken
-- The latest run of each campaign that was asked for and was not made: its program is gone, or no job has taken it. One
-- that was left to an agent may wait for what runs, where an agent is alive.
select distinct on (q.campaign_id) q.campaign_id, c.name, q.kind::text, q.actor, q.requested_at as since,
       extract(epoch from clock_timestamp() - q.requested_at)::float8 as age_s,
       q.valid_until is not null and a.agents = 0 as agent_missing
from run_request q join campaign c using (campaign_id),
     (select count(*) as agents from agent where alive_until > clock_timestamp()) a
where q.state in ('WAITING', 'TAKEN') and c.withdrawn_at is null
  and q.requested_at <= clock_timestamp() - %(start_s_max)s * interval '1 s'
  and (q.state = 'WAITING' or q.alive_until <= clock_timestamp())
  and (q.valid_until is null
       or q.valid_until > clock_timestamp()
          and (a.agents = 0 or not exists (select from campaign_run r where r.state = 'RUNNING')))
  and not exists (
      select from campaign_run r where r.campaign_id = q.campaign_id and r.started_at >= q.requested_at)
order by q.campaign_id, q.requested_at desc

-- name: find_idle_hold
-- A limit of 0 that nobody needs now, because nothing runs.
select l.set_at as since, l.set_by as who, l.reason as why from money_limit l
where l.tps = 0 and (l.until is null or l.until > clock_timestamp())
  and l.set_at <= clock_timestamp() - %(idle_hold_s_max)s * interval '1 s'
  and not exists (select from campaign_run where state = 'RUNNING')

-- name: count_unsent_messages
-- Events that people should have heard of by now, and have not; without those that are too old to be sent.
select count(*)::bigint as count, min(e.occurred_at) as since
from outbox_event e
where e.type = any(%(types)s) and e.occurred_at > statement_timestamp() - %(age_s_max)s * interval '1 s'
  and e.occurred_at <= statement_timestamp() - %(delivery_s_max)s * interval '1 s'
  and (select n.sent_at from notification n where n.event_id = e.event_id and n.channel = %(channel)s) is null
having count(*) > 0

-- name: count_unpublished
-- Campaigns, and the deployment, whose next event waits for Kafka for too long.
select count(*)::bigint as count, min(e.occurred_at) as since
from (select campaign_id, min(event_no) as event_no from outbox_event
      where published_at is null and parked_at is null group by campaign_id) x
join outbox_event e using (campaign_id, event_no)
where e.occurred_at <= clock_timestamp() - %(delivery_s_max)s * interval '1 s'
having count(*) > 0

-- name: lock_table
-- How many locks the server holds in its lock table, and for how many it has room; beside that what our schema has: a
-- dump locks every table at once, a statement over all campaigns, as a migration, every index too.
select clock_timestamp() as at, count(*) filter (where not fastpath)::bigint as used,
       (select count(*) from pg_class where relnamespace = current_schema()::regnamespace and relkind in ('r', 'p'))
           as tables,
       (select count(*) from pg_class where relnamespace = current_schema()::regnamespace and relkind in ('i', 'I'))
           as indexes,
       current_setting('max_locks_per_transaction')::bigint
       * (current_setting('max_connections')::bigint + current_setting('max_prepared_transactions')::bigint) as room
from pg_locks

