-- name: lock_campaign
-- First lock of every change of state; a loader that is still open is waited for.
select campaign_id from campaign where campaign_id = %(campaign_id)s for update

-- name: latest_run
select run_id from campaign_run where campaign_id = %(campaign_id)s order by run desc limit 1

-- name: run_of_holder
select run from campaign_run where driver_holder = %(holder)s

-- name: freeze_campaign
select freeze_campaign(%(campaign_id)s)

-- name: insert_run
-- The partial unique index refuses a second RUNNING run.
insert into campaign_run (campaign_id, run, kind, reason, actor, driver_holder, driver_until)
select %(campaign_id)s, coalesce(max(run), 0) + 1, %(kind)s, %(reason)s, %(actor)s, %(holder)s,
       clock_timestamp() + %(lease_s)s * interval '1 s'
from campaign_run where campaign_id = %(campaign_id)s
returning run_id, run, driver_epoch

-- name: frozen_campaign
select key_namespace, target_count, target_amount from campaign where campaign_id = %(campaign_id)s

-- name: begin_driver_lease
update campaign_run set driver_until = clock_timestamp() + %(lease_s)s * interval '1 s', started_at = clock_timestamp()
where run_id = %(run_id)s and driver_holder = %(holder)s

-- name: renew_driver
-- The driver's own lease; no row means that the run ended or another driver took it.
update campaign_run set driver_until = clock_timestamp() + %(lease_s)s * interval '1 s'
where run_id = %(run_id)s and driver_holder = %(holder)s and driver_epoch = %(driver_epoch)s
  and (state <> 'RUNNING' or driver_until > clock_timestamp())
returning state, halt

-- name: halt_run
-- A partition met trouble that concerns the whole run; the first word stays.
update campaign_run set halt = %(halt)s, reason = coalesce(reason, %(reason)s)
where run_id = %(run_id)s and state = 'RUNNING' and halt is null

-- name: end_run
-- RUNNING -> a terminal state, by its own driver, or by hand (stop), never twice.
update campaign_run set state = %(state)s, reason = coalesce(%(reason)s, reason), finished_at = clock_timestamp()
where run_id = %(run_id)s and state = 'RUNNING'
  and (%(holder)s::uuid is null or driver_holder = %(holder)s and driver_until > clock_timestamp())
returning run, reason, started_at, finished_at

-- name: open_rows_exist
select exists (select from payment where campaign_id = %(campaign_id)s and state in ('PENDING', 'PROCESSING'))
