"""A look-up that the money API refuses (401, 403): is our token refused, or this payment only? The rule of a run.

A payment that is refused comes again, behind the others. Where that tells nothing, a payment is looked up of which it
is known that the API answers: one that was answered in this command, or one that was paid. If it is refused too, no
call with this token succeeds any more; if it is let in, the payments are refused alone, and the others go on.
"""

from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum

from bulkpoint.pay.call_loop import Call
from bulkpoint.reconcile.in_doubt import PaymentInDoubt
from bulkpoint.rules.answers import Halt, Outcome, Verdict
from bulkpoint.rules.authorization import LET_IN, Authorization, Refusal

# Refused look-ups of one payment, each without a witness that answered: then it has got no answer.
REFUSALS_MAX = 8


class Refused(StrEnum):
    """What follows from an answer, as far as it is about our right."""

    NO = "NO"  # it is about something else
    AGAIN = "AGAIN"  # the same look-up, behind the others
    AFTER_WITNESS = "AFTER_WITNESS"  # the same, once the witness was asked
    OWN = "OWN"
    OF_US = "OF_US"


class OwnRefusals:
    """What the look-ups of one command have shown. ask_first: takes a witness, whose look-up is the next call.

    find_paid: finds a payment that was paid; None where there is none.
    """

    def __init__(
        self, ask_first: Callable[[PaymentInDoubt], None], find_paid: Callable[[], PaymentInDoubt | None]
    ) -> None:
        self._ask_first = ask_first
        self._find_paid = find_paid
        self._authorization = Authorization()
        self._witness: PaymentInDoubt | None = None
        self._is_asked = False

    def judge(self, call: Call[PaymentInDoubt], verdict: Verdict) -> Refused:
        """What the answer to a look-up says about our right; may have a witness asked."""
        payment, sent_at = call.payment, call.sent_at
        if payment.is_witness:
            self._is_asked = False
        if sent_at is None or call.attempt is None:
            return Refused.NO
        if verdict.outcome in LET_IN:
            self._authorization.let_in(sent_at)
            self._witness = payment
            return Refused.NO
        if verdict.outcome is Outcome.UNAUTHORIZED:
            if verdict.halt is not Halt.UNAUTHORIZED:  # with a token that is no longer in use
                return Refused.AGAIN
            return self._judge_refusal(call, sent_at)
        if call.attempt.http_status in (401, 403) and self._authorization.refused_by_page(call.answered_at):
            payment.refusals += 1
            return self._ask_witness(payment)
        return Refused.NO

    def _judge_refusal(self, call: Call[PaymentInDoubt], sent_at: float) -> Refused:
        payment = call.payment
        if payment.is_witness:
            return Refused.OF_US
        if not payment.refusals:
            payment.refused_since = sent_at
        refusal = self._authorization.refused(
            since=payment.refused_since, answered_at=call.answered_at, refusals=payment.refusals, look_up=True
        )
        payment.refusals += 1
        if refusal is Refusal.OWN:
            return Refused.OWN
        return Refused.AGAIN if refusal is Refusal.AGAIN else self._ask_witness(payment)

    def _ask_witness(self, payment: PaymentInDoubt) -> Refused:
        if payment.is_witness:
            return Refused.OF_US
        if payment.refusals > REFUSALS_MAX:
            return Refused.NO
        if not self._is_asked:
            witness = self._witness or self._find_paid()
            if witness is None:
                return Refused.OF_US
            self._is_asked = True
            self._ask_first(replace(witness, is_witness=True, refusals=0, lost=False))
        return Refused.AFTER_WITNESS
