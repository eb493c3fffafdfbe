-- name: has_right
-- For the login that opened the session, whatever role it has set since.
select session_user::text as login, exists (
    select from operator_right where login = session_user and permission = %(permission)s) as has_it

-- name: list_rights
select login::text, permission, granted_at from operator_right order by login, permission

-- name: login_exists
select exists (select from pg_roles where rolname = %(login)s and rolcanlogin)

-- name: grant_right
insert into operator_right (login, permission) values (%(login)s, %(permission)s) on conflict do nothing

-- name: revoke_right
delete from operator_right where login = %(login)s and permission = %(permission)s
