-- name: inspect_server
-- Whether the server suits, and how many connections this login may still open; our own is not counted as used, because
-- it ends. Of other logins' sessions only the login and the database are visible to everyone.
select current_setting('server_version_num')::int as version,
       current_database()::text as name,
       current_setting('server_encoding') as encoding,
       pg_is_in_recovery() or current_setting('transaction_read_only')::bool as read_only,
       r.rolname::text as login,
       extract(epoch from clock_timestamp())::float8 as now_s,
       current_setting('max_connections')::int - s.sessions::int
           - case when r.rolsuper then 0
                  else current_setting('superuser_reserved_connections')::int
                       + coalesce(current_setting('reserved_connections', true)::int, 0) end as free_on_server,
       case when r.rolconnlimit >= 0 and not r.rolsuper then r.rolconnlimit - s.of_login::int end as free_for_login,
       case when d.datconnlimit >= 0 and not r.rolsuper then d.datconnlimit - s.of_database::int end
           as free_for_database
from pg_roles r, pg_database d, lateral (
    select count(*) as sessions, count(*) filter (where usesysid = r.oid) as of_login,
           count(*) filter (where datid = d.oid) as of_database
    from pg_stat_activity where usesysid is not null and datid is not null and pid <> pg_backend_pid()) s
where r.rolname = session_user and d.datname = current_database()

-- name: missing_grants
-- What a job needs and its login may not: to read every table and view, and to write where a run writes (sql/roles.sql
-- grants it to bulkpoint_operator). A column stands where less than the whole table is enough.
with needed (privilege, relation, of_column) as (
    select 'select', relname::text, null
    from pg_class where relnamespace = to_regnamespace(quote_ident(current_schema())) and relkind in ('r', 'p', 'v')
      and not relispartition
    union all values
        ('update', 'campaign', 'last_event_no'),
        ('insert', 'campaign_run', null), ('update', 'campaign_run', null),
        ('insert', 'campaign_counter', null), ('update', 'campaign_counter', null),
        ('insert', 'call_tally', null), ('update', 'call_tally', null),
        ('insert', 'campaign_progress', null),
        ('update', 'payment', null),
        ('insert', 'payment_attempt', null),
        ('insert', 'money_limit', null), ('update', 'money_limit', null),
        ('insert', 'money_promise', null), ('update', 'money_promise', null),
        ('insert', 'money_transaction', null), ('update', 'money_transaction', null),
        ('insert', 'money_share', null), ('update', 'money_share', null), ('delete', 'money_share', null),
        ('insert', 'duplicate_list', null), ('update', 'duplicate_list', null),
        ('insert', 'judged_list', null), ('insert', 'campaign_finding', null), ('update', 'campaign_finding', 'facts'),
        ('insert', 'list_sample', null), ('update', 'list_sample', null),
        ('insert', 'run_request', 'request_id'), ('update', 'run_request', 'state'),
        ('insert', 'agent', 'host'), ('update', 'agent', 'alive_until'),
        ('insert', 'outbox_event', null), ('update', 'outbox_event', 'published_at'),
        ('insert', 'outbox_cursor', null), ('update', 'outbox_cursor', null),
        ('insert', 'notification', null), ('update', 'notification', null),
        ('insert', 'audit_event', null)
)
select privilege || ' on ' || relation as missing
from needed
where to_regclass(quote_ident(relation)) is not null
  and not case when of_column is null
      then has_table_privilege(to_regclass(quote_ident(relation)), privilege)
      else has_column_privilege(to_regclass(quote_ident(relation)), of_column, privilege) end
union all
select 'execute on ' || proname from pg_proc
where pronamespace = to_regnamespace(quote_ident(current_schema()))
  and proname in ('freeze_campaign', 'fold_call_tally') and not has_function_privilege(oid, 'execute')
order by 1
