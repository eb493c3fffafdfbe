-- name: find_targets
-- Every campaign that has a member as a target. Targets are one table, so this takes the same few locks for any number
-- of campaigns; a question to payment would lock every campaign's partition. One primary-key look-up for each campaign,
-- which `offset 0` enforces: by the member alone the whole table would be read. The states are those of what was found.
with found as materialized (
    select t.* from campaign every
    cross join lateral (
        select campaign_id, member_id, amount::bigint as amount, reason from campaign_target
        where campaign_id = every.campaign_id and member_id = %(member_id)s offset 0
    ) t
    where %(campaign_id)s::bigint is null or every.campaign_id = %(campaign_id)s
)
select o.campaign_id, o.name as campaign_name, o.state as campaign_state, f.member_id, f.amount, f.reason,
       o.frozen_at is not null as frozen
from found f
cross join lateral (select * from campaign_overview where campaign_id = f.campaign_id offset 0) o
order by o.campaign_id desc

-- name: find_payment
-- A member's payment in one frozen campaign: only that campaign's partition is opened.
select p.campaign_id, c.name as campaign_name, c.state as campaign_state, p.seq, p.member_id, p.amount, p.reason,
       p.state::text, p.transaction_id, p.failure_kind::text, p.failure_code, p.failure_message, p.maybe_credited,
       p.next_try_at, p.first_sent_at, p.finished_at,
       h.settled_by, h.settled_at, h.money_said, h.reason as settled_reason, g.removed_at as calls_removed_at
from payment p join campaign_overview c using (campaign_id) left join settled_by_hand h using (campaign_id, seq)
left join removed_attempts g using (campaign_id)
where p.member_id = %(member_id)s and p.campaign_id = %(campaign_id)s

-- name: count_attempts
-- How many calls of a campaign are here; one scan of its partition.
select count(*)::bigint from payment_attempt where campaign_id = %(campaign_id)s

-- name: find_attempts
-- The calls of one payment. Their ids are in order of time, so the primary key serves as an index on time; an index on
-- seq would make every recorded call slower.
select r.run_no, a.sent_at, a.answered_at, a.method, a.http_status, a.outcome, a.code, a.transaction_id
from payment_attempt a join campaign_run r using (run_id)
where a.campaign_id = %(campaign_id)s and a.seq = %(seq)s and a.attempt_id between %(first)s and %(last)s
order by a.sent_at, a.attempt_id
