"""Makes a session ours: without the time-outs and the isolation that a DBA may have set on the login or the database.

The time-outs that count are our own: those of store/connect.py, and the leases.
"""

from typing import TYPE_CHECKING

from bulkpoint.store.rows import Query
from bulkpoint.store.sql import sql

if TYPE_CHECKING:
    from bulkpoint.store.connect import Connection

_SESSION = Query("settle_session", str)
_TRANSACTION = Query("settle_transaction", str)


def settle_session(connection: "Connection") -> None:
    """Set what the session needs; nothing behind a transaction pooler, where the next statement may have another."""
    _SESSION.all(connection, pid=connection.info.backend_pid)


def settle_transaction(connection: "Connection") -> None:
    """Switch off the login's time-outs for the present transaction, whose duration nobody knows in advance."""
    _TRANSACTION.all(connection)


def settle_transaction_statement() -> str:
    """The same for Spark's reader, which runs it at the beginning of the transaction in which it reads."""
    return sql(_TRANSACTION.name).decode()
