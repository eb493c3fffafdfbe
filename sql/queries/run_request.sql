-- name: insert_run_request
-- Taken at once where the job itself asks.
insert into run_request
    (request_id, campaign_id, kind, options, digest, reason, actor, state, taken_by, alive_until)
values (%(request_id)s, %(campaign_id)s, %(kind)s, %(options)s, %(digest)s, %(reason)s, %(actor)s,
        case when %(taken_by)s::text is null then 'WAITING' else 'TAKEN' end, %(taken_by)s,
        clock_timestamp() + %(alive_s)s * interval '1 s')

-- name: take_run_request
-- Once: a second job does not get it.
update run_request set state = 'TAKEN', taken_by = %(taken_by)s,
    alive_until = clock_timestamp() + %(alive_s)s * interval '1 s'
where request_id = %(request_id)s and state = 'WAITING'
returning request_id

-- name: keep_run_request
update run_request set alive_until = clock_timestamp() + %(alive_s)s * interval '1 s'
where request_id = %(request_id)s and state = 'TAKEN'
returning request_id

-- name: finish_run_request
-- In the transaction that makes the run. A call-back of the same moment waits for its end, or has come first.
update run_request set state = 'DONE', ended_at = clock_timestamp()
where request_id = %(request_id)s and state in ('WAITING', 'TAKEN')
returning request_id

-- name: refuse_run_requests
-- One request, or all that are open for a campaign, or of those only the ones whose program is gone.
update run_request set state = 'REFUSED', ended_at = clock_timestamp(), refusal = %(refusal)s::jsonb
where state in ('WAITING', 'TAKEN')
  and (request_id = %(request_id)s or campaign_id = %(campaign_id)s)
  and (not %(only_dead)s or alive_until <= clock_timestamp())
returning request_id, campaign_id, kind::text, actor, requested_by::text, requested_at

-- name: refusal_of_run_request
select refusal::text from run_request where request_id = %(request_id)s and state = 'REFUSED'

-- name: live_run_requests
-- Of a campaign, the first one first: someone is still at it.
select request_id, campaign_id, kind::text, actor, requested_by::text, requested_at from run_request
where campaign_id = %(campaign_id)s and state in ('WAITING', 'TAKEN') and alive_until > clock_timestamp()
order by requested_at
