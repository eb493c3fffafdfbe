-- Payments and points by how they ended. UNKNOWN is never a part of failed: such a payment may have been credited.
-- processing: a part of open.
count(*) filter (where state = 'SUCCESS') as success,
coalesce(sum(amount) filter (where state = 'SUCCESS'), 0)::bigint as success_amount,
count(*) filter (where state = 'FAILED' and failure_kind <> 'UNKNOWN') as failed,
coalesce(sum(amount) filter (where state = 'FAILED' and failure_kind <> 'UNKNOWN'), 0)::bigint as failed_amount,
count(*) filter (where failure_kind = 'UNKNOWN') as unknown,
coalesce(sum(amount) filter (where failure_kind = 'UNKNOWN'), 0)::bigint as unknown_amount,
count(*) filter (where state in ('PENDING', 'PROCESSING')) as open,
coalesce(sum(amount) filter (where state in ('PENDING', 'PROCESSING')), 0)::bigint as open_amount,
count(*) filter (where state = 'PROCESSING') as processing,
coalesce(sum(amount) filter (where state = 'PROCESSING'), 0)::bigint as processing_amount
