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

-- name: find_paid
-- A payment that money has surely heard of: the SUCCESS with the highest number. In the form of list_in_doubt.
select p.seq, p.member_id, p.amount, p.state::text, null::text as failure_kind, null::text as failure_code,
       null::smallint as claim_share, null::bigint as claim_epoch, null::float8 as last_sent_at,
       null::float8 as since_first_sent_s, 0::float8 as since_last_sent_s, null::float8 as alive_s
from payment p where p.campaign_id = %(campaign_id)s and p.state = 'SUCCESS' order by p.seq desc limit 1

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
        refused = false,
        claim_share = null,
        claim_epoch = null,
        next_try_at = null,
        transaction_id = f.transaction_id,
        failure_kind = case when f.transaction_id is null and l.old_state = 'FAILED'
                            then case when p.refused then 'REJECTED' else 'UNAVAILABLE' end::failure_kind end,
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
-- include: count_changes,
-- include: count_calls
select seq from changed

-- name: create_settlement
-- The money API's own list, until the transaction ends. proven: the line says that it is of this campaign.
-- folded: the id as it is compared with those of other payments, because people and spreadsheets change case and form.
create temporary table settlement (
    line           bigint not null,
    member_id      text collate "C" not null,
    amount         bigint not null,
    transaction_id text collate "C",
    line_class     text not null check (line_class in ('credited', 'not_credited', 'reversed')),
    proven         boolean not null,
    folded         text collate "C" generated always as (
        case when octet_length(transaction_id) = length(transaction_id) then lower(transaction_id)
             else lower(normalize(transaction_id, NFKC)) end) stored
) on commit drop

-- name: copy_settlement
copy settlement (line, member_id, amount, transaction_id, line_class, proven) from stdin

-- name: analyze_settlement
analyze settlement

-- name: find_damaged_transaction
-- A line for a payment that we know, whose id is ours as a spreadsheet writes a number: without zeros in front, or with
-- zeros after 15 digits. Then no id of the list can be believed.
select s.line, s.transaction_id as listed, p.transaction_id as ours
from settlement s join payment p on p.campaign_id = %(campaign_id)s and p.member_id = s.member_id
where p.state = 'SUCCESS' and s.amount = p.amount and s.transaction_id <> p.transaction_id
  and p.transaction_id ~ '^[0-9]+$' and s.transaction_id ~ '^[0-9]+$'
  and (ltrim(p.transaction_id, '0') = s.transaction_id
       or length(p.transaction_id) > 15 and length(s.transaction_id) = length(p.transaction_id)
          and substr(s.transaction_id, 16) ~ '^0+$'
          and abs(left(s.transaction_id, 15)::numeric - left(p.transaction_id, 15)::numeric) <= 1)
order by s.line limit 1

-- name: find_other_payments
-- For each line, another payment that has its transaction id in our record than the one that it names. The ids of a
-- list are compared without case, in the form NFKC; a line with exactly the id of its own payment, as most are, needs
-- no look. An id is found as small letters, as capital letters, or in the index of all others.
create temporary table other_payment on commit drop as
with doubtful as materialized (
    select s.line, s.transaction_id, s.folded, p.seq
    from settlement s left join payment p on p.campaign_id = %(campaign_id)s and p.member_id = s.member_id
    where s.transaction_id is not null and p.transaction_id is distinct from s.transaction_id
), known as (
    select d.*, m.transaction_id as their_id, m.campaign_id as their_campaign, m.seq as their_seq
    from doubtful d join money_transaction m on m.transaction_id = d.folded
    union all
    select d.*, m.transaction_id, m.campaign_id, m.seq
    from doubtful d join money_transaction m on m.transaction_id = upper(d.folded) and upper(d.folded) <> d.folded
    union all
    select d.*, m.transaction_id, m.campaign_id, m.seq
    from doubtful d join money_transaction m on lower(normalize(m.transaction_id, NFKC)) = d.folded
-- include: neither_small_nor_capital
), other as (
    select distinct on (line) line, their_campaign as campaign_id, their_seq as seq
    from known where (their_campaign, their_seq) is distinct from (%(campaign_id)s::bigint, seq)
    order by line, their_id = transaction_id desc, their_id
)
select o.line, o.campaign_id, o.seq, p.member_id, p.amount
from other o left join payment p using (campaign_id, seq)

-- name: sort_settlement
-- The lines that say "credited", each with what is known against it. elsewhere: it is a credit of another campaign, by
-- our own record, and nothing speaks against that. unnamed: of a member whom the campaign does not have, and nothing
-- says that it is of the campaign. other_*: another payment, which has its transaction id. shared: one id cannot be two
-- credits, and which of the lines is true, the list does not say.
create temporary table listed on commit drop as
select s.line, s.member_id, s.amount, s.transaction_id, s.folded, s.proven,
       o.campaign_id as other_campaign, o.member_id as other_member,
       coalesce(o.campaign_id <> %(campaign_id)s and not s.proven
                and (o.member_id, o.amount) = (s.member_id, s.amount), false) as elsewhere,
       p.seq is null and not s.proven and o.campaign_id is distinct from %(campaign_id)s
       and (o.campaign_id is null or (o.member_id, o.amount) is distinct from (s.member_id, s.amount)) as unnamed,
       s.folded in (
           select folded from settlement where line_class = 'credited'
           group by folded having count(distinct member_id) > 1)
       and (p.transaction_id is distinct from s.transaction_id or s.transaction_id in (
           select transaction_id from settlement where line_class = 'credited'
           group by transaction_id having count(distinct member_id) > 1)) as shared,
       s.member_id in (select member_id from settlement where line_class <> 'credited')
       or s.folded in (
           select folded from settlement where line_class <> 'credited' and folded is not null) as denied
from settlement s
left join payment p on p.campaign_id = %(campaign_id)s and p.member_id = s.member_id
left join other_payment o using (line)
where s.line_class = 'credited'

-- name: compare_settlement
-- Compares every payment with the list; each difference is a row. Of several lines for a member, the one that agrees
-- with us is compared with the payment; that there are several is a difference of its own. A line counts as a credit of
-- this campaign only if no other payment has its transaction id. It makes a payment SUCCESS only if it also says that
-- it is of this campaign, and nothing in the list speaks against it.
-- partial: the list is one part of several, so a SUCCESS that it does not name is in another part.
create temporary table difference on commit drop as
with ours as (
    select * from listed l
    where not elsewhere and not unnamed and other_campaign is null and (not shared or exists (
        select from payment p
        where p.campaign_id = %(campaign_id)s and p.member_id = l.member_id and p.transaction_id = l.transaction_id))
), credit as (
    select distinct on (s.member_id)
           s.member_id, s.line, s.amount, s.transaction_id, s.proven and not s.denied as proven,
           p.seq, p.state, p.failure_kind, p.amount as our_amount, p.transaction_id as our_transaction_id
    from ours s
    left join payment p on p.campaign_id = %(campaign_id)s and p.member_id = s.member_id
    order by s.member_id, (p.transaction_id = s.transaction_id) desc nulls last,
             (p.amount = s.amount) desc nulls last, s.line
), several as (
    select member_id, count(*) as credits, sum(amount) as amount,
           left(string_agg(transaction_id, ' ' order by line), 500) as transaction_ids,
           case when count(distinct transaction_id) > 1 then 'PAID_TWICE' else 'LISTED_TWICE' end as kind
    from ours group by member_id having count(*) > 1
)
select m.kind, c.seq, c.member_id, c.state::text, c.failure_kind::text, c.our_amount, c.our_transaction_id,
       m.amount, m.transaction_ids as transaction_id, m.credits, c.line, null::bigint as their_campaign,
       c.member_id as their_member
from several m join credit c using (member_id)
union all
select d.kind, c.seq, c.member_id, c.state::text, c.failure_kind::text, c.our_amount, c.our_transaction_id,
       c.amount, c.transaction_id, 1, c.line, null, c.member_id
from credit c
cross join lateral (
    select case when c.seq is null then 'NO_TARGET'
                when c.amount <> c.our_amount then 'OTHER_AMOUNT'
                when c.state <> 'SUCCESS' and c.proven then 'NOT_SUCCESS'
                when c.state <> 'SUCCESS' then 'UNPROVEN'
                when c.transaction_id <> c.our_transaction_id then 'OTHER_TRANSACTION' end as kind
) d
where d.kind is not null
union all
select 'SAME_TRANSACTION', p.seq, l.member_id, p.state::text, p.failure_kind::text, p.amount, p.transaction_id,
       l.amount, l.transaction_id, 1, l.line, l.other_campaign, coalesce(l.other_member, l.member_id)
from listed l
left join payment p on p.campaign_id = %(campaign_id)s and p.member_id = l.member_id
where not l.unnamed and (
    l.shared and (l.proven or p.seq is not null) or not l.shared and not l.elsewhere and l.other_campaign is not null)
union all
select 'REVERSED', p.seq, r.member_id, p.state::text, p.failure_kind::text, p.amount, p.transaction_id,
       r.amount, r.transaction_id, 1, r.line, null, r.member_id
from settlement r
left join payment p on p.campaign_id = %(campaign_id)s and p.member_id = r.member_id
where r.line_class = 'reversed' and (r.proven or p.seq is not null and not exists (
    select from other_payment o where o.line = r.line and o.campaign_id <> %(campaign_id)s))
union all
select case when p.state <> 'SUCCESS' then 'OPEN' when h.seq is not null then 'SETTLED_BY_HAND' else 'NOT_CREDITED' end,
       p.seq, p.member_id, p.state::text, p.failure_kind::text, p.amount, p.transaction_id, null, null, 0, null, null,
       null
from payment p left join settled_by_hand h using (campaign_id, seq)
where p.campaign_id = %(campaign_id)s
  and (p.state in ('SUCCESS', 'PROCESSING') or p.maybe_credited or p.failure_kind = 'UNKNOWN')
  and not exists (select from ours s where s.member_id = p.member_id)
  and not (%(partial)s and p.state = 'SUCCESS' and not exists (
      select from settlement s where s.member_id = p.member_id))

-- name: count_compared
select (select count(*) from payment where campaign_id = %(campaign_id)s) as payments,
       (select count(*) from listed where not elsewhere and not unnamed) as credits,
       (select count(*) from settlement where not proven) as unproven_lines,
       s.not_credited_lines, s.not_credited_points, s.reversed_lines, s.reversed_points, l.elsewhere_lines,
       l.elsewhere_points, l.unnamed_lines, l.unnamed_points, t.taken_back_payments, t.taken_back_points,
       o.other_part_payments, o.other_part_points
from (select count(*) filter (where line_class = 'not_credited') as not_credited_lines,
             coalesce(sum(amount) filter (where line_class = 'not_credited'), 0)::bigint as not_credited_points,
             count(*) filter (where line_class = 'reversed') as reversed_lines,
             coalesce(sum(amount) filter (where line_class = 'reversed'), 0)::bigint as reversed_points
      from settlement) s,
     (select count(*) filter (where elsewhere) as elsewhere_lines,
             coalesce(sum(amount) filter (where elsewhere), 0)::bigint as elsewhere_points,
             count(*) filter (where unnamed) as unnamed_lines,
             coalesce(sum(amount) filter (where unnamed), 0)::bigint as unnamed_points from listed) l,
     (select count(distinct seq) as taken_back_payments, coalesce(sum(amount), 0)::bigint as taken_back_points
      from difference where kind = 'REVERSED' and state = 'SUCCESS') t,
     (select count(*) as other_part_payments, coalesce(sum(p.amount), 0)::bigint as other_part_points
      from payment p
      where %(partial)s and p.campaign_id = %(campaign_id)s and p.state = 'SUCCESS'
        and not exists (select from settlement s where s.member_id = p.member_id)) o

-- name: list_repairs
-- What the API credited correctly, and our record did not have.
select seq, transaction_id from difference where kind = 'NOT_SUCCESS' order by seq

-- name: list_differences
-- In the given order of kinds.
select kind, member_id, state, failure_kind, our_amount, our_transaction_id, amount, transaction_id, credits, line,
       their_campaign, their_member
from difference order by array_position(%(kinds)s::text[], kind), member_id, line
