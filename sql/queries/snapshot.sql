-- name: begin_snapshot
-- Every statement of the transaction reads the same snapshot, and none can change anything.
set transaction isolation level repeatable read read only

-- name: times_in_utc
-- For this transaction only.
set local time zone 'UTC'

-- name: limit_statements
-- For this transaction only: a statement that takes longer is cancelled.
select set_config('statement_timeout', %(milliseconds)s, true)
