-- name: list_migrations
select name from migration

-- name: is_empty_database
-- The catalog knows it, which every login may read.
select not exists (select from pg_catalog.pg_class where relname = 'migration' and relkind = 'r')
