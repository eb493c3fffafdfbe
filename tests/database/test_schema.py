"""sql/schema.sql shows what the migrations make, and the migrations keep their rules."""

from collections.abc import Iterator
from difflib import unified_diff
from urllib.parse import urlsplit

import psycopg
import pytest

from bulkpoint import files
from bulkpoint.rules.migrations import needed, refusal
from bulkpoint.store.connect import Connection, connect
from bulkpoint.store.migrate import migrate
from bulkpoint.store.version import refuse_other_version, shipped_migrations
from tests.world.refusals import refused

# One line for everything that a migration can change, in words that a difference can be read in.
CATALOG = b"""
with relation as (
    select c.oid, c.relkind, c.reloptions, c.relacl,
           format('%s %s', case c.relkind when 'v' then 'view' else 'table' end, c.relname) as name
    from pg_class c
    where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v') and c.relname <> 'migration'
)
select format('%s column %s: %s', r.name, a.attname, concat_ws(' ', format_type(a.atttypid, a.atttypmod),
              'collate ' || nullif(l.collname, 'default'), case when a.attnotnull then 'not null' end,
              'default ' || pg_get_expr(d.adbin, d.adrelid), 'identity ' || nullif(a.attidentity::text, '')))
from relation r
join pg_attribute a on a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped
left join pg_attrdef d on d.adrelid = r.oid and d.adnum = a.attnum
left join pg_collation l on l.oid = a.attcollation
union all
select concat_ws(' ', name, 'partition by ' || pg_get_partkeydef(oid), 'with ' || reloptions::text,
                 'grants ' || relacl::text)
from relation
union all
select format('%s constraint %s: %s', r.name, c.conname, pg_get_constraintdef(c.oid))
from relation r join pg_constraint c on c.conrelid = r.oid
union all
select format('%s index: %s', r.name, pg_get_indexdef(i.indexrelid))
from relation r join pg_index i on i.indrelid = r.oid
union all
select format('%s trigger: %s', r.name, pg_get_triggerdef(t.oid))
from relation r join pg_trigger t on t.tgrelid = r.oid where not t.tgisinternal
union all
select format('%s: %s', name, pg_get_viewdef(oid)) from relation where relkind = 'v'
union all
select format('function grants %s: %s', proacl, pg_get_functiondef(oid))
from pg_proc where pronamespace = 'public'::regnamespace and prokind <> 'a'
union all
select format('aggregate %s: %s of %s from %L', p.oid::regprocedure, a.aggtransfn, a.aggtranstype::regtype,
              a.agginitval)
from pg_aggregate a join pg_proc p on p.oid = a.aggfnoid where p.pronamespace = 'public'::regnamespace
union all
select format('type %s: %s', t.typname, string_agg(e.enumlabel, ', ' order by e.enumsortorder))
from pg_type t join pg_enum e on e.enumtypid = t.oid where t.typnamespace = 'public'::regnamespace group by t.typname
union all
select 'row of audit_head: ' || audit_head::text from audit_head
union all
select format('row of operator_right: %s %s', login, permission) from operator_right
"""


def catalog(connection: Connection) -> list[str]:
    """Everything that migrations make, a line of text for each line of its definition, in a fixed order."""
    return [line for (entry,) in sorted(connection.execute(CATALOG)) for line in entry.splitlines()]


def difference(one: list[str], other: list[str]) -> str:
    return "\n".join(unified_diff(one, other, "what the migrations make", "sql/schema.sql", n=0, lineterm=""))


@pytest.fixture
def empty(connection: Connection, database_url: str) -> Iterator[str]:
    """The address of a database without a table."""
    name = f"{connection.info.dbname}_empty"
    connection.execute(f"create database {name}".encode())
    yield urlsplit(database_url)._replace(path=f"/{name}").geturl()
    connection.execute(f"drop database {name} with (force)".encode())


def test_the_schema_file_shows_what_the_migrations_make(connection: Connection, empty: str) -> None:
    with connect(empty) as shown:
        shown.execute(files.read_text("sql/schema.sql").encode())
        assert difference(catalog(connection), catalog(shown)) == ""


def test_a_difference_between_schema_file_and_migrations_is_named(connection: Connection) -> None:
    before = catalog(connection)
    connection.execute("alter table payment alter column tries drop not null")
    changed = difference(before, catalog(connection)).splitlines()
    assert "-table payment column tries: smallint not null default 0" in changed
    assert "+table payment column tries: smallint default 0" in changed


def test_migrating_twice_changes_nothing(database_url: str) -> None:
    assert migrate(database_url) == []


def test_a_database_without_tables_is_refused_and_then_migrated(empty: str) -> None:
    with connect(empty) as connection:
        with refused("no tables of bulkpoint's yet. Run: bulkpoint db migrate", code="DATABASE_EMPTY"):
            refuse_other_version(connection)
        assert migrate(empty, before_only=True) == needed(shipped_migrations())
        refuse_other_version(connection)


def test_a_version_lives_with_the_next_ones_migrations_until_those_that_come_after_its_deployment(
    connection: Connection, database_url: str
) -> None:
    connection.execute("insert into migration (name) values ('9000_before_new_column.sql')")
    refuse_other_version(connection)
    assert migrate(database_url) == []
    connection.execute("insert into migration (name) values ('9001_after_old_column.sql')")
    with refused("has migration 9001_after_old_column.sql, .* a newer version has been here", code="DATABASE_NEWER"):
        refuse_other_version(connection)
    with refused("a newer version has been here", code="DATABASE_NEWER"):
        migrate(database_url)


def test_an_older_database_is_refused(connection: Connection) -> None:
    connection.execute("delete from migration")
    with refused("older than this bulkpoint. Run: bulkpoint db migrate", code="DATABASE_OLDER"):
        refuse_other_version(connection)


def test_views_of_live_runs_and_shares_cost_no_plan_of_their_own(connection: Connection) -> None:
    """They are names for a condition: PostgreSQL puts their tables in their place."""
    for view, table in (("live_run", "campaign_run"), ("live_share", "money_share")):
        plan = connection.execute(f"explain (costs off) select from {view} where run_id = 1".encode()).fetchall()
        lines = [line.strip() for (line,) in plan]
        assert f" on {table}" in lines[0], plan
        assert not [line for line in lines if "Subquery" in line or "CTE" in line], plan


def test_a_migration_that_was_applied_half_leaves_nothing(empty: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = files.read_text
    monkeypatch.setattr(files, "read_text", lambda name: real(name) + "select 1 / 0;")
    with pytest.raises(psycopg.errors.DivisionByZero):
        migrate(empty)
    with connect(empty) as connection:
        assert connection.execute("select count(*) from pg_class where relname = 'campaign'").fetchone() == (0,)


def test_missing_last_steps_are_no_reason_to_refuse() -> None:
    shipped = ["0001_before_a.sql", "0002_after_b.sql", "0003_before_c.sql", "0004_after_d.sql"]
    assert needed(shipped) == shipped[:3]
    assert refusal(shipped, shipped[:3]) is None
    assert refusal(shipped, shipped[:2]) is not None
