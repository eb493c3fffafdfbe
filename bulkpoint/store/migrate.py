"""Forward-only migrations: sql/migrations/NNNN_*.sql, each once, in order."""

import psycopg

from bulkpoint import files
from bulkpoint.errors import RefusedError
from bulkpoint.store.connect import connect, reachable

# Any constant will do: it makes two migrating processes take turns.
MIGRATION_LOCK = 5_171_985_001
OLDEST_SERVER = 150_000


def migrate(conninfo: str) -> list[str]:
    """Bring the database to this version's tables; safe to run twice and by two processes at once.

    Returns the names of the migrations applied now, in order. Raises RefusedError for a server older than
    PostgreSQL 15 and for a database that a newer bulkpoint has already moved on.
    """
    names = sorted(name for name in files.list_names("sql/migrations") if name.endswith(".sql"))
    with connect(conninfo) as connection, connection.transaction():
        if connection.info.server_version < OLDEST_SERVER:
            raise RefusedError(
                f"PostgreSQL {connection.info.server_version // 10_000} is too old: bulkpoint needs 15 or later."
            )
        connection.execute("select pg_advisory_xact_lock(%s)", (MIGRATION_LOCK,))
        connection.execute(
            "create table if not exists migration"
            " (name text primary key, applied_at timestamptz not null default clock_timestamp())"
        )
        applied = {name for (name,) in connection.execute("select name from migration")}
        unknown = sorted(applied - set(names))
        if unknown:
            raise RefusedError(
                f"The database has migration {unknown[-1]}, which this bulkpoint does not know:"
                " a newer version has been here. Use that version."
            )
        missing = [name for name in names if name not in applied]
        for name in missing:
            _apply(connection, name)
    return missing


def _apply(connection: psycopg.Connection[tuple[object, ...]], name: str) -> None:
    connection.execute(files.read_text(f"sql/migrations/{name}").encode())
    connection.execute("insert into migration (name) values (%s)", (name,))


def make_roles(conninfo: str) -> None:
    """Make the group roles of sql/roles.sql and grant each what it needs; safe to repeat.

    Raises RefusedError where this login may not make roles, or does not own the tables.
    """
    with connect(conninfo) as connection, reachable(conninfo), connection.transaction():
        connection.execute(files.read_text("sql/roles.sql").encode())
