"""Can this version work with the database?"""

import psycopg

from bulkpoint import files
from bulkpoint.errors import RefusedError
from bulkpoint.rules.migrations import refusal
from bulkpoint.store.connect import Connection
from bulkpoint.store.rows import Query

_APPLIED = Query("list_migrations", str)
_IS_EMPTY = Query("is_empty_database", bool)


def shipped_migrations() -> list[str]:
    """The names of the migrations that came with this code, in order."""
    return files.list_names("sql/migrations")


def refuse_other_version(connection: Connection) -> None:
    """Raises RefusedError where the database lacks migrations that this code needs, or has some that may break it."""
    try:
        applied = _APPLIED.all(connection)
    except psycopg.errors.UndefinedTable as error:
        raise RefusedError("DATABASE_EMPTY", "migrate_database") from error
    refused = refusal(shipped_migrations(), applied)
    if refused is not None:
        raise RefusedError(refused)


def refuse_empty_database(connection: Connection) -> None:
    """Raises RefusedError where nobody has made our tables; also for a login that may not look at any."""
    if _IS_EMPTY.one(connection):
        raise RefusedError("DATABASE_EMPTY", "migrate_database")
