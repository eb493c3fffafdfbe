"""What every command that needs the database begins with."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bulkpoint.streams import say_on_stderr

if TYPE_CHECKING:
    from bulkpoint.settings import Settings
    from bulkpoint.store.connect import Connection


@dataclass(frozen=True)
class Session:
    """The settings, the database they name, a connection to it, and who asks."""

    settings: "Settings"
    database_url: str
    connection: "Connection"
    actor: str


@contextmanager
def open_session() -> Iterator[Session]:
    """The database stays up while the block runs; an embedded one is made and migrated as needed.

    Raises what settings, database and connection raise: one sentence each.
    """
    from bulkpoint.campaigns.run_request import asker
    from bulkpoint.cli.output import show_times_in
    from bulkpoint.database import connection_target
    from bulkpoint.settings import load_settings
    from bulkpoint.store.connect import connect, reachable
    from bulkpoint.store.migrate import migrate
    from bulkpoint.store.version import refuse_other_version

    settings = load_settings()
    show_times_in(settings.timezone)
    with connection_target(settings) as database:
        if settings.database_url is None:
            migrate(database.url)
        with connect(database.url) as connection, reachable(database.url):
            refuse_other_version(connection)
            yield Session(settings, database.url, connection, asker(settings))


def say(line: str) -> None:
    """One line for people, dropped where stderr does not take it; stdout is for results."""
    say_on_stderr(line)
