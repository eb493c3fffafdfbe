"""Several statements that read one snapshot."""

from collections.abc import Iterator
from contextlib import contextmanager

from psycopg.pq import TransactionStatus

from bulkpoint.store.connect import Connection
from bulkpoint.store.rows import Query
from bulkpoint.store.sql import sql

_LIMIT = Query("limit_statements", str)


@contextmanager
def one_snapshot(connection: Connection) -> Iterator[None]:
    """Everything that the block reads is from one snapshot; it changes nothing, and its times are in UTC.

    Inside `reading` it is that block's snapshot.
    """
    is_inside = connection.info.transaction_status != TransactionStatus.IDLE
    with connection.transaction():
        if not is_inside:
            connection.execute(sql("begin_snapshot"))
            connection.execute(sql("times_in_utc"))
        yield


@contextmanager
def reading(connection: Connection, *, statement_s_max: float) -> Iterator[None]:
    """The same for whoever asks from outside: a statement that takes longer than that is cancelled."""
    with one_snapshot(connection):
        _LIMIT.one(connection, milliseconds=str(round(statement_s_max * 1000)))
        yield
