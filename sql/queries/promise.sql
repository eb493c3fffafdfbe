-- name: ensure_promises
-- The first row; a second call changes nothing.
insert into money_promise (key_retention_h, settle_s, connect_timeout_s, timeout_s, set_by, reason)
values (%(key_retention_h)s, %(settle_s)s, %(connect_timeout_s)s, %(timeout_s)s, %(actor)s,
        'first values, from the settings')
on conflict (only_row) do nothing

-- name: get_promises
select key_retention_h, settle_s, connect_timeout_s, timeout_s, set_by, set_at, reason from money_promise

-- name: lock_promises
select key_retention_h, settle_s, connect_timeout_s, timeout_s, set_by, set_at, reason from money_promise for update

-- name: set_promises
update money_promise
set key_retention_h = %(key_retention_h)s, settle_s = %(settle_s)s, connect_timeout_s = %(connect_timeout_s)s,
    timeout_s = %(timeout_s)s, set_by = %(actor)s, set_at = clock_timestamp(), reason = %(reason)s
