-- name: settle_session
-- What a DBA set on the role or the database and we cannot work under: time-outs (our own bounds are in
-- store/connect.py and pay/), and an isolation that makes concurrent workers fail each other. Behind a transaction
-- pooler the session is not ours alone (another process id than the one we were given), and nothing is set.
select set_config(ours.name, ours.value, false)
from (values ('statement_timeout', '0'), ('lock_timeout', '0'), ('idle_in_transaction_session_timeout', '0'),
             ('transaction_timeout', '0'), ('idle_session_timeout', '0'),
             ('default_transaction_isolation', 'read committed')) as ours(name, value)
where pg_backend_pid() = %(pid)s and current_setting(ours.name, true) <> ours.value

-- name: settle_transaction
-- The same for one transaction, also behind a pooler: a freeze of a million targets takes longer than most time-outs.
select set_config(ours.name, '0', true)
from (values ('statement_timeout'), ('lock_timeout'), ('idle_in_transaction_session_timeout'), ('transaction_timeout'))
    as ours(name)
where current_setting(ours.name, true) <> '0'
