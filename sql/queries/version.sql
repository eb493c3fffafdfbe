-- name: list_migrations
select name from migration
