"""Connections to PostgreSQL, and the one place where its refusals become sentences."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from bulkpoint.errors import UnreachableError

Connection = psycopg.Connection[tuple[Any, ...]]

CONNECT_TIMEOUT_S = 5
# A peer that vanished is noticed by the kernel after this long, also in the middle of a statement.
TCP_USER_TIMEOUT_MS = 3_000


def connect(conninfo: str, *, name: str = "bulkpoint") -> Connection:
    """Open an autocommit connection; `name` is what pg_stat_activity shows.

    Keeps no session state and prepares no statement, so it works behind a transaction pooler.
    Raises UnreachableError, with the server's own words.
    """
    try:
        return psycopg.connect(
            conninfo,
            autocommit=True,
            application_name=name,
            connect_timeout=CONNECT_TIMEOUT_S,
            tcp_user_timeout=TCP_USER_TIMEOUT_MS,
            prepare_threshold=None,
        )
    except psycopg.OperationalError as error:
        raise UnreachableError(
            f"The database {where(conninfo)} cannot be reached: {_first_line(error)}."
            " Check BULKPOINT_DATABASE_URL, the server and the password file (PGPASSFILE)."
        ) from error


@contextmanager
def reachable(conninfo: str) -> Iterator[None]:
    """Turn a connection that breaks inside the block into an UnreachableError."""
    try:
        yield
    except psycopg.OperationalError as error:
        raise UnreachableError(f"The database {where(conninfo)} went away: {_first_line(error)}.") from error


def where(conninfo: str) -> str:
    """Host, port and database for people; never a password."""
    parts = conninfo_to_dict(conninfo)
    return f"{parts.get('host', 'localhost')}:{parts.get('port', 5432)}/{parts.get('dbname', '')}"


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
