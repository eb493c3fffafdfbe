-- name: begin_snapshot
-- Every statement of the transaction sees the same moment, and none can change anything.
set transaction isolation level repeatable read read only

-- name: times_in_utc
-- Of this transaction only.
set local time zone 'UTC'
