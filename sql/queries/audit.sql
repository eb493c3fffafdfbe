-- name: write_audit
-- The trigger adds number, time, database login and the seal.
insert into audit_event (os_user, host, actor, action, campaign_id, run, detail)
values (%(os_user)s, %(host)s, %(actor)s, %(action)s, %(campaign_id)s, %(run)s, %(detail)s)
