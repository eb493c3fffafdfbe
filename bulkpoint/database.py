"""The database of this deployment: an external PostgreSQL, or the embedded one while a process uses it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from bulkpoint.settings import Settings
from bulkpoint.store.connect import Database
from bulkpoint.store.database_address import passfile_of


@contextmanager
def connection_target(settings: Settings) -> Iterator[Database]:
    """The database that the settings name; it accepts connections while the block runs.

    PGPASSFILE is set in this process's environment during the block, because libpq, the JDBC driver in a JVM started
    from here and the workers of that JVM all find the password by it.

    Raises:
        UnreachableError: the embedded server does not start. An external one is not tried here.
        UsageError: the address is one that libpq does not understand.
    """
    if settings.database_url is not None:
        yield Database(settings.database_url, passfile_of(settings.database_url))
        return
    # Not even imported if the database is an external one.
    from bulkpoint.embedded.postgres import embedded_postgres
    from bulkpoint.embedded.postgres_programs import PostgresPrograms

    with embedded_postgres(settings.data_dir, PostgresPrograms(jar=settings.postgres_jar)) as database:
        before = os.environ.get("PGPASSFILE")
        os.environ["PGPASSFILE"] = str(database.passfile)
        try:
            yield database
        finally:
            if before is None:
                os.environ.pop("PGPASSFILE", None)
            else:
                os.environ["PGPASSFILE"] = before
