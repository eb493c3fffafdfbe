-- name: run_to_reconcile
-- The latest run: look-ups are recorded under it, and after its end it sent nothing.
select r.run_id, r.run_no, r.state::text, c.key_namespace
from campaign c join campaign_run r using (campaign_id)
where c.campaign_id = %(campaign_id)s order by r.run_no desc limit 1

-- name: keep_from_starting
-- Until the transaction ends: a start or a resume locks this row first.
select campaign_id from campaign where campaign_id = %(campaign_id)s for no key update

-- name: list_in_doubt
-- Payments in doubt (not SUCCESS, may have been credited) after %(after)s, or only those with the given numbers.
-- A dead worker leaves its rows PROCESSING: it may not have recorded their last call, which left before the run's end.
-- alive_s: how long the claim's holder may still be at work; null where it is gone.
select p.seq, p.member_id, p.amount, p.state::text, p.failure_kind::text, p.failure_code, p.claim_share, p.claim_epoch,
       extract(epoch from p.last_sent_at)::float8 as last_sent_at,
       extract(epoch from clock_timestamp() - p.first_sent_at)::float8 as since_first_sent_s,
       extract(epoch from clock_timestamp() - case
           when r.finished_at is null then clock_timestamp()
           when p.state = 'PROCESSING' or p.last_sent_at is null then greatest(p.last_sent_at, r.finished_at)
           else p.last_sent_at end)::float8 as since_last_sent_s,
       extract(epoch from s.leased_until - clock_timestamp())::float8 as alive_s
from payment p
join campaign_run r on r.run_id = %(run_id)s
left join live_share s on p.state = 'PROCESSING' and s.share = p.claim_share and s.epoch = p.claim_epoch
where p.campaign_id = %(campaign_id)s and p.seq > %(after)s
  and (%(seqs)s::bigint[] is null or p.seq = any(%(seqs)s::bigint[]))
  and (p.maybe_credited and p.state <> 'SUCCESS' or p.failure_kind = 'UNKNOWN' or p.state = 'PROCESSING')
order by p.seq limit %(rows_max)s

-- name: count_in_doubt
-- As list_in_doubt, all of them.
select count(*) from payment p
where p.campaign_id = %(campaign_id)s
  and (p.maybe_credited and p.state <> 'SUCCESS' or p.failure_kind = 'UNKNOWN' or p.state = 'PROCESSING')

-- name: apply_findings
-- Writes the findings of look-ups or a settlement: attempts, payments and the driver's counters in one statement.
-- SUCCESS applies unless the transaction id is that of another payment; "not credited" only to a row that is still as
-- it was when it was read, and whose claim's holder is gone. Returns the rows that changed.
with
-- include: insert_attempts,
finding as (
    select * from unnest(
        %(seqs)s::bigint[], %(transaction_ids)s::text[], %(read_states)s::payment_state[], %(read_shares)s::smallint[],
        %(read_epochs)s::bigint[], %(read_last_sent_ats)s::float8[])
        as f(seq, transaction_id, read_state, read_share, read_epoch, read_last_sent_at)
), credit as (
    select f.seq, f.transaction_id from finding f
    join payment p on p.campaign_id = %(campaign_id)s and p.seq = f.seq
    where f.transaction_id is not null and p.state <> 'SUCCESS'
),
-- include: own_transactions,
locked as (
    select p.seq, p.state as old_state, p.failure_kind as old_kind, p.claim_share, p.claim_epoch,
           extract(epoch from p.last_sent_at)::float8 as last_sent_at,
           p.state = 'PROCESSING' and exists (
               select from live_share s where s.share = p.claim_share and s.epoch = p.claim_epoch) as alive
    from payment p
    where p.campaign_id = %(campaign_id)s and p.seq = any((select %(seqs)s::bigint[])::bigint[])
    order by p.seq for update
), changed as (
    update payment p set
        state = case when f.transaction_id is not null then 'SUCCESS'
                     when l.old_state = 'FAILED' then 'FAILED' else 'PENDING' end::payment_state,
        maybe_credited = p.maybe_credited and f.transaction_id is not null,
        claim_share = null,
        claim_epoch = null,
        next_try_at = null,
        transaction_id = f.transaction_id,
        failure_kind = case when f.transaction_id is null and l.old_state = 'FAILED'
                            then 'UNAVAILABLE'::failure_kind end,
        -- An open payment with a code is only looked up, never sent.
        failure_code = case when f.transaction_id is null and l.old_state = 'FAILED' then p.failure_code end,
        failure_message = case when f.transaction_id is null and l.old_state = 'FAILED' then p.failure_message end,
        finished_at = case when f.transaction_id is not null or l.old_state = 'FAILED' then clock_timestamp() end
    from locked l join finding f using (seq) left join own_transaction o using (seq)
    where p.campaign_id = %(campaign_id)s and p.seq = l.seq and l.old_state <> 'SUCCESS'
      and (o.seq is not null
           or f.transaction_id is null and l.old_state = f.read_state and not l.alive
              and (l.old_state <> 'FAILED' or l.old_kind = 'UNKNOWN')
              and (l.claim_share, l.claim_epoch, l.last_sent_at)
                  is not distinct from (f.read_share, f.read_epoch, f.read_last_sent_at))
    returning p.seq, p.amount, p.state, p.failure_kind, l.old_state, l.old_kind
),
-- include: count_changes
select seq from changed

-- name: create_settlement
-- The money API's own list of credits, until the transaction ends.
create temporary table settlement (
    line           bigint not null,
    member_id      text collate "C" not null,
    amount         bigint not null,
    transaction_id text not null
) on commit drop

-- name: copy_settlement
copy settlement (line, member_id, amount, transaction_id) from stdin

-- name: analyze_settlement
analyze settlement

-- name: compare_settlement
-- Compares every payment with the list; each difference is a row. Of several lines for a member, the one that agrees
-- with us is compared with the payment; that there are several is a difference of its own.
create temporary table difference on commit drop as
with credit as (
    select distinct on (s.member_id)
           s.member_id, s.line, s.amount, s.transaction_id,
           p.seq, p.state, p.failure_kind, p.amount as our_amount, p.transaction_id as our_transaction_id
    from settlement s
    left join payment p on p.campaign_id = %(campaign_id)s and p.member_id = s.member_id
    order by s.member_id, (p.transaction_id = s.transaction_id) desc nulls last,
             (p.amount = s.amount) desc nulls last, s.line
), several as (
    select member_id, count(*) as credits, sum(amount) as amount,
           left(string_agg(transaction_id, ' ' order by line), 500) as transaction_ids,
           case when count(distinct transaction_id) > 1 then 'PAID_TWICE' else 'LISTED_TWICE' end as kind
    from settlement group by member_id having count(*) > 1
), shared as (
    -- One id cannot be two credits: which of the lines is true, the list does not say.
    select transaction_id from settlement group by transaction_id having count(distinct member_id) > 1
)
select m.kind, c.seq, c.member_id, c.state::text, c.failure_kind::text, c.our_amount, c.our_transaction_id,
       m.amount, m.transaction_ids as transaction_id, m.credits, c.line
from several m join credit c using (member_id)
union all
select d.kind, c.seq, c.member_id, c.state::text, c.failure_kind::text, c.our_amount, c.our_transaction_id,
       c.amount, c.transaction_id, 1, c.line
from credit c
cross join lateral (
    select case when c.seq is null then 'NO_TARGET'
                when c.transaction_id in (select transaction_id from shared)
                     or exists (select from money_transaction m where m.transaction_id = c.transaction_id
                                and (m.campaign_id, m.seq) <> (%(campaign_id)s, c.seq)) then 'SAME_TRANSACTION'
                when c.amount <> c.our_amount then 'OTHER_AMOUNT'
                when c.state <> 'SUCCESS' then 'NOT_SUCCESS'
                when c.transaction_id <> c.our_transaction_id then 'OTHER_TRANSACTION' end as kind
) d
where d.kind is not null
union all
select case when p.state = 'SUCCESS' then 'NOT_CREDITED' else 'OPEN' end,
       p.seq, p.member_id, p.state::text, p.failure_kind::text, p.amount, p.transaction_id, null, null, 0, null
from payment p
where p.campaign_id = %(campaign_id)s
  and (p.state in ('SUCCESS', 'PROCESSING') or p.maybe_credited or p.failure_kind = 'UNKNOWN')
  and not exists (select from settlement s where s.member_id = p.member_id)

-- name: count_compared
select (select count(*) from payment where campaign_id = %(campaign_id)s) as payments,
       (select count(*) from settlement) as credits

-- name: list_repairs
-- What the API credited correctly, and our record did not have.
select seq, transaction_id from difference where kind = 'NOT_SUCCESS' order by seq

-- name: list_differences
-- In the given order of kinds.
select kind, member_id, state, failure_kind, our_amount, our_transaction_id, amount, transaction_id, credits, line
from difference order by array_position(%(kinds)s::text[], kind), member_id
