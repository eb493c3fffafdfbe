"""What an answer of the money API means for its payment: one table for calls, one for look-ups.

The rule behind both: a payment is "not credited" only where the money API clearly refused it. Where the API may have
credited it without our knowledge, the same key is sent again, and the payment never fails as anything but UNKNOWN.

These values are named tuples: a payment makes three of them, and a frozen dataclass costs three times as much to make.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from bulkpoint.rules.lifecycle import FailureKind
from bulkpoint.text import clean

MESSAGE_CHARACTERS_MAX = 500
CODE_CHARACTERS_MAX = 100


class CallTrouble(StrEnum):
    """What went wrong with a call that got no complete answer."""

    NOT_CONNECTED = "NOT_CONNECTED"  # refused, unresolved, TLS failed, or no connection in time: nothing was sent
    NOT_SENT = "NOT_SENT"  # the gate refused: nothing was sent
    TIMED_OUT = "TIMED_OUT"  # sent, and no complete answer in time
    RESET = "RESET"  # sent, at least in part, and the connection ended before a complete answer
    TOO_LARGE = "TOO_LARGE"  # sent, and the answer is larger than we read
    GARBLED = "GARBLED"  # sent, and the answer is not HTTP
    SENT_TWICE = "SENT_TWICE"  # sent, the connection died, and the client's automatic second send was refused


# With any other trouble a status may be present: the response headers of the money API arrived.
_NO_HEAD = frozenset({CallTrouble.NOT_CONNECTED, CallTrouble.NOT_SENT, CallTrouble.GARBLED, CallTrouble.SENT_TWICE})


class Credit(NamedTuple):
    """What the money API says it credited, in the answer to a look-up."""

    campaign_id: int
    member_id: str
    amount: int


class CallResult(NamedTuple):
    """What was seen of one wire call. A field is None where the answer has no readable value for it.

    `status` may be set together with `trouble`: the headers of the answer arrived, the rest did not.
    """

    status: int | None
    trouble: CallTrouble | None = None
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
    WAIT = "WAIT"  # again with the same key, without limit: the answer is not about this payment; the patience ends it
    RETURN = "RETURN"  # back to PENDING as if it had not been claimed


class Halt(StrEnum):
    """Why a run must not go on: what a partition writes on it."""

    UNAUTHORIZED = "UNAUTHORIZED"
    MISMATCH = "MISMATCH"
    NOT_DEDUPLICATED = "NOT_DEDUPLICATED"  # another transaction id for a payment that has one
    DEFECT = "DEFECT"
    MONEY_UNAVAILABLE = "MONEY_UNAVAILABLE"
    TOO_MANY_FAILURES = "TOO_MANY_FAILURES"
    DATABASE_REFUSED = "DATABASE_REFUSED"  # a permission is missing, or data are damaged: only a person can help
    STALLED = "STALLED"  # nothing could be sent for too long, and the money API is not the cause


class Overload(StrEnum):
    """What the call says about the money API itself, whatever it means for this payment."""

    NONE = "NONE"
    THROTTLED = "THROTTLED"  # lower the rate
    FAILING = "FAILING"  # lower the rate, and count it for the breaker


class Outcome(StrEnum):
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
class OutcomeRule:
    """One row of a table. `kind`: why the payment fails, at once (FAIL) or when its tries are used up (RETRY)."""

    credited: Credited
    action: Action
    why: str
    kind: FailureKind | None = None
    counts_as_try: bool = True
    halt: Halt | None = None
    overload: Overload = Overload.NONE


class Verdict(NamedTuple):
    """A row of the table, with the values of this answer. `code` and `message` are cleaned and shortened."""

    outcome: Outcome
    credited: Credited
    action: Action
    failure_kind: FailureKind | None
    counts_as_try: bool
    halt: Halt | None
    overload: Overload
    retry_after_s: float | None
    transaction_id: str | None
    code: str | None
    message: str | None


_YES, _NO, _PERHAPS = Credited.YES, Credited.NO, Credited.PERHAPS

CALL_OUTCOMES: dict[Outcome, OutcomeRule] = {
    # 200 and 201 with a transaction id
    Outcome.CREDITED: OutcomeRule(
        _YES, Action.SUCCEED, "credited now, or earlier under this key: a replay gives the first id"
    ),
    # 409
    Outcome.IN_PROGRESS: OutcomeRule(
        _PERHAPS, Action.RETRY, "an earlier call with this key is still at work and may credit", FailureKind.UNKNOWN
    ),
    # every other 4xx
    Outcome.REJECTED: OutcomeRule(
        _NO, Action.FAIL, "money refuses this payment, and would again", FailureKind.REJECTED
    ),
    # 401, 403
    Outcome.UNAUTHORIZED: OutcomeRule(
        _NO, Action.RETURN, "our right, not the payment, is wrong", counts_as_try=False, halt=Halt.UNAUTHORIZED
    ),
    # 422
    Outcome.MISMATCH: OutcomeRule(
        _NO, Action.FAIL, "this key has another body at money: two truths", FailureKind.MISMATCH, halt=Halt.MISMATCH
    ),
    # 429
    Outcome.THROTTLED: OutcomeRule(
        _NO,
        Action.WAIT,
        "too fast for money; the payment is not to blame",
        counts_as_try=False,
        overload=Overload.THROTTLED,
    ),
    # 408, 425, 503 with Retry-After
    Outcome.NOT_TAKEN: OutcomeRule(
        _NO, Action.RETRY, "money says it did not begin", FailureKind.UNAVAILABLE, overload=Overload.FAILING
    ),
    # connection refused, or none in time: not a try, because a payment that was never sent is never FAILED
    Outcome.NOT_CONNECTED: OutcomeRule(
        _NO, Action.WAIT, "nothing left", counts_as_try=False, overload=Overload.FAILING
    ),
    Outcome.NOT_SENT: OutcomeRule(_NO, Action.RETURN, "nothing left: the gate was closed", counts_as_try=False),
    Outcome.TIMED_OUT: OutcomeRule(
        _PERHAPS, Action.RETRY, "it left, no answer in time", FailureKind.UNKNOWN, overload=Overload.FAILING
    ),
    # reset after sending
    Outcome.LOST: OutcomeRule(
        _PERHAPS, Action.RETRY, "it left, the answer was lost", FailureKind.UNKNOWN, overload=Overload.FAILING
    ),
    # 1xx, 2xx without a transaction id or too large, 3xx, no HTTP
    Outcome.UNREADABLE: OutcomeRule(
        _PERHAPS,
        Action.RETRY,
        "an answer, and not one the contract knows",
        FailureKind.UNKNOWN,
        overload=Overload.FAILING,
    ),
    # other 5xx
    Outcome.SERVER_ERROR: OutcomeRule(
        _PERHAPS,
        Action.RETRY,
        "money broke, before or after the credit",
        FailureKind.UNKNOWN,
        overload=Overload.FAILING,
    ),
}

LOOK_UP_OUTCOMES: dict[Outcome, OutcomeRule] = {
    # 200 with the transaction id, campaign, member and amount that were asked for
    Outcome.FOUND: OutcomeRule(_YES, Action.SUCCEED, "money has the credit"),
    # 200 with another campaign, member or amount
    Outcome.FOUND_OTHER: OutcomeRule(
        _PERHAPS, Action.FAIL, "this key has another body at money: two truths", FailureKind.UNKNOWN, halt=Halt.MISMATCH
    ),
    # 404, when it is proof
    Outcome.NOT_FOUND: OutcomeRule(_NO, Action.FAIL, "money would know it by now", FailureKind.UNAVAILABLE),
    # 404, when it is not
    Outcome.NOT_FOUND_YET: OutcomeRule(
        _PERHAPS, Action.RETRY, "a call may still be on its way, or money has forgotten the key", FailureKind.UNKNOWN
    ),
    Outcome.UNAUTHORIZED: OutcomeRule(
        _PERHAPS, Action.RETURN, "our right is wrong", counts_as_try=False, halt=Halt.UNAUTHORIZED
    ),
    Outcome.THROTTLED: OutcomeRule(
        _PERHAPS, Action.WAIT, "too fast for money", counts_as_try=False, overload=Overload.THROTTLED
    ),
    Outcome.NOT_SENT: OutcomeRule(_PERHAPS, Action.RETURN, "nothing left: the gate was closed", counts_as_try=False),
    # anything else
    Outcome.NO_ANSWER: OutcomeRule(
        _PERHAPS, Action.RETRY, "nothing learnt", FailureKind.UNKNOWN, overload=Overload.FAILING
    ),
}

_STATUSES: dict[int, Outcome] = {
    401: Outcome.UNAUTHORIZED,
    403: Outcome.UNAUTHORIZED,
    408: Outcome.NOT_TAKEN,
    409: Outcome.IN_PROGRESS,
    422: Outcome.MISMATCH,
    425: Outcome.NOT_TAKEN,
    429: Outcome.THROTTLED,
}

_TROUBLES: dict[CallTrouble, Outcome] = {
    CallTrouble.NOT_CONNECTED: Outcome.NOT_CONNECTED,
    CallTrouble.NOT_SENT: Outcome.NOT_SENT,
    CallTrouble.TIMED_OUT: Outcome.TIMED_OUT,
    CallTrouble.RESET: Outcome.LOST,
    CallTrouble.TOO_LARGE: Outcome.UNREADABLE,
    CallTrouble.GARBLED: Outcome.UNREADABLE,
    CallTrouble.SENT_TWICE: Outcome.LOST,
}


def classify(observed: CallResult) -> Verdict:
    """What the answer to a POST means."""
    answer = _outcome_of_call(observed)
    return _verdict(answer, CALL_OUTCOMES[answer], observed)


def classify_look_up(observed: CallResult, *, asked: Credit, absence_is_proof: bool) -> Verdict:
    """What the answer to a GET of a payment's key means.

    asked: what the payment should have credited. absence_is_proof: whether a 404 means "not credited"; see
    retry.absence_proven_in_s.
    """
    answer = _outcome_of_look_up(observed, asked, absence_is_proof)
    return _verdict(answer, LOOK_UP_OUTCOMES[answer], observed)


def _outcome_of_call(observed: CallResult) -> Outcome:
    status, trouble = observed.status, observed.trouble
    if trouble is not None and (status is None or status < 400 or trouble in _NO_HEAD):
        return _TROUBLES[trouble]
    if status in (200, 201) and observed.transaction_id:
        return Outcome.CREDITED
    if status is None or not 400 <= status <= 599:
        return Outcome.UNREADABLE
    if status < 500:
        return _STATUSES.get(status, Outcome.REJECTED)
    return Outcome.NOT_TAKEN if status == 503 and observed.retry_after_s is not None else Outcome.SERVER_ERROR


def _outcome_of_look_up(observed: CallResult, asked: Credit, absence_is_proof: bool) -> Outcome:
    if observed.trouble in _NO_HEAD:
        return Outcome.NOT_SENT if observed.trouble is CallTrouble.NOT_SENT else Outcome.NO_ANSWER
    match observed.status:
        case 200 if observed.trouble is None and observed.transaction_id and observed.credit:
            return Outcome.FOUND if observed.credit == asked else Outcome.FOUND_OTHER
        case 404:
            return Outcome.NOT_FOUND if absence_is_proof else Outcome.NOT_FOUND_YET
        case 401 | 403:
            return Outcome.UNAUTHORIZED
        case 429:
            return Outcome.THROTTLED
    return Outcome.NO_ANSWER


def _verdict(answer: Outcome, row: OutcomeRule, observed: CallResult) -> Verdict:
    return Verdict(
        answer,
        row.credited,
        row.action,
        row.kind,
        row.counts_as_try,
        row.halt,
        row.overload,
        observed.retry_after_s,
        observed.transaction_id if row.credited is _YES else None,
        None if observed.code is None else clean(observed.code, CODE_CHARACTERS_MAX),
        None if observed.message is None else clean(observed.message, MESSAGE_CHARACTERS_MAX),
    )
