"""Forward-only migrations, each once, in order; for their names and the rule behind them see rules/migrations.py."""

import psycopg

from bulkpoint import files
from bulkpoint.errors import RefusedError
from bulkpoint.rules.migrations import needed, refusal
from bulkpoint.store.connect import connect, reachable
from bulkpoint.store.version import shipped_migrations

# Any constant works: it makes two migrating processes take turns.
MIGRATION_LOCK = 5_171_985_001
OLDEST_SERVER = 150_000


def migrate(conninfo: str, *, before_only: bool = False) -> list[str]:
    """Bring the database to this version's tables; safe to run twice and by two processes at once.

    before_only: only what the previous version, which may still be running, can work with. Returns the names of the
    migrations applied now, in order. Raises what refuse_unsuitable_server raises, and RefusedError for a database that
    a newer bulkpoint has already changed, or where this login may not make tables.
    """
    shipped = shipped_migrations()
    wanted = needed(shipped) if before_only else shipped
    with connect(conninfo) as connection, reachable(conninfo), connection.transaction():
        refuse_unsuitable_server(connection)
        connection.execute("select pg_advisory_xact_lock(%s)", (MIGRATION_LOCK,))
        connection.execute(
            "create table if not exists migration"
            " (name text primary key, applied_at timestamptz not null default clock_timestamp())"
        )
        applied = {name for (name,) in connection.execute("select name from migration")}
        refused = refusal([], applied - set(shipped))
        if refused is not None:
            raise RefusedError(refused)
        missing = [name for name in wanted if name not in applied]
        for name in missing:
            _apply(connection, name)
    return missing


def refuse_unsuitable_server(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    """Raise RefusedError for a server older than PostgreSQL 15, and for a database that cannot hold every member id."""
    version = connection.info.server_version
    if version < OLDEST_SERVER:
        raise RefusedError("SERVER_TOO_OLD", version=version // 10_000, oldest=OLDEST_SERVER // 10_000)
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        name = connection.info.dbname
        raise RefusedError("DATABASE_NOT_UTF8", "make_utf8_database", encoding=encoding, name=name)


def _apply(connection: psycopg.Connection[tuple[object, ...]], name: str) -> None:
    connection.execute(files.read_text(f"sql/migrations/{name}").encode())
    connection.execute("insert into migration (name) values (%s)", (name,))


def make_roles(conninfo: str) -> None:
    """Make the group roles of sql/roles.sql and grant each what it needs; safe to repeat.

    Raises RefusedError where this login may not make roles, or does not own the tables.
    """
    with connect(conninfo) as connection, reachable(conninfo), connection.transaction():
        connection.execute(files.read_text("sql/roles.sql").encode())
