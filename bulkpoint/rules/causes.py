"""Why something could not be reached, or what came back could not be used: one name for programs, and for people.

A client of the money API says it in `Reply.cause`. Where the answer has no code of its own, the cause's name is stored
in its place (payment_attempt.code, payment.failure_code). Its words are under [causes] of both languages.
"""

from enum import StrEnum


class Cause(StrEnum):
    """One reason, as specific as the client knows it."""

    # no connection: nothing was sent
    CONNECTION_REFUSED = "CONNECTION_REFUSED"
    NAME_NOT_RESOLVED = "NAME_NOT_RESOLVED"
    CONNECT_TIMED_OUT = "CONNECT_TIMED_OUT"
    NO_ROUTE = "NO_ROUTE"
    NO_LOCAL_PORT = "NO_LOCAL_PORT"
    TOO_MANY_OPEN_FILES = "TOO_MANY_OPEN_FILES"
    CERTIFICATE_NOT_TRUSTED = "CERTIFICATE_NOT_TRUSTED"
    CERTIFICATE_EXPIRED = "CERTIFICATE_EXPIRED"
    CERTIFICATE_NOT_YET_VALID = "CERTIFICATE_NOT_YET_VALID"
    CERTIFICATE_OF_ANOTHER_NAME = "CERTIFICATE_OF_ANOTHER_NAME"
    NOT_TLS = "NOT_TLS"
    TLS_FAILED = "TLS_FAILED"
    SPOKE_FIRST = "SPOKE_FIRST"  # a server of another protocol: it sends before it is asked
    NOT_CONNECTED = "NOT_CONNECTED"  # none of these
    # it left, and no whole answer came back
    TIMED_OUT = "TIMED_OUT"
    RESET = "RESET"
    CLOSED = "CLOSED"
    CUT = "CUT"
    GARBLED = "GARBLED"
    TOO_LARGE = "TOO_LARGE"
    # a whole answer, and not one of the money API
    REDIRECTED = "REDIRECTED"
    PAGE = "PAGE"
    EMPTY = "EMPTY"
    NOT_THE_CONTRACT = "NOT_THE_CONTRACT"
    # the database: rules/sqlstates.py says which of its errors is which, and what follows
    DATABASE_UNREACHABLE = "DATABASE_UNREACHABLE"
    DATABASE_WENT_AWAY = "DATABASE_WENT_AWAY"
    DATABASE_SHUTTING_DOWN = "DATABASE_SHUTTING_DOWN"
    DATABASE_READ_ONLY = "DATABASE_READ_ONLY"
    DATABASE_MISSING = "DATABASE_MISSING"
    DATABASE_OVERLOADED = "DATABASE_OVERLOADED"
    DATABASE_OUT_OF_MEMORY = "DATABASE_OUT_OF_MEMORY"
    LOCK_TABLE_FULL = "LOCK_TABLE_FULL"
    DATABASE_FAULTY = "DATABASE_FAULTY"
    DATABASE_REFUSES_STATEMENT = "DATABASE_REFUSES_STATEMENT"
    TOO_MANY_CONNECTIONS = "TOO_MANY_CONNECTIONS"
    LOGIN_REFUSED = "LOGIN_REFUSED"
    PERMISSION_DENIED = "PERMISSION_DENIED"
    DISK_FULL = "DISK_FULL"
    STATEMENT_TIMEOUT = "STATEMENT_TIMEOUT"
    LOCK_TIMEOUT = "LOCK_TIMEOUT"
    TRANSACTION_TIMEOUT = "TRANSACTION_TIMEOUT"
    TRANSACTION_CONFLICT = "TRANSACTION_CONFLICT"


def cause_of_answer(status: int | None, body: bytes) -> Cause:
    """Why a whole answer without a code of the contract's cannot be used."""
    if status is not None and 300 <= status < 400:
        return Cause.REDIRECTED
    start = body.lstrip()[:1]
    if not start:
        return Cause.EMPTY
    return Cause.PAGE if start == b"<" else Cause.NOT_THE_CONTRACT
