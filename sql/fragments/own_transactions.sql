-- Notes which payment each transaction id names; returns those that name the payment of this statement. It reads
-- credit(seq, transaction_id). An id that another payment has is not returned, whoever was first, in whatever campaign.
-- Of two payments with one id in the same statement, the first has it. An id that is ours already is written again as
-- it is, because only a written row is returned: that is rare. In order, so that two statements never deadlock.
own_transaction as (
    insert into money_transaction as m (transaction_id, campaign_id, seq)
    select distinct on (c.transaction_id collate "C") c.transaction_id, %(campaign_id)s, c.seq
    from credit c where c.transaction_id is not null order by c.transaction_id collate "C", c.seq
    on conflict (transaction_id) do update set seq = m.seq
        where m.campaign_id = excluded.campaign_id and m.seq = excluded.seq
    returning m.seq, m.transaction_id
)
