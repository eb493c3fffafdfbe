-- Wire sends, each identified by its id: writing one a second time changes nothing.
attempt as (
    insert into payment_attempt
        (campaign_id, attempt_id, method, seq, run_id, sent_at, answered_at, http_status, outcome, code, transaction_id)
    select %(campaign_id)s, a.attempt_id, a.method, a.seq, %(run_id)s, to_timestamp(a.sent_at),
           to_timestamp(a.answered_at), a.http_status, a.outcome, a.code, a.transaction_id
    from unnest(
        %(attempt_ids)s::uuid[], %(methods)s::text[], %(attempt_seqs)s::bigint[], %(sent_ats)s::float8[],
        %(answered_ats)s::float8[], %(http_statuses)s::smallint[], %(outcomes)s::text[], %(attempt_codes)s::text[],
        %(attempt_transactions)s::text[])
        as a(attempt_id, method, seq, sent_at, answered_at, http_status, outcome, code, transaction_id)
    on conflict do nothing
    returning method, outcome, extract(epoch from answered_at - sent_at)::float8 as duration_s
), call as (
    select * from attempt
)
