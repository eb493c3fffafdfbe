-- name: payment_to_settle
-- A member's payment in one campaign that was started: what a look-up by its key needs, as of now, and its state. A
-- payment that was never sent has no times. alive_s: how long the holder of its claim may still be at work.
select p.seq, p.member_id, p.amount, p.state::text, p.failure_kind::text, p.failure_code, p.transaction_id,
       p.claim_share, p.claim_epoch, p.retry_runs, extract(epoch from p.last_sent_at)::float8 as last_sent_at,
       extract(epoch from clock_timestamp() - p.first_sent_at)::float8 as since_first_sent_s,
       extract(epoch from clock_timestamp() - case
           when p.first_sent_at is null then null
           when p.state = 'PROCESSING' or p.last_sent_at is null then greatest(p.last_sent_at, r.finished_at)
           else p.last_sent_at end)::float8 as since_last_sent_s,
       extract(epoch from s.leased_until - clock_timestamp())::float8 as alive_s
from payment p
join campaign_run r on r.run_id = %(run_id)s
left join live_share s on p.state = 'PROCESSING' and s.share = p.claim_share and s.epoch = p.claim_epoch
where p.campaign_id = %(campaign_id)s and p.member_id = %(member_id)s

-- name: insert_settled_by_hand
insert into settled_by_hand (campaign_id, seq, amount, transaction_id, money_said, reason, settled_by)
values (%(campaign_id)s, %(seq)s, %(amount)s, %(transaction_id)s, %(money_said)s, %(reason)s, %(actor)s)

-- name: is_settled_by_hand
select exists (select from settled_by_hand where campaign_id = %(campaign_id)s and seq = %(seq)s)

-- name: count_settled_by_hand
-- Payments of a campaign that are SUCCESS by a person's word, and their points.
select count(*) as count, coalesce(sum(amount), 0)::bigint as amount
from settled_by_hand where campaign_id = %(campaign_id)s
