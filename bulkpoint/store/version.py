"""Is the database one that this version can work with?"""

import psycopg

from bulkpoint import files
from bulkpoint.errors import RefusedError
from bulkpoint.store.connect import Connection
from bulkpoint.store.sql import sql


def refuse_other_version(connection: Connection) -> None:
    """Raises RefusedError where migrations are missing, or where a newer bulkpoint has been."""
    shipped = {name for name in files.list_names("sql/migrations") if name.endswith(".sql")}
    try:
        applied = {name for (name,) in connection.execute(sql("list_migrations"))}
    except psycopg.errors.UndefinedTable as error:
        raise RefusedError("The database has no tables of bulkpoint's yet. Run: bulkpoint db migrate") from error
    if shipped - applied:
        raise RefusedError("The database is older than this bulkpoint. Run: bulkpoint db migrate")
    if applied - shipped:
        raise RefusedError(
            f"The database has migration {max(applied - shipped)}, which this bulkpoint does not know:"
            " a newer version has been here. Use that version."
        )
