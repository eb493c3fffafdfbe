-- name: insert_campaign
-- creator_login is what the database knows, not a claim.
insert into campaign (name, note, expected_count, expected_amount, creator, creator_login, not_before)
values (%(name)s, %(note)s, %(expected_count)s, %(expected_amount)s, %(creator)s, session_user, %(not_before)s)
returning campaign_id

-- name: get_campaigns
-- With their latest runs: one campaign, or all of them, or those of some states; oldest first, in the order of the
-- queue, or the `latest` ones, newest first: of any state, then no older campaign is looked at.
select
-- include: campaign_with_run
from campaign_overview
where (%(campaign_id)s::bigint is null or campaign_id = %(campaign_id)s)
      and campaign_id >= (
          select coalesce(min(campaign_id), 0) from (
              select campaign_id from campaign where %(latest)s::bigint is not null
              order by campaign_id desc limit case when %(states)s::text[] is null then %(latest)s::bigint end
          ) newest)
      and (%(states)s::text[] is null or state = any(%(states)s))
order by case when %(latest)s::bigint is null then campaign_id else -campaign_id end
limit %(latest)s

-- name: list_queue
-- The campaigns that wait, oldest first; `due` says whether not_before has passed.
select campaign_id, not_before is null or not_before <= clock_timestamp() as due
from campaign_overview
where state = 'WAITING' and frozen_at is null and withdrawn_at is null
order by campaign_id

-- name: get_running_campaign
select campaign_id from campaign_run where state = 'RUNNING'

-- name: get_campaign_counts
-- A sum over the shares' counters: as cheap for a hundred million payments as for ten. No row before the freeze.
select campaign_id, pending, processing, success, failed, unknown,
       pending_amount, processing_amount, success_amount, failed_amount, unknown_amount,
       (select json_object_agg(kind, coalesce(f.count, 0) order by kind)
        from unnest(enum_range(null::failure_kind)) as kind
        left join campaign_failed_count f on f.campaign_id = c.campaign_id and f.failure_kind = kind) as failure_kinds
from campaign_count c where campaign_id = any(%(campaign_ids)s)

-- name: list_campaign_runs
select run_id, run_no, kind::text, state::text, shown_reason(reason) as reason, actor, started_at, finished_at
from campaign_run where campaign_id = %(campaign_id)s order by run_no

-- name: lock_campaign
-- First lock of every change of state; it waits for a loader that is still open.
select campaign_id from campaign where campaign_id = %(campaign_id)s for update

-- name: withdraw_campaign
-- The caller has locked the campaign's row and checked that it is WAITING.
update campaign set withdrawn_by = %(actor)s, withdrawn_at = clock_timestamp(), withdrawn_reason = %(reason)s
where campaign_id = %(campaign_id)s

-- name: approve_campaign
-- The caller has locked the campaign's row; the digest is that of its present targets.
update campaign set approved_by = %(actor)s, approved_login = session_user, approved_at = clock_timestamp(),
    approved_digest = %(digest)s,
    rejected_by = null, rejected_login = null, rejected_at = null, rejected_reason = null
where campaign_id = %(campaign_id)s

-- name: reject_campaign
-- The caller has locked the campaign's row; an earlier approval is taken back.
update campaign set rejected_by = %(actor)s, rejected_login = session_user, rejected_at = clock_timestamp(),
    rejected_reason = %(reason)s,
    approved_by = null, approved_login = null, approved_at = null, approved_digest = null
where campaign_id = %(campaign_id)s

-- name: remember_created_digest
-- In the transaction that creates the campaign with a list.
update campaign set created_digest = %(digest)s where campaign_id = %(campaign_id)s
