"""A 401 or 403: are our credentials refused, or is one payment? Instants by the caller's clock; no clock is read.

A payment that is refused comes again, with the credentials read anew; at its third refusal its key is looked up. Where
a call that left later is let in, or the look-up is, the credentials work: the payment alone is refused. Where the
look-up is refused too, or many calls in a row, no call with these credentials succeeds.
"""

from enum import StrEnum

from bulkpoint.rules.answers import Action, Credited, Halt, Outcome, Verdict
from bulkpoint.rules.lifecycle import FailureKind

# Calls of one payment that are repeated, before it is looked up.
REPEATS_MAX = 2
# Refusals in a row, and for so long, that need no look-up: a gateway's pages, which say nothing of single payments.
REFUSED_IN_A_ROW = 16
REFUSED_FOR_S = 0.5

# The money API looked at what was asked, so it let us in.
LET_IN = frozenset(
    {
        Outcome.CREDITED,
        Outcome.ACCEPTED,
        Outcome.IN_PROGRESS,
        Outcome.REJECTED,
        Outcome.MISMATCH,
        Outcome.FOUND,
        Outcome.FOUND_OTHER,
        Outcome.NOT_FOUND,
        Outcome.NOT_FOUND_YET,
    }
)


class Refusal(StrEnum):
    """What a refusal means."""

    AGAIN = "AGAIN"  # not known yet: the same call once more
    LOOK_UP = "LOOK_UP"  # not known yet: its key is looked up, which shows whether we are let in at all
    OWN = "OWN"  # of this payment
    OF_US = "OF_US"  # of our credentials


class Authorization:
    """What the calls of one share have shown."""

    def __init__(self) -> None:
        self._let_in_sent_at = float("-inf")
        self._in_a_row = 0
        self._since = 0.0

    def let_in(self, sent_at: float) -> None:
        """A call that left then was let in."""
        self._in_a_row = 0
        self._let_in_sent_at = max(self._let_in_sent_at, sent_at)

    def refused_by_page(self, answered_at: float) -> bool:
        """A gateway's 401 or 403; True where nothing else comes any more."""
        if not self._in_a_row:
            self._since = answered_at
        self._in_a_row += 1
        return self._in_a_row >= REFUSED_IN_A_ROW and answered_at - self._since >= REFUSED_FOR_S

    def refused(self, *, since: float, answered_at: float, refusals: int, look_up: bool) -> Refusal:
        """A call was refused by the money API itself. since: when the payment's first refused call left; refusals: of
        this payment before this one.
        """
        if self._let_in_sent_at > since:
            return Refusal.OWN
        if self.refused_by_page(answered_at):
            return Refusal.OF_US
        if refusals < REPEATS_MAX:
            return Refusal.AGAIN
        return Refusal.OF_US if look_up else Refusal.LOOK_UP


def refused_alone(verdict: Verdict, *, look_up: bool, maybe_credited: bool) -> Verdict:
    """A refusal of this payment only: it is REJECTED; or, of a look-up of what may be credited, nothing is learnt."""
    verdict = verdict._replace(halt=None, counts_as_try=True)
    if look_up and maybe_credited:
        return verdict._replace(action=Action.RETRY, failure_kind=FailureKind.UNKNOWN)
    return _rejected(verdict, verdict.code or verdict.outcome.value)


def refused_before(verdict: Verdict, failure_code: str | None) -> Verdict:
    """A look-up that was let in, of a payment whose calls were refused: without a credit it is REJECTED for them."""
    if verdict.outcome not in (Outcome.NOT_FOUND, Outcome.NOT_FOUND_YET) or failure_code is None:
        return verdict
    return _rejected(verdict, failure_code)


def halting(verdict: Verdict) -> Verdict:
    """A gateway's refusal of everything: it halts as that of the money API does."""
    return verdict._replace(action=Action.RETURN, counts_as_try=False, halt=Halt.UNAUTHORIZED)


def _rejected(verdict: Verdict, code: str) -> Verdict:
    return verdict._replace(
        outcome=Outcome.REJECTED,
        credited=Credited.NO,
        action=Action.FAIL,
        failure_kind=FailureKind.REJECTED,
        code=code,
    )
