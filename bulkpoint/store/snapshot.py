"""Several statements that read one snapshot."""

from collections.abc import Iterator
from contextlib import contextmanager

from bulkpoint.store.connect import Connection
from bulkpoint.store.sql import sql


@contextmanager
def one_snapshot(connection: Connection) -> Iterator[None]:
    """Everything that the block reads is from one snapshot; it changes nothing, and its times are in UTC."""
    with connection.transaction():
        connection.execute(sql("begin_snapshot"))
        connection.execute(sql("times_in_utc"))
        yield
