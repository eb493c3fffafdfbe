-- name: run_of_holder
-- Its latest one: automatic retries are runs of the same driver.
select max(run_no) from campaign_run where driver_holder = %(holder)s

-- name: freeze_campaign
select freeze_campaign(%(campaign_id)s, %(digest)s)

-- name: insert_run
-- The partial unique index refuses a second RUNNING run.
insert into campaign_run (campaign_id, run_no, kind, reason, actor, driver_holder, driver_until)
select %(campaign_id)s, coalesce(max(run_no), 0) + 1, %(kind)s, %(reason)s, %(actor)s, %(holder)s,
       clock_timestamp() + %(lease_s)s * interval '1 s'
from campaign_run where campaign_id = %(campaign_id)s
returning run_id, run_no, driver_epoch

-- name: frozen_campaign
-- With what is open now.
select o.key_namespace, o.target_count, o.target_amount, c.pending + c.processing as open_count,
       c.pending_amount + c.processing_amount as open_amount
from campaign o join campaign_count c using (campaign_id) where o.campaign_id = %(campaign_id)s

-- name: reset_tries
-- Each run counts its own tries: payments that an earlier run left open are sent again, at once. A payment that the API
-- has accepted keeps that code: it is only looked up, here and in reopen_failed.
update payment set tries = 0, next_try_at = null,
    failure_code = case when failure_code = 'ACCEPTED' then failure_code end,
    failure_message = null, refused = false
where campaign_id = %(campaign_id)s and state in ('PENDING', 'PROCESSING')
  and (tries > 0 or failure_code is not null or next_try_at is not null)

-- name: reopen_failed
-- FAILED payments of these kinds, and of one code where it is given, are PENDING again, unless they had their
-- maximum of RETRY runs or are too old to be sent again; returns how many, and their points.
with chosen as (
    select seq, state, failure_kind from payment
    where campaign_id = %(campaign_id)s and state = 'FAILED' and failure_kind = any(%(kinds)s::failure_kind[])
      and (%(code)s::text is null or failure_code = %(code)s)
      and (%(retry_runs_max)s::int is null or retry_runs < %(retry_runs_max)s)
      and (%(send_again_s_max)s::float8 is null
           or first_sent_at > clock_timestamp() - %(send_again_s_max)s::float8 * interval '1 s')
    order by seq for update
), changed as (
    update payment p set
        state = 'PENDING', tries = 0, retry_runs = p.retry_runs + 1, next_try_at = null, finished_at = null,
        failure_kind = null, failure_message = null, refused = false,
        failure_code = case when p.failure_code = 'ACCEPTED' then p.failure_code end,
        retried_kind = p.failure_kind, retried_code = p.failure_code, retried_message = p.failure_message
    from chosen c
    where p.campaign_id = %(campaign_id)s and p.seq = c.seq
    returning p.amount, c.state as old_state, c.failure_kind as old_kind, p.state, p.failure_kind
),
-- include: count_changes
select count(*) as payments, coalesce(sum(amount), 0)::bigint as points from changed

-- name: begin_driver_lease
update campaign_run set driver_until = clock_timestamp() + %(lease_s)s * interval '1 s', started_at = clock_timestamp()
where run_id = %(run_id)s and driver_holder = %(holder)s

-- name: renew_driver
-- The driver's own lease; no row means that the run ended or another driver took it. A driver that was frozen for
-- longer than its lease has lost the run; one that beat all the time, and found no database, has not.
update campaign_run set driver_until = clock_timestamp() + %(lease_s)s * interval '1 s'
where run_id = %(run_id)s and driver_holder = %(holder)s and driver_epoch = %(driver_epoch)s
  and (state <> 'RUNNING' or driver_until > clock_timestamp() or %(after_absence)s)
returning state::text, halt, stop_asked_at is not null as stopping

-- name: halt_run
-- A partition met trouble that concerns the whole run.
with halt as (select %(halt)s::text as halt, %(reason)s::text as reason)
update campaign_run r set
-- include: set_halt

-- name: halt_until_commit
-- Whether the run was halted. A halt that comes now waits until this transaction has ended.
select coalesce(halt <> 'GIVEN_UP', false) from campaign_run where run_id = %(run_id)s for no key update

-- name: note_waiting
-- What the run waits for, as its driver sees it; null while payments are paid.
update campaign_run set waiting = %(waiting)s
where run_id = %(run_id)s and driver_holder = %(holder)s and state = 'RUNNING'

-- name: was_announced_otherwise
-- Whether a run has ended, is its campaign's latest, and the payments are not what was last announced of it: a worker
-- that was frozen or cut off has recorded an answer since.
select (c.success, c.failed, c.unknown) is distinct from (
           select ((e.data->>'success')::bigint, (e.data->>'failed')::bigint, (e.data->>'unknown')::bigint)
           from outbox_event e
           where e.campaign_id = r.campaign_id and e.run_no = r.run_no and e.type in (
               'campaign.completed', 'campaign.failed', 'campaign.stopped', 'campaign.corrected')
           order by e.event_no desc limit 1)
from campaign_run r join campaign_count c using (campaign_id)
where r.run_id = %(run_id)s and r.state <> 'RUNNING'
  and not exists (select from campaign_run later where later.campaign_id = r.campaign_id and later.run_no > r.run_no)

-- name: close_gates
-- The driver gives the run up, for this reason: nothing more is sent, and it ends once no call is under way.
update campaign_run set halt = 'GIVEN_UP', reason = %(reason)s
where run_id = %(run_id)s and state = 'RUNNING' and halt is null

-- name: ask_stop
-- Closes every gate of a run at once. The first one who asks is the one who stopped it; a halt that came first stays
-- the reason of the end.
update campaign_run set stop_actor = %(actor)s, stop_reason = %(reason)s,
    stop_asked_at = clock_timestamp()
where run_id = %(run_id)s and state = 'RUNNING' and halt is null and stop_asked_at is null
returning run_no

-- name: how_it_ends
-- What ends a run that is RUNNING: a stop, a halt, or nothing yet. settled: nothing can come in any more. No share is
-- leased to it, or no payment has been claimed since every gate closed, for longer than a claim takes.
select r.run_id, r.stop_actor, r.stop_reason, r.halt,
       r.driver_until <= clock_timestamp() as driver_is_gone,
       not exists (select from live_share s where s.run_id = r.run_id)
       or coalesce(r.stop_asked_at < clock_timestamp() - interval '2 s' and c.processing = 0, false) as settled,
       coalesce(c.processing, 0) as processing
from campaign_run r left join campaign_count c using (campaign_id)
where r.campaign_id = %(campaign_id)s and r.state = 'RUNNING'

-- name: keep_done_before
-- What had ended when the run began, so that the runs of a campaign add up to its payments.
update campaign_run r set done_before = c.success + c.failed, reopened = %(reopened)s
from campaign_count c where r.run_id = %(run_id)s and c.campaign_id = r.campaign_id

-- name: end_run_without_driver
-- RUNNING -> FAILED, by the process that resumes it: only when the driver's own lease has expired. The new epoch fences
-- that driver off, should it return.
update campaign_run
set state = 'FAILED', driver_epoch = driver_epoch + 1, reason = %(reason)s, finished_at = clock_timestamp()
where run_id = %(run_id)s and state = 'RUNNING' and driver_until <= clock_timestamp()
returning run_no

-- name: end_run
-- RUNNING -> a final state, by its own driver or a person (stop), never twice. The reason of its start is not kept as
-- the reason of its end; that of a halt is, beside any other.
update campaign_run set state = %(state)s::run_state, finished_at = clock_timestamp(),
    reason = case when halt <> 'GIVEN_UP' and starts_with(reason, %(reason)s) then reason
                  when halt <> 'GIVEN_UP' then concat_ws('; ', %(reason)s::text, reason)
                  else coalesce(%(reason)s, case when halt is not null or %(state)s::run_state = 'COMPLETED'
                                                 then reason end) end
where run_id = %(run_id)s and state = 'RUNNING'
  and (%(holder)s::uuid is null or driver_holder = %(holder)s and driver_until > clock_timestamp())
returning run_no

-- name: open_buckets
-- How many payments are open in each range of %(bucket_rows)s seqs: one scan, from which a second run's waves are cut.
select (seq - 1) / %(bucket_rows)s as bucket, count(*) as open from payment
where campaign_id = %(campaign_id)s and state in ('PENDING', 'PROCESSING')
group by 1 order by 1

-- name: count_open_too_old
-- Open payments that were sent so long ago that they are only looked up. One scan.
select count(*) from payment
where campaign_id = %(campaign_id)s and state in ('PENDING', 'PROCESSING')
  and first_sent_at <= clock_timestamp() - %(send_again_s_max)s::float8 * interval '1 s'

-- name: open_rows_exist
select exists (select from payment where campaign_id = %(campaign_id)s and state in ('PENDING', 'PROCESSING'))
