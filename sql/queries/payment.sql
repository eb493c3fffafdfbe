-- name: wave_of_payments
-- What Spark reads for one wave; numbers only, filled in by store/payment.py.
(select seq, member_id, amount, reason from payment
 where campaign_id = {campaign_id} and seq between {first} and {last} and state in ('PENDING', 'PROCESSING')) as wave

-- name: row_of_no_payment
-- What Spark reads once before the first wave, with the columns of one.
(select 1::bigint as seq, ''::text as member_id, 0::bigint as amount, ''::text as reason) as wave

-- name: claim_fresh_payments
-- claim_payments for most rows, at half of its cost: those that no worker has touched, so their state before is known,
-- and the update itself is their lock. What it does not return may still be claimed by claim_payments. Where two
-- statements want one row, the second waits, looks at it again, and leaves it.
with alive as (
    select from live_share s, live_run r
    where s.share = %(share)s and s.epoch = %(epoch)s and s.holder = %(holder)s
      and r.run_id = %(run_id)s and r.driver_epoch = %(driver_epoch)s
), claimed as (
    update payment p set
        state = 'PROCESSING', claim_share = %(share)s, claim_epoch = %(epoch)s, first_sent_at = clock_timestamp()
    where p.campaign_id = %(campaign_id)s and p.seq = any((select %(seqs)s::bigint[])::bigint[])
      and p.state = 'PENDING' and exists (select from alive)
      and p.tries = 0 and p.next_try_at is null and not p.maybe_credited and not p.refused and p.failure_code is null
      and p.first_sent_at is null and p.last_sent_at is null
    returning p.seq, p.amount
), changed as (
    select amount, 'PENDING'::payment_state as old_state, null::failure_kind as old_kind,
           'PROCESSING'::payment_state as state, null::failure_kind as failure_kind
    from claimed
),
-- include: count_changes
select seq from claimed

-- name: claim_payments
-- PROCESSING, before any call: only for a live share of a running run, and only rows without a live holder. A row taken
-- from a dead holder (an orphan) may have been credited just now. A claim whose answer was lost may be repeated.
-- The array is a sub-select, here and below, so that the planner does not examine each number in it: that saves 2 % of
-- the statement, and gives the same plan for every size of campaign.
with alive as (
    select from live_share s, live_run r
    where s.share = %(share)s and s.epoch = %(epoch)s and s.holder = %(holder)s
      and r.run_id = %(run_id)s and r.driver_epoch = %(driver_epoch)s
), candidate as (
    select p.seq, p.state as old_state, p.first_sent_at, p.state = 'PROCESSING'
           and (p.claim_share, p.claim_epoch) is distinct from (%(share)s::smallint, %(epoch)s::bigint) as orphan
    from payment p
    where p.campaign_id = %(campaign_id)s and p.seq = any((select %(seqs)s::bigint[])::bigint[])
      and exists (select from alive)
      and (p.state = 'PENDING' and (p.next_try_at is null or p.next_try_at <= clock_timestamp())
           or p.state = 'PROCESSING' and p.claim_share = %(share)s and p.claim_epoch = %(epoch)s
           or p.state = 'PROCESSING' and not exists (
               select from live_share s where s.share = p.claim_share and s.epoch = p.claim_epoch))
    order by p.seq for update
), claimed as (
    update payment p set
        state = 'PROCESSING', claim_share = %(share)s, claim_epoch = %(epoch)s, next_try_at = null,
        first_sent_at = coalesce(p.first_sent_at, clock_timestamp()),
        last_sent_at = case when c.orphan then clock_timestamp() else p.last_sent_at end,
        maybe_credited = p.maybe_credited or c.orphan
    from candidate c
    where p.campaign_id = %(campaign_id)s and p.seq = c.seq
    returning p.seq, p.tries, p.maybe_credited, p.amount, p.failure_code, p.refused, p.last_sent_at, c.old_state,
              c.first_sent_at
), changed as (
    -- Constants instead of the row's columns: that saves 4 % of the statement.
    select amount, old_state, null::failure_kind as old_kind,
           'PROCESSING'::payment_state as state, null::failure_kind as failure_kind
    from claimed
),
-- include: count_changes
select seq, tries, maybe_credited, failure_code, refused,
       extract(epoch from clock_timestamp() - first_sent_at)::float8 as since_first_sent_s,
       extract(epoch from clock_timestamp() - last_sent_at)::float8 as since_last_sent_s
from claimed

-- name: record_successes
-- record_results for most results, at half of its cost: each payment was called once since its claim and answered with
-- a transaction id. So its state before is known, the update itself is its lock, and five columns differ from row to
-- row. What is not as expected is neither changed nor returned, nor is its attempt written: that is for record_results.
-- A transaction id that another payment has is an error (23505), which undoes the statement as a whole.
with paid as (
    update payment p set
        state = 'SUCCESS', tries = %(tries)s, refused = false,
        last_sent_at = greatest(p.last_sent_at, to_timestamp(c.sent_at)), next_try_at = null, claim_share = null,
        claim_epoch = null, transaction_id = c.transaction_id, failure_kind = null, failure_code = null,
        failure_message = null, finished_at = clock_timestamp()
    from unnest(%(seqs)s::bigint[], %(attempt_ids)s::uuid[], %(sent_ats)s::float8[], %(answered_ats)s::float8[],
                %(transaction_ids)s::text[]) as c(seq, attempt_id, sent_at, answered_at, transaction_id)
    where p.campaign_id = %(campaign_id)s and p.seq = any((select %(seqs)s::bigint[])::bigint[]) and p.seq = c.seq
      and coalesce(p.state = 'PROCESSING' and p.claim_share = %(claim_share)s and p.claim_epoch = %(claim_epoch)s,
                   false)
    returning p.amount, c.*
), attempt as (
    insert into payment_attempt
        (campaign_id, attempt_id, method, seq, run_id, sent_at, answered_at, http_status, outcome, transaction_id)
    select %(campaign_id)s, attempt_id, 'POST', seq, %(run_id)s, to_timestamp(sent_at), to_timestamp(answered_at),
           %(http_status)s, 'CREDITED', transaction_id
    from paid
), own_transaction as (
    insert into money_transaction (transaction_id, campaign_id, seq)
    select transaction_id, %(campaign_id)s, seq from paid
), changed as (
    select amount, 'PROCESSING'::payment_state as old_state, null::failure_kind as old_kind,
           'SUCCESS'::payment_state as state, null::failure_kind as failure_kind
    from paid
),
-- include: count_changes,
call as (
    select 'POST' as method, 'CREDITED' as outcome, answered_at - sent_at as duration_s from paid
),
-- include: count_calls
select seq from paid

-- name: record_results
-- Attempts, payments and counters in one statement. A repeated record changes nothing: attempts are identified by id,
-- and a payment changes only under its claim's fencing token, or to SUCCESS, which is final. KEY_TOO_OLD: a RETRY run
-- learnt nothing about the payment, which is FAILED as it was before. A payment whose transaction id is that of another
-- payment is perhaps credited. Returns the payments with two transaction ids, and those without one of their own. The
-- run is halted here where a result demands it: who sees the payment ended sees the halt, too. `judged` materialized:
-- without that the planner joins every row of the batch with every other (twice the CPU of the statement).
with
-- include: insert_attempts,
change as (
    select * from unnest(
        %(seqs)s::bigint[], %(states)s::payment_state[], %(claim_shares)s::smallint[], %(claim_epochs)s::bigint[],
        %(tries)s::smallint[], %(maybe_credited)s::boolean[], %(not_credited)s::boolean[], %(refused)s::boolean[],
        %(known_unsent)s::boolean[], %(last_sent_ats)s::float8[], %(next_try_ats)s::float8[],
        %(transaction_ids)s::text[], %(failure_kinds)s::failure_kind[], %(failure_codes)s::text[],
        %(failure_messages)s::text[])
        as c(seq, state, claim_share, claim_epoch, tries, maybe_credited, not_credited, refused, known_unsent,
             last_sent_at, next_try_at, transaction_id, failure_kind, failure_code, failure_message)
), credit as (
    select seq, transaction_id from change where state = 'SUCCESS'
),
-- include: own_transactions,
judged as materialized (
    select c.*, c.state = 'SUCCESS' and c.transaction_id is not null and o.seq is null as of_another
    from change c left join own_transaction o using (seq)
), locked as (
    select p.seq, p.state as old_state, p.failure_kind as old_kind, p.claim_share, p.claim_epoch, p.transaction_id
    from payment p
    where p.campaign_id = %(campaign_id)s and p.seq = any((select %(seqs)s::bigint[])::bigint[])
    order by p.seq for update
), changed as (
    update payment p set
        state = case when c.of_another then 'FAILED' else c.state end,
        tries = c.tries,
        maybe_credited = (p.maybe_credited or c.maybe_credited or c.of_another) and not c.not_credited,
        refused = c.refused,
        first_sent_at = case when c.known_unsent then null else p.first_sent_at end,
        last_sent_at = greatest(p.last_sent_at, to_timestamp(c.last_sent_at)),
        next_try_at = to_timestamp(c.next_try_at),
        claim_share = case when c.state = 'PROCESSING' then p.claim_share end,
        claim_epoch = case when c.state = 'PROCESSING' then p.claim_epoch end,
        transaction_id = case when not c.of_another then c.transaction_id end,
        failure_kind = case when c.of_another or c.state = 'FAILED' and p.maybe_credited and not c.not_credited
                            then 'UNKNOWN'
                            when c.failure_code = 'KEY_TOO_OLD' then coalesce(p.retried_kind, c.failure_kind)
                            else c.failure_kind end,
        failure_code = case when c.of_another then 'SAME_TRANSACTION'
                            when c.failure_code = 'KEY_TOO_OLD' then coalesce(p.retried_code, c.failure_code)
                            else c.failure_code end,
        failure_message = case when c.failure_code = 'KEY_TOO_OLD' then p.retried_message
                               when c.refused then coalesce(c.failure_message, p.failure_message)
                               else c.failure_message end,
        finished_at = case when c.state in ('SUCCESS', 'FAILED') then clock_timestamp() end
    from locked l join judged c using (seq)
    where p.campaign_id = %(campaign_id)s and p.seq = l.seq and l.old_state <> 'SUCCESS'
      and (c.state = 'SUCCESS' and not c.of_another
           or l.old_state = 'PROCESSING' and l.claim_share = c.claim_share and l.claim_epoch = c.claim_epoch)
    returning p.amount, p.state, p.failure_kind, l.old_state, l.old_kind
),
-- include: count_changes,
-- include: count_calls,
conflict as (
    select l.seq, c.transaction_id, l.old_state = 'SUCCESS' as is_second from locked l join judged c using (seq)
    where c.state = 'SUCCESS' and (l.old_state = 'SUCCESS' and c.transaction_id <> l.transaction_id
                                   or l.old_state <> 'SUCCESS' and c.of_another)
), demanded as (
    select 0 as place, %(halt)s::text as halt, %(halt_reason)s::text as reason
    union all
    select x.seq, case when x.is_second then 'NOT_DEDUPLICATED' else 'SAME_TRANSACTION' end,
           format(case when x.is_second then %(second_id)s::text else %(same_id)s::text end,
                  x.seq, x.transaction_id, m.seq, m.campaign_id)
    from conflict x left join money_transaction m using (transaction_id)
), halt as (
    select halt, reason from demanded where halt is not null order by place limit 1
), halted as (
    update campaign_run r set
-- include: set_halt
)
select seq, transaction_id, is_second from conflict

-- name: member_of_payment
select member_id from payment where campaign_id = %(campaign_id)s and seq = %(seq)s

-- name: owner_of_transaction
select campaign_id, seq from money_transaction where transaction_id = %(transaction_id)s

-- name: other_owner_of_transaction
-- Another payment than the given one that has an id as a person names it: without case, in the form NFKC.
with named as (select lower(normalize(%(transaction_id)s::text collate "C", NFKC)) as folded),
known as (
    select m.* from named n join money_transaction m on m.transaction_id = any(array[n.folded, upper(n.folded)])
    union all
    select m.* from named n join money_transaction m on lower(normalize(m.transaction_id, NFKC)) = n.folded
-- include: neither_small_nor_capital
)
select campaign_id, seq from known
where (campaign_id, seq) <> (%(campaign_id)s::bigint, %(seq)s::bigint)
order by transaction_id = %(transaction_id)s desc, transaction_id limit 1

-- name: open_payments
-- What is left for a sweep: how many rows, their first and last seq, and how long until the first can be claimed.
select count(*), min(p.seq) as first, max(p.seq) as last,
       extract(epoch from min(greatest(p.next_try_at, s.leased_until)) - clock_timestamp())::float8 as due_in_s
from payment p
left join money_share s on p.state = 'PROCESSING' and s.share = p.claim_share and s.epoch = p.claim_epoch
where p.campaign_id = %(campaign_id)s and p.state in ('PENDING', 'PROCESSING')
