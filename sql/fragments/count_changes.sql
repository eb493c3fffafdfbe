-- The one place where changed rows become counts. It reads changed(amount, old_state, old_kind, state, failure_kind),
-- one row per updated payment, and adds the differences to the counters of the given share. A difference of zero is not
-- written. Every statement locks the counters in the same order, so two of them never deadlock.
moved as (
    select old_state, old_kind, state, failure_kind, count(*) as count, sum(amount)::bigint as amount
    from changed group by old_state, old_kind, state, failure_kind
), delta as (
    select d.state, d.failure_kind, sum(d.count) as count, sum(d.amount) as amount
    from moved m cross join lateral (values
        (m.state, m.failure_kind, m.count, m.amount),
        (m.old_state, m.old_kind, -m.count, -m.amount)
    ) as d(state, failure_kind, count, amount)
    group by d.state, d.failure_kind having sum(d.count) <> 0 or sum(d.amount) <> 0
), counted as (
    insert into campaign_counter as k (campaign_id, share, state, failure_kind, count, amount)
    select %(campaign_id)s, %(share)s, state, failure_kind, count, amount from delta order by state, failure_kind
    on conflict (campaign_id, share, state, failure_kind)
        do update set count = k.count + excluded.count, amount = k.amount + excluded.amount
)
