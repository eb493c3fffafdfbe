-- name: list_results
-- Every payment of a campaign, to be compared with the ledger of the money API.
select member_id, amount, state::text, transaction_id, coalesce(failure_kind::text, '') as failure_kind from payment
where campaign_id = %(campaign_id)s

-- name: list_sends
-- When each call left, in seconds since 1970, and for which payment, in that order.
select extract(epoch from sent_at)::float8 as sent_at, seq from payment_attempt
where campaign_id = %(campaign_id)s order by sent_at
