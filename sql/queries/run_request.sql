-- name: insert_run_request
-- Taken at once where the job itself asks. An automatic retry is asked for in the name of who asked for the run before.
insert into run_request
    (request_id, campaign_id, kind, options, digest, reason, actor, requested_by, follows, state, holder, taken_by,
     alive_until)
values (%(request_id)s, %(campaign_id)s, %(kind)s, %(options)s, %(digest)s, %(reason)s, %(actor)s,
        coalesce((select q.requested_by from run_request q where q.request_id = %(follows)s), session_user),
        %(follows)s,
        case when %(taken_by)s::text is null then 'WAITING' else 'TAKEN' end, %(holder)s, %(taken_by)s,
        clock_timestamp() + %(alive_s)s * interval '1 s')

-- name: leave_run_request
-- For whoever runs jobs, who may take it for so long; no row where one waits for this campaign already.
insert into run_request (request_id, campaign_id, kind, options, digest, reason, actor, valid_until, alive_until)
select %(request_id)s, %(campaign_id)s, %(kind)s, %(options)s, %(digest)s, %(reason)s, %(actor)s, t.until, t.until
from (select clock_timestamp() + %(valid_s)s * interval '1 s' as until) t
on conflict (campaign_id) where state in ('WAITING', 'TAKEN') and valid_until is not null do nothing
returning request_id

-- name: take_run_request
-- Once: a second job does not get it. One that an agent has taken is that driver's.
update run_request set state = 'TAKEN', holder = %(holder)s, taken_by = %(taken_by)s,
    alive_until = clock_timestamp() + %(alive_s)s * interval '1 s'
where request_id = %(request_id)s and (state = 'WAITING' or state = 'TAKEN' and holder = %(holder)s)
  and (valid_until is null or holder = %(holder)s or valid_until > clock_timestamp())
returning request_id

-- name: release_dead_run_requests
-- What was taken by a program that is gone waits again; should that one come back, it is not the holder any more. Also
-- what is over its time: it is not taken again, but as TAKEN it would keep all others from being taken.
update run_request set state = 'WAITING', holder = null, taken_by = null, alive_until = valid_until
where state = 'TAKEN' and alive_until <= clock_timestamp() and valid_until is not null

-- name: take_next_run_request
-- The oldest one that may run now, forced starts first. One at a time: not while another is on its way (a unique index
-- says so, too, to two takers of the same moment), or while a campaign runs; but a run whose driver is gone is what a
-- RESUME is for.
with next as (
    select request_id from run_request q
    where state = 'WAITING' and valid_until > clock_timestamp()
      and not exists (
          select from run_request other
          where (other.state = 'TAKEN' or other.state = 'WAITING' and other.valid_until is null)
            and other.alive_until > clock_timestamp())
      and not exists (
          select from campaign_run r
          where r.state = 'RUNNING'
            and (r.driver_until > clock_timestamp() or q.kind <> 'RESUME' or r.campaign_id <> q.campaign_id))
    order by not options ? 'force', requested_at limit 1 for update skip locked
)
update run_request q set state = 'TAKEN', holder = %(holder)s, taken_by = %(taken_by)s,
    alive_until = clock_timestamp() + %(alive_s)s * interval '1 s'
from next where q.request_id = next.request_id
returning q.request_id, q.campaign_id, q.kind::text, q.actor, q.requested_by::text, q.requested_at, q.options, q.digest,
          q.reason

-- name: give_back_run_request
-- It waits again: its taker ended, or met something that passes, before the run began.
update run_request set state = 'WAITING', holder = null, taken_by = null, alive_until = valid_until
where request_id = %(request_id)s and state = 'TAKEN' and holder = %(holder)s and valid_until is not null
returning request_id

-- name: keep_run_request
update run_request set alive_until = clock_timestamp() + %(alive_s)s * interval '1 s'
where request_id = %(request_id)s and state = 'TAKEN' and holder = %(holder)s
returning request_id

-- name: finish_run_request
-- In the transaction that makes the run. A call-back of the same moment waits for its end, or has come first. What was
-- left for others is only that driver's, and only for the run that was asked for; one without a digest leaves the list
-- to its job.
update run_request set state = 'DONE', ended_at = clock_timestamp()
where request_id = %(request_id)s and state in ('WAITING', 'TAKEN')
  and (valid_until is null
       or holder = %(holder)s and campaign_id = %(campaign_id)s and kind = %(kind)s and options = %(options)s
          and reason is not distinct from %(reason)s and (digest is null or digest = %(digest)s))
returning request_id

-- name: refuse_run_requests
-- One request, or all that are open for a campaign, or of those only the ones whose program is gone.
update run_request set state = 'REFUSED', ended_at = clock_timestamp(), refusal = %(refusal)s::jsonb
where state in ('WAITING', 'TAKEN')
  and (request_id = %(request_id)s or campaign_id = %(campaign_id)s)
  and (not %(only_dead)s or valid_until is null and alive_until <= clock_timestamp())
  and (%(holder)s::uuid is null or holder = %(holder)s)
returning request_id, campaign_id, kind::text, actor, requested_by::text, requested_at

-- name: overtake_run_requests
-- What was left for a campaign whose run another request makes.
update run_request set state = 'REFUSED', ended_at = clock_timestamp(), refusal = %(refusal)s::jsonb
where campaign_id = %(campaign_id)s and state in ('WAITING', 'TAKEN') and valid_until is not null
  and request_id <> %(request_id)s
returning request_id, campaign_id, kind::text, actor, requested_by::text, requested_at

-- name: expire_run_requests
-- What nobody took in time, and is not in anyone's hands.
update run_request set state = 'REFUSED', ended_at = clock_timestamp(), refusal = %(refusal)s::jsonb
where state in ('WAITING', 'TAKEN') and valid_until <= clock_timestamp() and alive_until <= clock_timestamp()
returning request_id, campaign_id, kind::text, actor, requested_by::text, requested_at

-- name: refusal_of_run_request
select refusal::text from run_request where request_id = %(request_id)s and state = 'REFUSED'

-- name: live_run_requests
-- Of a campaign, the first one first: someone is still at it.
select request_id, campaign_id, kind::text, actor, requested_by::text, requested_at from run_request
where campaign_id = %(campaign_id)s and state in ('WAITING', 'TAKEN')
  and (alive_until > clock_timestamp() or valid_until > clock_timestamp())
order by requested_at

-- name: asker_has_right
-- Of a run: the login that asked for it; of one for which no request was written, the login of this session.
select a.login, exists (
    select from operator_right r where r.login = a.login and r.permission = %(permission)s) as has_it
from (select coalesce((select requested_by from run_request where request_id = %(request_id)s), session_user)::text
      as login) a

-- name: asker_of_run
-- Whose request a run follows where that was left for whoever runs jobs, or continues one that was.
select q.actor, q.requested_by::text as login, q.taken_by from run_request q
where q.request_id = %(request_id)s and (q.valid_until is not null or q.follows is not null)

-- name: latest_left_request
-- The latest request of a campaign that was left for whoever runs jobs, with what it waits for, until a run has begun.
select q.request_id, q.campaign_id, q.kind::text, q.actor, q.requested_by::text, q.requested_at, q.valid_until,
       q.state, q.options, q.digest, q.reason, q.taken_by, q.ended_at, q.refusal::text,
       q.requested_by = session_user as own,
       q.valid_until <= clock_timestamp() and q.alive_until <= clock_timestamp() as expired,
       (select count(*) from agent a where a.alive_until > clock_timestamp())::bigint as agents,
       (select r.campaign_id from campaign_run r where r.state = 'RUNNING' and r.campaign_id <> q.campaign_id)
           as running_id,
       (select earlier.campaign_id from run_request earlier
        where earlier.state in ('WAITING', 'TAKEN') and earlier.valid_until > clock_timestamp()
          and (not earlier.options ? 'force', earlier.requested_at) < (not q.options ? 'force', q.requested_at)
        order by not earlier.options ? 'force', earlier.requested_at limit 1) as after_id
from run_request q
where q.campaign_id = %(campaign_id)s and q.valid_until is not null and q.state <> 'DONE'
  and not exists (
      select from campaign_run r
      where r.campaign_id = q.campaign_id and r.started_at > coalesce(q.ended_at, q.requested_at))
order by q.requested_at desc limit 1

-- name: next_left_request
-- What would be taken next, looked at only.
select q.request_id, q.campaign_id, q.kind::text, q.actor, q.requested_by::text, q.requested_at, q.options, q.digest,
       q.reason
from run_request q
where q.state = 'WAITING' and q.valid_until > clock_timestamp()
order by not q.options ? 'force', q.requested_at limit 1
