"""What happens to a payment after a call, and when it may be sent again. Durations in seconds; no clock is read."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import NamedTuple

from bulkpoint.rules.answers import Action, Credited, Halt, Outcome, Overload, Verdict
from bulkpoint.rules.lifecycle import FailureKind, PaymentState
from bulkpoint.rules.promises import MoneyPromises

# The money API cannot make a payment or a share wait longer: one absurd header must not keep a run from ending.
RETRY_AFTER_S_MAX = 60.0
# After a 429 without Retry-After, or without a connection: then a new second has begun at the money API, too.
WAIT_S_MIN = 1.0
# Between two look-ups of a payment that the API has accepted and not yet credited: 2 s, 4 s ... so that the tries of a
# run last for a minute.
ASK_AGAIN_FACTOR = 2.0
# Look-ups of one payment in a run, in addition to the retries: one soon, one when "not found" is proof.
LOOK_UPS_MAX = 2

# The code of a payment that was refused, and then became too old to be sent again; record_results knows it too.
KEY_TOO_OLD = "KEY_TOO_OLD"
# Refusals of one payment, while it is in hand, that are not its own fault and so are no tries. A gateway that refuses
# more than it lets through for minutes is not waited out payment by payment.
UNCOUNTED_TRIES_MAX = 50
# 408, 425 and 503: the answers of a server, or of the limiter before it, that has too much to do.
_TOO_BUSY = frozenset({408, 425, 503})

# Rows that failed together must not come back together.
JITTER_S = 0.3

# Tries so far in this run (1 or more) -> seconds to wait before the next one; None: no more tries.
NextTry = Callable[[int], float | None]


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """At most `retries` repeated calls of a payment in a run, `backoff_s` apart: fixed, not exponential.

    The gate already keeps calls apart, and the money API's Retry-After comes on top. random: returns a new number from
    0 to 1 each time.
    """

    retries: int
    backoff_s: float
    random: Callable[[], float]

    def wait_s(self) -> float:
        """Seconds before a call is repeated."""
        return self.backoff_s + JITTER_S * self.random()

    def next_try(self, tries: int) -> float | None:
        """A NextTry: seconds to wait after this many tries; None: no tries are left."""
        return self.wait_s() if tries <= self.retries else None

    @property
    def calls_max(self) -> int:
        """At most this many POSTs and GETs, together, of one payment in a run."""
        return 1 + self.retries + LOOK_UPS_MAX


class Decision(NamedTuple):
    """The payment after the call: what the recorder writes.

    state is SUCCESS, FAILED or PENDING. tries: calls of this run that count against the retry limit. wait_s, of a
    PENDING one: seconds until it may be sent, or looked up, again; None: give it back now, the answer was not about
    this payment. not_credited: the money API itself said so. refused: so has it refused this payment, which is REJECTED
    as soon as no earlier call has credited it.
    """

    state: PaymentState
    tries: int
    maybe_credited: bool
    wait_s: float | None = None
    transaction_id: str | None = None
    failure_kind: FailureKind | None = None
    failure_code: str | None = None
    failure_message: str | None = None
    halt: Halt | None = None
    not_credited: bool = False
    refused: bool = False


def is_a_try(verdict: Verdict, status: int | None, *, crowded: bool, uncounted: int) -> bool:
    """Whether a call counts against the retry limit of its payment.

    A refusal for want of room does not, while others' calls are answered (crowded): it says nothing about this payment.
    uncounted: calls of this payment that did not count so far.
    """
    if not verdict.counts_as_try:
        return False
    too_busy = verdict.outcome in (Outcome.NOT_TAKEN, Outcome.FOREIGN) or (
        verdict.overload is Overload.FAILING and status in _TOO_BUSY
    )
    return not (too_busy and crowded and uncounted < UNCOUNTED_TRIES_MAX)


def decide(verdict: Verdict, *, tries: int, maybe_credited: bool, next_try: NextTry, counts: bool = True) -> Decision:
    """What happens to a payment after the answer to a POST.

    tries: those of this run before this call. maybe_credited: as the payment had it. A payment that may have
    been credited never ends FAILED with a kind other than UNKNOWN, whatever its last answer; when its tries are used
    up, it is looked up. counts: whether this call is one of its tries; see is_a_try.
    """
    tries += verdict.counts_as_try and counts
    if verdict.action is Action.SUCCEED:
        return Decision(
            PaymentState.SUCCESS, tries, maybe_credited, transaction_id=verdict.transaction_id, halt=verdict.halt
        )
    maybe_credited = maybe_credited or verdict.credited is Credited.PERHAPS
    if verdict.action is Action.WAIT:
        wait_s = max(WAIT_S_MIN, verdict.retry_after_s or 0.0)
        return Decision(PaymentState.PENDING, tries, maybe_credited, wait_s)
    if verdict.action is Action.RETURN:
        return Decision(PaymentState.PENDING, tries, maybe_credited, halt=verdict.halt)
    backoff_s = next_try(tries) if verdict.action is Action.RETRY else None
    if backoff_s is not None:
        return Decision(PaymentState.PENDING, tries, maybe_credited, max(backoff_s, verdict.retry_after_s or 0.0))
    # These are kept in place of the money API's own code: absence_proven_in_s depends on it.
    at_work = verdict.outcome in (Outcome.IN_PROGRESS, Outcome.ACCEPTED)
    code = verdict.outcome.value if at_work else verdict.code or verdict.outcome.value
    if maybe_credited and verdict.halt is None:
        look_up = verdict.action is Action.LOOK_UP
        soon_s = _ask_again_s(tries, verdict) if look_up else max(WAIT_S_MIN, verdict.retry_after_s or 0.0)
        refused = verdict.failure_kind is FailureKind.REJECTED
        message = verdict.message if refused else None
        return Decision(
            PaymentState.PENDING,
            tries,
            maybe_credited,
            soon_s,
            failure_code=code,
            failure_message=message,
            refused=refused,
        )
    return Decision(
        PaymentState.FAILED,
        tries,
        maybe_credited,
        failure_kind=FailureKind.UNKNOWN if maybe_credited else verdict.failure_kind,
        failure_code=code,
        failure_message=verdict.message,
        halt=verdict.halt,
    )


def decide_look_up(
    verdict: Verdict,
    *,
    tries: int,
    maybe_credited: bool,
    failure_code: str | None,
    calls_max: int,
    absence_proven_in_s: float | None,
    refused: bool = False,
    counts: bool = True,
) -> Decision:
    """What happens to a payment after the answer to a GET of its key.

    tries: calls of this run before this one, of at most `calls_max`. maybe_credited: as the payment had it; one that
    was only refused so far is looked up when its key is too old to be sent. failure_code: the code it fails with.
    absence_proven_in_s: see there. refused: by the money API itself, with failure_code, so that proven absence makes it
    REJECTED; its message is stored already. maybe_credited ends only here: the money API itself said so. counts: as in
    `decide`.
    """
    tries += verdict.counts_as_try and counts
    if verdict.credited is Credited.YES:
        return Decision(PaymentState.SUCCESS, tries, maybe_credited, transaction_id=verdict.transaction_id)
    if verdict.action is Action.LOOK_UP:
        failure_code, refused = verdict.outcome.value, False
    # Never in doubt, and looked up only because its key is old: unless the answer is about a credit, nothing is new.
    nothing_new = not maybe_credited and verdict.action is not Action.FAIL
    code = failure_code or (KEY_TOO_OLD if nothing_new else verdict.outcome.value)
    if verdict.credited is Credited.NO:
        if verdict.outcome is Outcome.REJECTED:
            code, refused = verdict.code or verdict.outcome.value, False
        return Decision(
            PaymentState.FAILED,
            tries,
            False,
            failure_kind=FailureKind.REJECTED if refused else verdict.failure_kind,
            failure_code=code,
            failure_message=None if refused else verdict.message,
            not_credited=True,
            refused=refused,
        )
    if verdict.action is Action.RETURN:
        return Decision(
            PaymentState.PENDING,
            tries,
            maybe_credited,
            failure_code=failure_code,
            halt=verdict.halt,
            refused=refused,
        )
    wait_s: float | None = max(WAIT_S_MIN, verdict.retry_after_s or 0.0)
    if failure_code == Outcome.ACCEPTED:
        wait_s = _ask_again_s(tries, verdict)
    elif verdict.outcome is Outcome.NOT_FOUND_YET:
        wait_s = absence_proven_in_s
    if verdict.action is not Action.FAIL and wait_s is not None and tries < calls_max:
        return Decision(PaymentState.PENDING, tries, maybe_credited, wait_s, failure_code=failure_code, refused=refused)
    return Decision(
        PaymentState.FAILED,
        tries,
        maybe_credited,
        failure_kind=FailureKind.UNKNOWN if maybe_credited else FailureKind.UNAVAILABLE,
        failure_code=code,
        failure_message=None if refused else verdict.message,
        halt=verdict.halt,
        refused=refused,
    )


def _ask_again_s(tries: int, verdict: Verdict) -> float:
    return min(RETRY_AFTER_S_MAX, max(ASK_AGAIN_FACTOR**tries, verdict.retry_after_s or 0.0))


def absence_proven_in_s(
    *,
    since_last_sent_s: float,
    since_first_sent_s: float,
    retention_s: float,
    after_s: float,
    failure_code: str | None = None,
) -> float | None:
    """Seconds until "not found" would mean "not credited"; None: in this run it never will.

    If the last answer about a key was "in progress" or "accepted", a look-up that does not find it proves nothing.
    """
    if failure_code in (Outcome.IN_PROGRESS, Outcome.ACCEPTED):
        return None
    wait_s = max(0.0, after_s - since_last_sent_s)
    return wait_s if since_first_sent_s + wait_s < retention_s else None


def may_send(*, since_first_sent_s: float | None, promises: MoneyPromises) -> bool:
    """Whether the money API still remembers the key when the call arrives, which may be as late as its timeout.

    Then a repeated send cannot pay twice; True for a first send.
    """
    return since_first_sent_s is None or since_first_sent_s < promises.send_again_s_max


def parse_retry_after(value: str, now: datetime) -> float | None:
    """Seconds to wait, 0 to RETRY_AFTER_S_MAX, from a Retry-After header (RFC 9110, 10.2.3); None: it says nothing.

    value: seconds or an HTTP-date. now: aware. A date that has passed is 0; a negative or garbled value is None.
    """
    value = value.strip()
    if value.isascii() and value.isdigit():
        return min(float(value), RETRY_AFTER_S_MAX)
    try:
        at = parsedate_to_datetime(value)
    except (ValueError, OverflowError, TypeError, IndexError):
        return None
    if at.tzinfo is None:  # "-0000", and forms without a zone: HTTP-dates are GMT
        at = at.replace(tzinfo=UTC)
    try:
        wait_s = (at - now).total_seconds()
    except OverflowError:
        return None
    return min(max(wait_s, 0.0), RETRY_AFTER_S_MAX)
