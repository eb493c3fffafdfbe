"""What an error of PostgreSQL means for the one who asked: one decision, and a cause, for every SQLSTATE.

    AGAIN      the question was undone, and may be asked again at once on the same connection
    RECONNECT  this connection is of no use any more; a new one may reach a server that answers (failover)
    WAIT       the same, with a longer pause: the server has too little of something, and more questions make it worse
    HALT       only a person can change it: stop, and say what to do; asking again is of use only to save results
    DEFECT     the statement or its values are wrong: it fails the same way every time

Every question is safe to repeat (store/connect.py), so AGAIN, RECONNECT and WAIT are only bounded by the patience.
Money is safe in each case: without renewals no call leaves, and what left is recorded later or found again by its key.
Source: PostgreSQL, Appendix A, "PostgreSQL Error Codes".
"""

import re
from enum import StrEnum
from typing import NamedTuple

from bulkpoint.rules.causes import Cause


class Decision(StrEnum):
    """What the one who asked does next."""

    AGAIN = "AGAIN"
    RECONNECT = "RECONNECT"
    WAIT = "WAIT"
    HALT = "HALT"
    DEFECT = "DEFECT"


class Ruling(NamedTuple):
    """What to do, and why the database could not be used."""

    decision: Decision
    cause: Cause


_AGAIN, _RECONNECT, _WAIT, _HALT = Decision.AGAIN, Decision.RECONNECT, Decision.WAIT, Decision.HALT

LOST = Ruling(_RECONNECT, Cause.DATABASE_WENT_AWAY)
DEFECT = Ruling(Decision.DEFECT, Cause.DATABASE_REFUSES_STATEMENT)

# By SQLSTATE, else by its class, its first two characters. A state that is in neither is a DEFECT.
RULINGS: dict[str, Ruling] = {
    # The connection was refused, cut, or garbled.
    "08": LOST,
    # A transaction state that we never ask for: a pooler or a server mixed up this session.
    "25": LOST,
    # The primary is one no more, or is being switched over: it may answer reads for a long time.
    "25006": Ruling(_RECONNECT, Cause.DATABASE_READ_ONLY),
    # The server closed the session because of a time-out that a DBA set, and that could not be switched off.
    "25P03": Ruling(_RECONNECT, Cause.TRANSACTION_TIMEOUT),
    "25P04": Ruling(_RECONNECT, Cause.TRANSACTION_TIMEOUT),
    # A statement was prepared on another server connection of a pooler; we prepare none.
    "26": LOST,
    # The password file is read again for every new connection: a password that was changed may be there soon.
    "28": Ruling(_RECONNECT, Cause.LOGIN_REFUSED),
    # A database that is being restored or renamed is missing for a moment.
    "3D": Ruling(_RECONNECT, Cause.DATABASE_MISSING),
    # Serialization failure, deadlock: undone as a whole.
    "40": Ruling(_AGAIN, Cause.TRANSACTION_CONFLICT),
    # Is missing or not granted to this login: only a person can change that.
    "42501": Ruling(_HALT, Cause.PERMISSION_DENIED),
    # Out of a resource.
    "53": Ruling(_WAIT, Cause.DATABASE_OVERLOADED),
    # Space comes back: old WAL is removed, a disk is enlarged. Nothing that was committed is lost.
    "53100": Ruling(_WAIT, Cause.DISK_FULL),
    # Of a process, or of the memory that all share: then locks that others have are in the way (LOCK_TABLE_FULL).
    "53200": Ruling(_WAIT, Cause.DATABASE_OUT_OF_MEMORY),
    "53300": Ruling(_WAIT, Cause.TOO_MANY_CONNECTIONS),
    # Objects in use, or not in the state that they must be in; the next attempt may find another state.
    "55": Ruling(_AGAIN, Cause.LOCK_TIMEOUT),
    # An operator's intervention; also 57P05, a session that was idle for too long.
    "57": Ruling(_RECONNECT, Cause.DATABASE_WENT_AWAY),
    # A statement timeout, or pg_cancel_backend.
    "57014": Ruling(_AGAIN, Cause.STATEMENT_TIMEOUT),
    "57P01": Ruling(_RECONNECT, Cause.DATABASE_SHUTTING_DOWN),
    "57P02": Ruling(_RECONNECT, Cause.DATABASE_SHUTTING_DOWN),
    "57P03": Ruling(_RECONNECT, Cause.DATABASE_SHUTTING_DOWN),
    "57P04": Ruling(_RECONNECT, Cause.DATABASE_MISSING),
    # The server's own disk or system calls fail: a failover helps.
    "58": Ruling(_RECONNECT, Cause.DATABASE_FAULTY),
    # An internal error: a server that runs out of something, or a bug of it; results are kept until it is over.
    "XX": Ruling(_RECONNECT, Cause.DATABASE_FAULTY),
    # Damaged data: nothing that we repeat makes it whole, and writing more may make it worse.
    "XX001": Ruling(_HALT, Cause.DATABASE_FAULTY),
    "XX002": Ruling(_HALT, Cause.DATABASE_FAULTY),
}

# Both are 53200. The hint names the setting in every language that the server may speak.
LOCK_TABLE_FULL = Ruling(_WAIT, Cause.LOCK_TABLE_FULL)
_SETTING_OF_LOCKS = "max_locks_per_transaction"

# libpq gives no SQLSTATE for a connection that was refused, only the server's words. They are used to name the cause;
# the decision is to try again in any case, so a server that speaks another language changes only that name.
_SAID_ON_CONNECTING = (
    (
        r"too many connections|too many clients|connection slots are reserved|no more connections allowed"
        r"|query_wait_timeout|connection limit exceeded|more connections|cannot connect now, too many",
        RULINGS["53300"],
    ),
    (
        r"password authentication failed|no password supplied|no pg_hba\.conf entry|role .* does not exist",
        RULINGS["28"],
    ),
    (r"is not permitted to log in|authentication failed", RULINGS["28"]),
    (r"database .* does not exist|not currently accepting connections", RULINGS["3D"]),
    (r"starting up|shutting down|in recovery mode|not yet accepting connections", RULINGS["57P03"]),
    (r"session is read-only|session is not read-only|server is in hot standby mode", RULINGS["25006"]),
    (r"No space left on device", RULINGS["53100"]),
    (r"out of shared memory", LOCK_TABLE_FULL),
    (r"out of memory", RULINGS["53200"]),
)


def ruling_of(sqlstate: str | None, hint: str | None = None) -> Ruling:
    """The decision for an error of an open connection; without a SQLSTATE the connection itself was lost.

    hint: what the server says besides the error itself.
    """
    if sqlstate is None:
        return LOST
    if sqlstate == "53200" and _SETTING_OF_LOCKS in (hint or ""):
        return LOCK_TABLE_FULL
    return RULINGS.get(sqlstate) or RULINGS.get(sqlstate[:2]) or DEFECT


def ruling_of_refusal(message: str) -> Ruling:
    """The decision for a connection that could not be made, by what the server or libpq said."""
    for words, ruling in _SAID_ON_CONNECTING:
        if re.search(words, message, re.IGNORECASE):
            return ruling
    return Ruling(_RECONNECT, Cause.DATABASE_UNREACHABLE)
