"""What an answer of money means for the payment it was asked for: one table for calls, one for look-ups.

The rule behind both: only what money clearly refused is not credited. Where money may have credited without our
knowing it, the same key is sent again, and the row is never called failed, but unknown.

These values are named tuples: a payment makes three of them, and a frozen dataclass costs three times as much to make.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from bulkpoint.rules.lifecycle import FailureKind

MESSAGE_CHARACTERS_MAX = 500
CODE_CHARACTERS_MAX = 100


class Trouble(StrEnum):
    """What went wrong with a call, where no whole answer came."""

    NOT_CONNECTED = "NOT_CONNECTED"  # refused, unresolved, TLS failed, or no connection in time: nothing left
    NOT_SENT = "NOT_SENT"  # the gate said no: nothing left
    TIMED_OUT = "TIMED_OUT"  # it left, and no whole answer came in time
    RESET = "RESET"  # it left, or part of it, and the connection ended before a whole answer
    TOO_LARGE = "TOO_LARGE"  # it left, and the answer is larger than we read
    GARBLED = "GARBLED"  # it left, and the answer is not HTTP
    SENT_TWICE = "SENT_TWICE"  # it left, the connection died, and the client's own second send was refused


# Beside the others, a status is the head of money's own answer.
_NO_HEAD = frozenset({Trouble.NOT_CONNECTED, Trouble.NOT_SENT, Trouble.GARBLED, Trouble.SENT_TWICE})


class Credit(NamedTuple):
    """What money says it credited, in the answer to a look-up."""

    campaign_id: int
    member_id: str
    amount: int


class Observed(NamedTuple):
    """What was seen of one wire call. A field is none where the answer has none that can be read.

    `status` may be there beside `trouble`: the head of the answer came, the rest did not.
    """

    status: int | None
    trouble: Trouble | None = None
    retry_after_s: float | None = None
    transaction_id: str | None = None
    code: str | None = None
    message: str | None = None
    credit: Credit | None = None  # of a look-up


class Credited(StrEnum):
    """Has this call credited the member?"""

    YES = "YES"
    NO = "NO"
    PERHAPS = "PERHAPS"


class Action(StrEnum):
    """What the payment does next."""

    SUCCEED = "SUCCEED"
    FAIL = "FAIL"
    RETRY = "RETRY"  # again with the same key, while tries are left
    WAIT = "WAIT"  # again with the same key, however often: it says nothing about this payment; the patience bounds it
    RETURN = "RETURN"  # back to PENDING as if it had not been claimed


class Halt(StrEnum):
    """Why a run must not go on: what a partition writes on it."""

    UNAUTHORIZED = "UNAUTHORIZED"
    MISMATCH = "MISMATCH"
    NOT_DEDUPLICATED = "NOT_DEDUPLICATED"  # another transaction id for a payment that has one
    DEFECT = "DEFECT"
    MONEY_UNAVAILABLE = "MONEY_UNAVAILABLE"
    TOO_MANY_FAILURES = "TOO_MANY_FAILURES"


class Strain(StrEnum):
    """What the call says about money itself, whatever it means for this payment."""

    NONE = "NONE"
    SLOW_DOWN = "SLOW_DOWN"  # lower the rate
    DOWN = "DOWN"  # lower the rate, and count it for the breaker


class Answer(StrEnum):
    """The rows of the tables; an attempt is stored under this name."""

    CREDITED = "CREDITED"
    IN_PROGRESS = "IN_PROGRESS"
    REJECTED = "REJECTED"
    UNAUTHORIZED = "UNAUTHORIZED"
    MISMATCH = "MISMATCH"
    THROTTLED = "THROTTLED"
    NOT_TAKEN = "NOT_TAKEN"
    NOT_CONNECTED = "NOT_CONNECTED"
    NOT_SENT = "NOT_SENT"
    TIMED_OUT = "TIMED_OUT"
    LOST = "LOST"
    UNREADABLE = "UNREADABLE"
    SERVER_ERROR = "SERVER_ERROR"
    # of look-ups
    FOUND = "FOUND"
    FOUND_OTHER = "FOUND_OTHER"
    NOT_FOUND = "NOT_FOUND"
    NOT_FOUND_YET = "NOT_FOUND_YET"
    NO_ANSWER = "NO_ANSWER"


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table. `kind`: what the payment fails as, at once (FAIL) or when its tries are spent (RETRY)."""

    credited: Credited
    action: Action
    why: str
    kind: FailureKind | None = None
    counts_as_try: bool = True
    halt: Halt | None = None
    strain: Strain = Strain.NONE


class Meaning(NamedTuple):
    """A row of the table, with what this answer brought along. `code` and `message` are clean and short."""

    answer: Answer
    credited: Credited
    action: Action
    failure_kind: FailureKind | None
    counts_as_try: bool
    halt: Halt | None
    strain: Strain
    retry_after_s: float | None
    transaction_id: str | None
    code: str | None
    message: str | None


_YES, _NO, _PERHAPS = Credited.YES, Credited.NO, Credited.PERHAPS

CALLS: dict[Answer, Row] = {
    # 200 and 201 with a transaction id
    Answer.CREDITED: Row(_YES, Action.SUCCEED, "credited now, or earlier under this key: a replay gives the first id"),
    # 409
    Answer.IN_PROGRESS: Row(
        _PERHAPS, Action.RETRY, "an earlier call with this key is still at work and may credit", FailureKind.UNKNOWN
    ),
    # every other 4xx
    Answer.REJECTED: Row(_NO, Action.FAIL, "money refuses this payment, and would again", FailureKind.REJECTED),
    # 401, 403
    Answer.UNAUTHORIZED: Row(
        _NO, Action.RETURN, "our right, not the payment, is wrong", counts_as_try=False, halt=Halt.UNAUTHORIZED
    ),
    # 422
    Answer.MISMATCH: Row(
        _NO, Action.FAIL, "this key has another body at money: two truths", FailureKind.MISMATCH, halt=Halt.MISMATCH
    ),
    # 429
    Answer.THROTTLED: Row(
        _NO,
        Action.WAIT,
        "too fast for money; the payment is not to blame",
        counts_as_try=False,
        strain=Strain.SLOW_DOWN,
    ),
    # 408, 425, 503 with Retry-After
    Answer.NOT_TAKEN: Row(
        _NO, Action.RETRY, "money says it did not begin", FailureKind.UNAVAILABLE, strain=Strain.DOWN
    ),
    # connection refused, or none in time: no try of this payment, since one that was never sent is never FAILED
    Answer.NOT_CONNECTED: Row(_NO, Action.WAIT, "nothing left", counts_as_try=False, strain=Strain.DOWN),
    Answer.NOT_SENT: Row(_NO, Action.RETURN, "nothing left: the gate was closed", counts_as_try=False),
    Answer.TIMED_OUT: Row(
        _PERHAPS, Action.RETRY, "it left, no answer in time", FailureKind.UNKNOWN, strain=Strain.DOWN
    ),
    # reset after sending
    Answer.LOST: Row(_PERHAPS, Action.RETRY, "it left, the answer was lost", FailureKind.UNKNOWN, strain=Strain.DOWN),
    # 1xx, 2xx without a transaction id or too large, 3xx, no HTTP
    Answer.UNREADABLE: Row(
        _PERHAPS, Action.RETRY, "an answer, and not one the contract knows", FailureKind.UNKNOWN, strain=Strain.DOWN
    ),
    # other 5xx
    Answer.SERVER_ERROR: Row(
        _PERHAPS, Action.RETRY, "money broke, before or after the credit", FailureKind.UNKNOWN, strain=Strain.DOWN
    ),
}

LOOK_UPS: dict[Answer, Row] = {
    # 200 with the transaction id, campaign, member and amount that were asked for
    Answer.FOUND: Row(_YES, Action.SUCCEED, "money has the credit"),
    # 200 with another campaign, member or amount
    Answer.FOUND_OTHER: Row(
        _PERHAPS, Action.FAIL, "this key has another body at money: two truths", FailureKind.UNKNOWN, halt=Halt.MISMATCH
    ),
    # 404, when it is proof
    Answer.NOT_FOUND: Row(_NO, Action.FAIL, "money would know it by now", FailureKind.UNAVAILABLE),
    # 404, when it is not
    Answer.NOT_FOUND_YET: Row(
        _PERHAPS, Action.RETRY, "a call may still be on its way, or money has forgotten the key", FailureKind.UNKNOWN
    ),
    Answer.UNAUTHORIZED: Row(
        _PERHAPS, Action.RETURN, "our right is wrong", counts_as_try=False, halt=Halt.UNAUTHORIZED
    ),
    Answer.THROTTLED: Row(_PERHAPS, Action.WAIT, "too fast for money", counts_as_try=False, strain=Strain.SLOW_DOWN),
    Answer.NOT_SENT: Row(_PERHAPS, Action.RETURN, "nothing left: the gate was closed", counts_as_try=False),
    # anything else
    Answer.NO_ANSWER: Row(_PERHAPS, Action.RETRY, "nothing learnt", FailureKind.UNKNOWN, strain=Strain.DOWN),
}

_STATUSES: dict[int, Answer] = {
    401: Answer.UNAUTHORIZED,
    403: Answer.UNAUTHORIZED,
    408: Answer.NOT_TAKEN,
    409: Answer.IN_PROGRESS,
    422: Answer.MISMATCH,
    425: Answer.NOT_TAKEN,
    429: Answer.THROTTLED,
}

_TROUBLES: dict[Trouble, Answer] = {
    Trouble.NOT_CONNECTED: Answer.NOT_CONNECTED,
    Trouble.NOT_SENT: Answer.NOT_SENT,
    Trouble.TIMED_OUT: Answer.TIMED_OUT,
    Trouble.RESET: Answer.LOST,
    Trouble.TOO_LARGE: Answer.UNREADABLE,
    Trouble.GARBLED: Answer.UNREADABLE,
    Trouble.SENT_TWICE: Answer.LOST,
}


def understand(observed: Observed) -> Meaning:
    """What the answer to a POST means."""
    answer = _answer_of_call(observed)
    return _meaning(answer, CALLS[answer], observed)


def understand_look_up(observed: Observed, *, asked: Credit, absence_is_proof: bool) -> Meaning:
    """What the answer to a GET of a payment's key means.

    asked: what the payment should have credited. absence_is_proof: whether a 404 means "not credited"; see
    retry.proof_in_s.
    """
    answer = _answer_of_look_up(observed, asked, absence_is_proof)
    return _meaning(answer, LOOK_UPS[answer], observed)


def _answer_of_call(observed: Observed) -> Answer:
    status, trouble = observed.status, observed.trouble
    if trouble is not None and (status is None or status < 400 or trouble in _NO_HEAD):
        return _TROUBLES[trouble]
    if status in (200, 201) and observed.transaction_id:
        return Answer.CREDITED
    if status is None or not 400 <= status <= 599:
        return Answer.UNREADABLE
    if status < 500:
        return _STATUSES.get(status, Answer.REJECTED)
    return Answer.NOT_TAKEN if status == 503 and observed.retry_after_s is not None else Answer.SERVER_ERROR


def _answer_of_look_up(observed: Observed, asked: Credit, absence_is_proof: bool) -> Answer:
    if observed.trouble in _NO_HEAD:
        return Answer.NOT_SENT if observed.trouble is Trouble.NOT_SENT else Answer.NO_ANSWER
    match observed.status:
        case 200 if observed.trouble is None and observed.transaction_id and observed.credit:
            return Answer.FOUND if observed.credit == asked else Answer.FOUND_OTHER
        case 404:
            return Answer.NOT_FOUND if absence_is_proof else Answer.NOT_FOUND_YET
        case 401 | 403:
            return Answer.UNAUTHORIZED
        case 429:
            return Answer.THROTTLED
    return Answer.NO_ANSWER


def _meaning(answer: Answer, row: Row, observed: Observed) -> Meaning:
    return Meaning(
        answer,
        row.credited,
        row.action,
        row.kind,
        row.counts_as_try,
        row.halt,
        row.strain,
        observed.retry_after_s,
        observed.transaction_id if row.credited is _YES else None,
        None if observed.code is None else clean(observed.code, CODE_CHARACTERS_MAX),
        None if observed.message is None else clean(observed.message, MESSAGE_CHARACTERS_MAX),
    )


def clean(text: str, characters_max: int) -> str:
    """Text of others, fit for a database, a terminal and a CSV file: what cannot be printed becomes U+FFFD."""
    text = text[:characters_max]
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
