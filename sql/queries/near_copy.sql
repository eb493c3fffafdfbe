-- name: keep_list_sample
-- What is compared with later lists. compared_in: what the comparison of this list with earlier ones saw.
insert into list_sample (campaign_id, digest, target_count, hashes, amounts, compared_in)
values (%(campaign_id)s, %(digest)s, %(target_count)s, %(hashes)s, %(amounts)s, %(compared_in)s::pg_snapshot)
on conflict (campaign_id) do update
set digest = excluded.digest, target_count = excluded.target_count, hashes = excluded.hashes,
    amounts = excluded.amounts, seen_in = excluded.seen_in, compared_in = excluded.compared_in

-- name: present_snapshot
select pg_current_snapshot()::text

-- name: get_compared_in
select compared_in::text from list_sample where campaign_id = %(campaign_id)s and digest = %(digest)s

-- name: list_earlier_lists
-- Lists whose members were paid, or wait to be paid before this campaign: the same rule as in find_same_list. With
-- compared_in only those that the comparison did not see: committed after it, or of a younger campaign that was started
-- first. `offset 0` keeps the look-up by primary key: the planner expects one row of the join, finds 10,000, and would
-- read one of the tables that often.
select s.campaign_id, c.frozen_at is null as waiting, s.target_count
from list_sample s join campaign c using (campaign_id)
cross join lateral (
    select seen_at from duplicate_list d where d.digest = s.digest and d.campaign_id = s.campaign_id offset 0
) d
where s.campaign_id <> %(campaign_id)s and d.seen_at > clock_timestamp() - %(days)s * interval '1 day'
  and c.withdrawn_at is null and (c.frozen_at is not null or s.campaign_id < %(campaign_id)s)
  and (%(compared_in)s::pg_snapshot is null
       or not pg_visible_in_snapshot(s.seen_in, %(compared_in)s::pg_snapshot)
       or s.campaign_id > %(campaign_id)s)
order by s.campaign_id desc

-- name: get_sampled_hashes
select campaign_id, hashes as packed from list_sample where campaign_id = any(%(campaign_ids)s::bigint[])

-- name: get_sampled_amounts
select campaign_id, amounts as packed from list_sample where campaign_id = any(%(campaign_ids)s::bigint[])

-- name: count_not_paid
-- Payments that ended without a credit, so that a later list may have them. Not MISMATCH: the money API has the key.
select campaign_id, sum(count)::bigint as members from campaign_counter
where campaign_id = any(%(campaign_ids)s::bigint[]) and failure_kind in ('REJECTED', 'UNAVAILABLE')
group by campaign_id having sum(count) > 0

-- name: count_members_in
-- How many of these members the lists of these campaigns have: one look-up by primary key each, which `offset 0`
-- enforces.
select c.campaign_id, count(*) as members
from unnest(%(campaign_ids)s::bigint[]) as c(campaign_id)
cross join unnest(%(members)s::text[]) as m(member_id)
cross join lateral (
    select from campaign_target t
    where t.campaign_id = c.campaign_id and t.member_id = m.member_id collate "C" offset 0
) t
group by c.campaign_id

-- name: find_members_in
-- The place of each member, from 0, that a campaign's list has, in 4 bytes, with the amount there, in 8 bytes.
select coalesce(string_agg(int4send((m.place - 1)::int4) || int8send(t.amount::bigint), ''::bytea), ''::bytea)
from unnest(%(members)s::text[]) with ordinality as m(member_id, place)
cross join lateral (
    select amount from campaign_target t
    where t.campaign_id = %(campaign_id)s and t.member_id = m.member_id collate "C" offset 0
) t

-- name: find_not_paid_among
-- The place of each member, from 0, whose payment there ended without a credit. Opens one partition.
select coalesce(string_agg(int4send((m.place - 1)::int4), ''::bytea), ''::bytea)
from unnest(%(members)s::text[]) with ordinality as m(member_id, place)
cross join lateral (
    select state, failure_kind from payment p
    where p.campaign_id = %(campaign_id)s and p.member_id = m.member_id collate "C" offset 0
) p
where p.state = 'FAILED' and p.failure_kind in ('REJECTED', 'UNAVAILABLE')

-- name: hash_not_paid
-- The hashes of all members of a short list whose payments ended without a credit. Opens one partition.
select coalesce(string_agg(substring(sha256(convert_to(member_id, 'UTF8')) for 8), ''::bytea), ''::bytea)
from payment
where campaign_id = %(campaign_id)s and state = 'FAILED' and failure_kind in ('REJECTED', 'UNAVAILABLE')

-- name: hash_targets
-- Hash and amount of each target whose hash is below a bound, 8 bytes each, and the ids of those below another one. In
-- no order: to sort a million rows here takes longer than all else.
select coalesce(string_agg(hash || int8send(amount::bigint), ''::bytea), ''::bytea) as rows,
       coalesce(array_agg(member_id) filter (where hash < %(members_below)s::bytea), '{}') as members
from (select substring(sha256(convert_to(member_id, 'UTF8')) for 8) as hash, amount, member_id
      from campaign_target where campaign_id = %(campaign_id)s) t
where hash < %(below)s::bytea
