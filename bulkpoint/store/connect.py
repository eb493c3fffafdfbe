"""Connections to PostgreSQL, and the one place where its errors become refusals."""

import os
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import psycopg
from psycopg.conninfo import make_conninfo

from bulkpoint.errors import RefusedError, UnreachableError, UsageError
from bulkpoint.rules.causes import Cause
from bulkpoint.rules.sqlstates import DEFECT, Decision, Ruling, ruling_of, ruling_of_refusal
from bulkpoint.store.database_address import where
from bulkpoint.store.session import settle_session

T = TypeVar("T")
Connection = psycopg.Connection[tuple[Any, ...]]

CONNECT_TIMEOUT_S = 5
# The kernel notices a vanished peer after this long, also in the middle of a statement.
TCP_USER_TIMEOUT_MS = 3_000
# A database that restarts or fails over is back within this time; no call is sent meanwhile.
PATIENCE_S = 120.0
# The pause before a question is asked again. Where connections are scarce, many workers wait for the same few.
ASK_AGAIN_S = 0.5
WAIT_S = 2.0


# What the server has none left of: the refusal, and what helps.
_SPENT = {
    Cause.TOO_MANY_CONNECTIONS: ("DATABASE_CONNECTIONS_SPENT", "more_connections"),
    Cause.LOCK_TABLE_FULL: ("DATABASE_LOCKS_SPENT", "more_locks"),
    Cause.DATABASE_OUT_OF_MEMORY: ("DATABASE_MEMORY_SPENT", "more_memory"),
}


class DatabaseAwayError(UnreachableError):
    """The database cannot be used now; a question that is asked again may be answered (rules/sqlstates.py)."""

    ruling: Ruling


@dataclass(frozen=True)
class Database:
    """How to connect: an address without password, and the file that holds the password."""

    url: str
    passfile: Path


def connect(conninfo: str, *, name: str = "bulkpoint") -> Connection:
    """Open an autocommit connection; `name` is what pg_stat_activity shows.

    Keeps no session state and prepares no statement, so it works behind a transaction pooler.
    Raises UnreachableError, with the server's own message; UsageError for an address that is none.
    """
    try:
        connection = psycopg.connect(
            conninfo,
            autocommit=True,
            application_name=name,
            connect_timeout=CONNECT_TIMEOUT_S,
            tcp_user_timeout=TCP_USER_TIMEOUT_MS,
            prepare_threshold=None,
            # Texts are sent and read in it, whatever a role or PGCLIENTENCODING says.
            client_encoding="utf8",
        )
    except psycopg.OperationalError as error:
        ruling = ruling_of_refusal(str(error))
        facts = {"database": where(conninfo), "why": first_line(error), "cause": ruling.cause}
        away = DatabaseAwayError(*_SPENT.get(ruling.cause, ("DATABASE_UNREACHABLE", "check_database")), **facts)
        away.ruling = ruling
        raise away from error
    except psycopg.ProgrammingError as error:
        raise UsageError("DATABASE_ADDRESS_NOT_UNDERSTOOD", why=first_line(error)) from error
    # Of transactions; a single statement gets it by settle_session, or is asked again (SQLSTATE 40001).
    connection.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
    try:
        with reachable(conninfo), answered_within(connection, CONNECT_TIMEOUT_S):
            settle_session(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def answers(conninfo: str, *, seconds: int) -> bool:
    """Whether a server there takes logins now, whoever asks; one that wants a password that we do not have does."""
    try:
        psycopg.connect(conninfo, connect_timeout=seconds, application_name="bulkpoint health").close()
    except psycopg.OperationalError as error:
        return ruling_of_refusal(str(error)).cause is Cause.LOGIN_REFUSED
    except psycopg.ProgrammingError:
        return False
    return True


def was_asked_for_password(connection: Connection) -> bool:
    """Whether the server wanted the password: one that lets this host in without (`trust`) has proven nothing."""
    return connection.pgconn.used_password


@contextmanager
def reachable(conninfo: str) -> Iterator[None]:
    """Turn an error of the database inside the block into what its SQLSTATE means (rules/sqlstates.py).

    Raises DatabaseAwayError where asking again may help, RefusedError where only a person can help; a DEFECT is raised
    as it is.
    """
    try:
        yield
    except psycopg.Error as error:
        ruling = _ruling_of(error)
        if ruling.decision is Decision.DEFECT:
            raise
        facts = {"database": where(conninfo), "why": first_line(error), "cause": ruling.cause}
        if ruling.cause is Cause.PERMISSION_DENIED:
            raise RefusedError("DATABASE_REFUSES_LOGIN", "grant_group_role", **facts) from error
        if ruling.decision is Decision.HALT:
            raise RefusedError("DATABASE_DAMAGED", "repair_database", **facts) from error
        lost = ruling.cause is Cause.DATABASE_WENT_AWAY
        said = ("DATABASE_WENT_AWAY" if lost else "DATABASE_NOT_USABLE",)
        away = DatabaseAwayError(*_SPENT.get(ruling.cause, said), **facts)
        away.ruling = ruling
        raise away from error


def is_defect(error: psycopg.Error) -> bool:
    """Whether the statement or its values are at fault, so that it fails the same way every time."""
    return _ruling_of(error).decision is Decision.DEFECT


def _ruling_of(error: psycopg.Error) -> Ruling:
    if error.sqlstate is None and not isinstance(error, psycopg.OperationalError):
        return DEFECT  # psycopg's own: a value that it cannot convert, a closed cursor
    return ruling_of(error.sqlstate, error.diag.message_hint)


@contextmanager
def answered_within(connection: Connection, seconds: float) -> Iterator[None]:
    """Break the connection when the statements inside the block are not answered in time.

    The kernel's time-outs see a dead peer, not a link that accepts bytes and returns none. The block then ends with
    psycopg.OperationalError, and the connection cannot be used again.
    """
    timer = threading.Timer(seconds, _break, (connection,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


class Link:
    """A connection that repairs itself: a question that was not answered is asked again on a new connection.

    For one thread. Questions must be safe to repeat (at-least-once): the lost reply may be that of a commit. With no
    patience a question is asked once, and the next one on a new connection.
    """

    def __init__(self, conninfo: str, *, name: str, answer_s_max: float, patience_s: float = PATIENCE_S) -> None:
        self._conninfo = conninfo
        self._name = name
        self._answer_s_max = answer_s_max
        self._patience_s = patience_s
        self._connection: Connection | None = None

    def ask(self, question: Callable[[Connection], T]) -> T:
        """The answer.

        Raises DatabaseAwayError when the database stays away for longer than the patience; at once what only a person
        or another statement can change: RefusedError, or psycopg's error for a DEFECT.
        """
        gives_up_at = time.monotonic() + self._patience_s
        while True:
            try:
                connection = self.open()
                with reachable(self._conninfo), answered_within(connection, self._answer_s_max):
                    return question(connection)
            except DatabaseAwayError as error:
                if error.ruling.decision is not Decision.AGAIN:
                    self.close()
                if time.monotonic() >= gives_up_at:
                    raise
                scarce = error.ruling.decision is Decision.WAIT
                time.sleep(WAIT_S * (0.5 + random.random()) if scarce else ASK_AGAIN_S)  # noqa: S311 (spreads workers)

    def open(self) -> Connection:
        """The connection, made where there is none. Raises DatabaseAwayError at once."""
        self._connection = self._connection or connect(self._conninfo, name=self._name)
        return self._connection

    def close(self) -> None:
        """Close the connection, if there is one; the next question opens a new one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class PeriodicLink:
    """A turn every `every_s` seconds, in a thread of its own with a link of its own, until `stop`.

    `turn` returns whether to go on. Its link asks each question once: `turn` itself handles DatabaseAwayError, and may
    wait for the next turn. Any other error ends the turns: it is kept as `trouble`, and `on_trouble` is called with it,
    in this thread, so that the owner does not go on as if the turns went on.

    link: one that is connected already, without patience; it is this thread's from now on.
    """

    def __init__(
        self,
        conninfo: str,
        turn: Callable[[Link], bool],
        *,
        name: str,
        thread_name: str,
        every_s: float,
        answer_s_max: float,
        on_trouble: Callable[[Exception], None],
        link: Link | None = None,
    ) -> None:
        self.trouble: Exception | None = None
        self._turn = turn
        self._every_s = every_s
        self._on_trouble = on_trouble
        self._link = link or Link(conninfo, name=name, answer_s_max=answer_s_max, patience_s=0)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=thread_name, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the turns; returns when the last one has ended."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            while not self._stopping.is_set() and self._turn(self._link):
                self._stopping.wait(self._every_s)
        except Exception as error:  # noqa: BLE001 (its owner learns it: nothing goes on as if the turns went on)
            self.trouble = error
            self._on_trouble(error)
        finally:
            self._link.close()


def _break(connection: Connection) -> None:
    with suppress(OSError, psycopg.OperationalError), socket.socket(fileno=os.dup(connection.fileno())) as link:
        link.shutdown(socket.SHUT_RDWR)


def refused_row(error: psycopg.Error) -> dict[str, str]:
    """What the database says about a row that it refuses: why, and which row."""
    return {"why": error.diag.message_primary or first_line(error), "row": error.diag.context or "?"}


def first_line(error: Exception) -> str:
    """What an error says, without its details."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__


def with_passfile(conninfo: str, passfile: Path) -> str:
    """The same database, with the path of its password file: for processes without our environment."""
    return make_conninfo(conninfo, passfile=str(passfile))
