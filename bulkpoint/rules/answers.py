"""What an answer of the money API means for its payment: one table for calls, one for look-ups.

Three things are kept apart. The API's own answer, as its adapter reads it: only that can say that a payment is
credited, refused, or not there. A reply of something in between, a gateway or a proxy (`foreign`). No reply at all
(`unanswered`). After the last two the API may have credited it without our knowledge, so the same key is sent again,
and the payment never fails as anything but UNKNOWN.

These values are named tuples: a payment makes three of them, and a frozen dataclass costs three times as much to make.
"""

import string
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from bulkpoint.rules.lifecycle import FailureKind
from bulkpoint.text import clean

MESSAGE_CHARACTERS_MAX = 500
CODE_CHARACTERS_MAX = 100
TRANSACTION_ID_CHARACTERS_MAX = 200


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
    """What the money API says it credited; amount in points."""

    campaign_id: int
    member_id: str
    amount: int


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
    LOOK_UP = "LOOK_UP"  # never sent again in this run: only looked up, while tries are left


class Halt(StrEnum):
    """Why a run must not go on: what a partition writes on it."""

    UNAUTHORIZED = "UNAUTHORIZED"
    MISMATCH = "MISMATCH"
    NOT_DEDUPLICATED = "NOT_DEDUPLICATED"  # another transaction id for a payment that has one
    SAME_TRANSACTION = "SAME_TRANSACTION"  # one transaction id for two payments
    DEFECT = "DEFECT"
    MONEY_UNAVAILABLE = "MONEY_UNAVAILABLE"
    MONEY_STOPPED = "MONEY_STOPPED"  # the adapter says that nothing more may be sent
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

    # The money API's own answers
    CREDITED = "CREDITED"
    ACCEPTED = "ACCEPTED"
    IN_PROGRESS = "IN_PROGRESS"
    REJECTED = "REJECTED"
    UNAUTHORIZED = "UNAUTHORIZED"
    MISMATCH = "MISMATCH"
    THROTTLED = "THROTTLED"
    NOT_TAKEN = "NOT_TAKEN"
    SERVER_ERROR = "SERVER_ERROR"
    UNREADABLE = "UNREADABLE"
    STOPPED = "STOPPED"
    # of something in between
    FOREIGN = "FOREIGN"
    # none
    NOT_CONNECTED = "NOT_CONNECTED"
    NOT_SENT = "NOT_SENT"
    TIMED_OUT = "TIMED_OUT"
    LOST = "LOST"
    # of look-ups
    FOUND = "FOUND"
    FOUND_OTHER = "FOUND_OTHER"
    NOT_FOUND = "NOT_FOUND"
    NOT_FOUND_YET = "NOT_FOUND_YET"
    NO_ANSWER = "NO_ANSWER"


class Answer(NamedTuple):
    """What was understood of one call, by the adapter or without it. A field is None where there is no such value.

    outcome: a row of CALL_OUTCOMES, also for a look-up; NOT_FOUND of a look-up only. credit: what the money API says it
    credited, where it says so. retry_after_s: seconds to wait before this payment's next call, at least.
    """

    outcome: Outcome
    transaction_id: str | None = None
    code: str | None = None
    message: str | None = None
    retry_after_s: float | None = None
    credit: Credit | None = None


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
    # 200 and 201 with a transaction id, and nothing that contradicts it
    Outcome.CREDITED: OutcomeRule(
        _YES, Action.SUCCEED, "credited now, or earlier under this key: a replay gives the first id"
    ),
    # of other APIs, as 202: it works on the payment, and must be asked, not sent to, until it is done
    Outcome.ACCEPTED: OutcomeRule(
        _PERHAPS, Action.LOOK_UP, "the payment is in the API's own queue and may be credited", FailureKind.UNKNOWN
    ),
    # 409 with a code
    Outcome.IN_PROGRESS: OutcomeRule(
        _PERHAPS, Action.RETRY, "an earlier call with this key is still at work and may credit", FailureKind.UNKNOWN
    ),
    # every other 4xx with a code
    Outcome.REJECTED: OutcomeRule(
        _NO, Action.FAIL, "money refuses this payment, and would again", FailureKind.REJECTED
    ),
    # 401, 403 with a code
    Outcome.UNAUTHORIZED: OutcomeRule(
        _NO, Action.RETURN, "our right, not the payment, is wrong", counts_as_try=False, halt=Halt.UNAUTHORIZED
    ),
    # 422 with a code
    Outcome.MISMATCH: OutcomeRule(
        _NO, Action.FAIL, "this key has another body at money: two truths", FailureKind.MISMATCH, halt=Halt.MISMATCH
    ),
    # 429, whoever sends it
    Outcome.THROTTLED: OutcomeRule(
        _NO,
        Action.WAIT,
        "too fast for money; the payment is not to blame",
        counts_as_try=False,
        overload=Overload.THROTTLED,
    ),
    # 408, 425, and 503 with Retry-After, with a code
    Outcome.NOT_TAKEN: OutcomeRule(
        _NO, Action.RETRY, "money says it did not begin", FailureKind.UNAVAILABLE, overload=Overload.FAILING
    ),
    # of other APIs: nothing more may be sent, as when the budget behind the campaign is used up
    Outcome.STOPPED: OutcomeRule(
        _PERHAPS, Action.RETURN, "the API wants no more calls", counts_as_try=False, halt=Halt.MONEY_STOPPED
    ),
    # any 4xx without a code: the page of a gateway, which is no answer of the API
    Outcome.FOREIGN: OutcomeRule(
        _PERHAPS,
        Action.RETRY,
        "something in between answered; whether the API was asked is not known",
        FailureKind.UNKNOWN,
        overload=Overload.FAILING,
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
    # 1xx, 2xx that cannot be believed or is too large, 3xx, no HTTP
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
    # of other APIs: it took the payment, and refused it later
    Outcome.REJECTED: OutcomeRule(_NO, Action.FAIL, "money refused this payment in the end", FailureKind.REJECTED),
    # of other APIs: it still works on the payment
    Outcome.ACCEPTED: OutcomeRule(
        _PERHAPS, Action.LOOK_UP, "the payment is still in the API's own queue", FailureKind.UNKNOWN
    ),
    # 404 with the code KEY_NOT_FOUND, when it is proof
    Outcome.NOT_FOUND: OutcomeRule(_NO, Action.FAIL, "money would know it by now", FailureKind.UNAVAILABLE),
    # the same, when it is not
    Outcome.NOT_FOUND_YET: OutcomeRule(
        _PERHAPS, Action.RETRY, "a call may still be on its way, or money has forgotten the key", FailureKind.UNKNOWN
    ),
    Outcome.UNAUTHORIZED: OutcomeRule(
        _PERHAPS, Action.RETURN, "our right is wrong", counts_as_try=False, halt=Halt.UNAUTHORIZED
    ),
    Outcome.STOPPED: OutcomeRule(
        _PERHAPS, Action.RETURN, "the API wants no more calls", counts_as_try=False, halt=Halt.MONEY_STOPPED
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

_TROUBLES: dict[CallTrouble, Outcome] = {
    CallTrouble.NOT_CONNECTED: Outcome.NOT_CONNECTED,
    CallTrouble.NOT_SENT: Outcome.NOT_SENT,
    CallTrouble.TIMED_OUT: Outcome.TIMED_OUT,
    CallTrouble.RESET: Outcome.LOST,
    CallTrouble.TOO_LARGE: Outcome.UNREADABLE,
    CallTrouble.GARBLED: Outcome.UNREADABLE,
    CallTrouble.SENT_TWICE: Outcome.LOST,
}

# What programs print for an id that they do not have. With letters in lower case.
_NO_IDS = frozenset(
    {"null", "none", "nil", "undefined", "nan", "n/a", "na", "void", "empty", "unknown", "true", "false"}
    | {"[object object]", "(null)", "<null>", "<nil>"}
)
_NO_ID_CHARACTERS_MAX = max(map(len, _NO_IDS))
# An id of nothing else is no name of anything: "-", "...", "0", "00000000-0000-0000-0000-000000000000".
_SAYS_NOTHING = string.punctuation + string.whitespace + "0"


_CREDITED = Outcome.CREDITED  # a member of an enum is slow to look up, and this is asked of every answer


def classify(answer: Answer) -> Verdict:
    """What the answer to a POST means."""
    outcome = answer.outcome
    if outcome is _CREDITED:
        if not is_transaction_id(answer.transaction_id):
            outcome = Outcome.UNREADABLE
    elif outcome not in CALL_OUTCOMES:
        outcome = Outcome.UNREADABLE
    return _verdict(outcome, CALL_OUTCOMES[outcome], answer)


def classify_look_up(answer: Answer, *, asked: Credit, absence_is_proof: bool) -> Verdict:
    """What the answer to a GET of a payment's key means.

    asked: what the payment should have credited. absence_is_proof: whether "not found" means "not credited"; see
    retry.absence_proven_in_s.
    """
    outcome = answer.outcome
    match outcome:
        case Outcome.CREDITED if is_transaction_id(answer.transaction_id):
            outcome = Outcome.FOUND if answer.credit in (None, asked) else Outcome.FOUND_OTHER
        case Outcome.NOT_FOUND if not absence_is_proof:
            outcome = Outcome.NOT_FOUND_YET
        case _ if outcome not in _ANSWERS_TO_LOOK_UPS:
            outcome = Outcome.NO_ANSWER
    return _verdict(outcome, LOOK_UP_OUTCOMES[outcome], answer)


# As an adapter or `unanswered` gives them.
_ANSWERS_TO_LOOK_UPS = LOOK_UP_OUTCOMES.keys() - {Outcome.FOUND, Outcome.FOUND_OTHER, Outcome.NOT_FOUND_YET}


def foreign(status: int, *, retry_after_s: float | None) -> Answer:
    """The meaning of a complete reply that is not the money API's own: a gateway's page, or nothing we know.

    A 429 slows us down whoever sends it. Nothing else of it is believed.
    """
    if status == 429:
        outcome = Outcome.THROTTLED
    elif 400 <= status < 500:
        outcome = Outcome.FOREIGN
    else:
        outcome = Outcome.SERVER_ERROR if 500 <= status < 600 else Outcome.UNREADABLE
    return Answer(outcome, retry_after_s=retry_after_s)


def unanswered(trouble: CallTrouble, status: int | None, *, message: str | None, retry_after_s: float | None) -> Answer:
    """The meaning of a call without a complete reply. status: where the headers of one arrived; they are believed as
    little as a page. message: why there is no reply.
    """
    if status is not None and status >= 400 and trouble not in _NO_HEAD:
        return foreign(status, retry_after_s=retry_after_s)._replace(message=message)
    return Answer(_TROUBLES[trouble], message=message, retry_after_s=retry_after_s)


def is_transaction_id(text: object) -> bool:
    """Whether this can be the money API's name of one credit: printable text that says something."""
    return (
        type(text) is str
        and 0 < len(text) <= TRANSACTION_ID_CHARACTERS_MAX
        and text.isprintable()
        and text[0] != " " != text[-1]  # nothing else is printable space: see str.isprintable
        and (len(text) > _NO_ID_CHARACTERS_MAX or text.lower() not in _NO_IDS)
        and _says_something(text)
    )


def _says_something(text: str) -> bool:
    rest = text.strip(_SAYS_NOTHING)
    return rest != "" and (rest.isascii() or any(character.isalnum() for character in rest))


def _verdict(outcome: Outcome, row: OutcomeRule, answer: Answer) -> Verdict:
    return Verdict(
        outcome,
        row.credited,
        row.action,
        row.kind,
        row.counts_as_try,
        row.halt,
        row.overload,
        answer.retry_after_s,
        answer.transaction_id if row.credited is _YES else None,
        None if answer.code is None else clean(answer.code, CODE_CHARACTERS_MAX),
        None if answer.message is None else clean(answer.message, MESSAGE_CHARACTERS_MAX),
    )
