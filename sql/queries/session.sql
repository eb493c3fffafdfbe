-- name: settle_session
-- What a DBA set on the role or the database and we cannot work under: time-outs (our own bounds are in
-- store/connect.py and pay/), an isolation that makes concurrent workers fail each other, and how values are written
-- and read. Behind a transaction pooler the session is not ours alone (another process id than the one we were given),
-- and nothing is set but what poolers keep for each of their clients: what the server reports when it changes.
select set_config(ours.name, ours.value, false)
from (values ('statement_timeout', '0', false), ('lock_timeout', '0', false),
             ('idle_in_transaction_session_timeout', '0', false), ('transaction_timeout', '0', false),
             ('idle_session_timeout', '0', false), ('default_transaction_isolation', 'read committed', false),
             ('DateStyle', 'ISO, MDY', true), ('standard_conforming_strings', 'on', true),
             ('IntervalStyle', 'postgres', false), ('bytea_output', 'hex', false), ('extra_float_digits', '1', false),
             ('array_nulls', 'on', false), ('transform_null_equals', 'off', false)
     ) as ours(name, value, kept_by_poolers)
where (ours.kept_by_poolers or pg_backend_pid() = %(pid)s) and current_setting(ours.name, true) <> ours.value

-- name: settle_transaction
-- The same for one transaction, also behind a pooler: a freeze of a million targets takes longer than most time-outs.
select set_config(ours.name, '0', true)
from (values ('statement_timeout'), ('lock_timeout'), ('idle_in_transaction_session_timeout'), ('transaction_timeout'))
    as ours(name)
where current_setting(ours.name, true) <> '0'
