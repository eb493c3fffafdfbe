-- name: has_right
-- For the login that opened the session, whatever role it has set since.
select session_user::text as login, exists (
    select from operator_right where login = session_user and permission = %(permission)s) as has_it

-- name: sees_members
select sees_members()

-- name: list_rights
select login::text, permission, granted_at from operator_right order by login, permission

-- name: login_exists
select exists (select from pg_roles where rolname = %(login)s and rolcanlogin)

-- name: grant_right
insert into operator_right (login, permission) values (%(login)s, %(permission)s) on conflict do nothing

-- name: revoke_right
delete from operator_right where login = %(login)s and permission = %(permission)s

-- name: may_look
-- Whether the login of this session may read what everyone who looks may read; the table that a login without rights on
-- the schema asks for does not exist for it.
select coalesce(has_table_privilege(to_regclass('operator_right'), 'select')
                and has_table_privilege(to_regclass('campaign'), 'select'), false)

-- name: own_rights
select permission from operator_right where login = session_user order by permission
