"""The sender: a thread that runs the call loop of one lease, and the sink that decides what happens to each payment.

A payment is sent by POST. It is looked up by GET instead once its tries are used up and one of them may have credited
it, or once the money API may have forgotten its key.
"""

import threading
from contextlib import closing

from bulkpoint.pay.call_loop import Call, CallLoop, CallTerms
from bulkpoint.pay.gate import boot_clock
from bulkpoint.pay.in_hand import PaymentsInHand
from bulkpoint.pay.lease import Lease
from bulkpoint.pay.recorder import Recorder
from bulkpoint.pay.task import Payment
from bulkpoint.rules.answers import Action, Halt, Outcome, Verdict
from bulkpoint.rules.authorization import (
    LET_IN,
    Authorization,
    Refusal,
    halting,
    refused_alone,
    refused_before,
)
from bulkpoint.rules.invariants import DefectError
from bulkpoint.rules.lifecycle import PaymentState
from bulkpoint.rules.member_names import named
from bulkpoint.rules.retry import RetryPolicy, decide, decide_look_up, is_a_try
from bulkpoint.store.payment import Attempt, Change
from bulkpoint.views.end_reasons import end_reason

# Members of enums that every call meets, by names that are found at a tenth of the cost.
_SUCCEED, _SUCCESS = Action.SUCCEED, PaymentState.SUCCESS


class PaymentSink:
    """Decides what happens to a payment after its call, and has it recorded; used by the sender's thread.

    halt: trouble that concerns the whole run, and its reason; no more calls leave then.
    """

    def __init__(self, in_hand: PaymentsInHand, lease: Lease, recorder: Recorder, retry: RetryPolicy) -> None:
        self.halt: tuple[Halt, str] | None = None
        self._in_hand = in_hand
        self._lease = lease
        self._recorder = recorder
        self._retry = retry
        self._authorization = Authorization()

    def halt_run(self, halt: Halt, reason: str) -> None:
        """Close the gate; the main thread writes the halt to the run. The first halt and its reason stay."""
        self.halt = self.halt or (halt, reason)
        self._lease.gate.close()

    def not_sent(self, call: Call[Payment]) -> None:
        """Not a try of the payment: it waits for another permit, or for another share."""
        if self._lease.gate.closed:
            self._in_hand.unsent.append(call.payment)
        else:
            self._in_hand.again.append((boot_clock(), call.payment))

    def answered(self, call: Call[Payment], verdict: Verdict) -> None:
        """Record the attempt and the payment's new values; a payment that comes again here stays claimed."""
        payment, in_hand = call.payment, self._in_hand
        if call.attempt is None:  # not a try of the payment: the API could not be reached at all
            in_hand.again.append((call.answered_at + self._retry.wait_s(), payment))
            return
        if verdict.action is _SUCCEED and not call.look_up and not payment.refusals:
            self._succeeded(call, call.attempt, verdict)
            return
        judged = self._judge_right(call, verdict)
        if judged is None:
            self._again_at_once(call)
            return
        verdict = judged
        crowded = self._lease.gate.crowded
        counts = is_a_try(verdict, call.attempt.http_status, crowded=crowded, uncounted=payment.uncounted)
        payment.uncounted += verdict.counts_as_try and not counts
        if call.look_up:
            at = payment.last_sent_at
            last_sent_stamp = None if at is None else self._lease.clock.stamp(at)
            decision = decide_look_up(
                verdict,
                tries=payment.tries,
                maybe_credited=payment.maybe_credited,
                failure_code=payment.failure_code,
                calls_max=self._retry.calls_max,
                absence_proven_in_s=call.absence_proven_in_s,
                refused=payment.refused,
                counts=counts,
            )
        else:
            payment.last_sent_at = call.sent_at
            last_sent_stamp = call.attempt.sent_at
            payment.first_sent_at = payment.first_sent_at or call.sent_at
            decision = decide(
                verdict,
                tries=payment.tries,
                maybe_credited=payment.maybe_credited,
                next_try=self._retry.next_try,
                counts=counts,
            )
        payment.tries = decision.tries
        payment.maybe_credited = decision.maybe_credited
        payment.failure_code = decision.failure_code
        payment.refused = decision.refused
        halt = None
        if decision.halt is not None:
            halt = (decision.halt, _reason_to_halt(call, verdict))
            self.halt_run(*halt)
        comes_again = decision.wait_s is not None and decision.state is PaymentState.PENDING
        change = Change(
            seq=payment.seq,
            state=PaymentState.PROCESSING if comes_again else decision.state,
            token=self._lease.token,
            tries=decision.tries,
            maybe_credited=decision.maybe_credited,
            not_credited=decision.not_credited,
            refused=decision.refused,
            last_sent_at=last_sent_stamp,
            transaction_id=decision.transaction_id,
            failure_kind=decision.failure_kind,
            failure_code=decision.failure_code,
            failure_message=decision.failure_message,
            halt=halt,
        )
        self._recorder.add(call.attempt, change)
        if decision.wait_s is not None and comes_again:
            in_hand.again.append((call.answered_at + decision.wait_s, payment))
        else:
            in_hand.seqs.discard(payment.seq)

    def _succeeded(self, call: Call[Payment], attempt: Attempt, verdict: Verdict) -> None:
        """What `answered` does with nearly every call, at a third of its cost: the credit of a POST never refused."""
        payment, sent_at = call.payment, call.sent_at
        assert sent_at is not None
        self._authorization.let_in(sent_at)
        change = Change(
            payment.seq,
            _SUCCESS,
            self._lease.token,
            payment.tries + verdict.counts_as_try,
            payment.maybe_credited,
            last_sent_at=attempt.sent_at,
            transaction_id=verdict.transaction_id,
        )
        self._recorder.add(attempt, change)
        self._in_hand.seqs.discard(payment.seq)

    def _judge_right(self, call: Call[Payment], verdict: Verdict) -> Verdict | None:
        """The verdict, where a 401 or 403 is of this payment alone as that; None: to be known, it must come again."""
        payment, sent_at, attempt = call.payment, call.sent_at, call.attempt
        assert sent_at is not None
        assert attempt is not None, "it left"
        if verdict.outcome in LET_IN:
            self._authorization.let_in(sent_at)
            if payment.refusals and not payment.maybe_credited:
                verdict = refused_before(verdict, payment.failure_code)
        elif verdict.halt is Halt.UNAUTHORIZED:  # and not with credentials that are no longer in use
            return self._judge_refusal(call, verdict, sent_at)
        elif (
            verdict.outcome is not Outcome.UNAUTHORIZED
            and attempt.http_status in (401, 403)
            and self._authorization.refused_by_page(call.answered_at)
        ):
            verdict = halting(verdict)
        return verdict

    def _judge_refusal(self, call: Call[Payment], verdict: Verdict, sent_at: float) -> Verdict | None:
        payment = call.payment
        if not payment.refusals:
            payment.refused_since = sent_at
        refusal = self._authorization.refused(
            since=payment.refused_since,
            answered_at=call.answered_at,
            refusals=payment.refusals,
            look_up=call.look_up,
        )
        payment.refusals += 1
        if refusal is Refusal.OWN:
            return refused_alone(verdict, look_up=call.look_up, maybe_credited=payment.maybe_credited)
        if refusal is Refusal.LOOK_UP:
            payment.failure_code = verdict.code or verdict.outcome.value
            payment.refused = True
        return verdict if refusal is Refusal.OF_US else None

    def _again_at_once(self, call: Call[Payment]) -> None:
        """Record a call that decided nothing; the payment stays claimed, and its next call follows."""
        payment, attempt, sent_at = call.payment, call.attempt, call.sent_at
        assert attempt is not None, "it left"
        if not call.look_up:
            payment.last_sent_at = sent_at
            payment.first_sent_at = payment.first_sent_at or sent_at
        change = Change(
            seq=payment.seq,
            state=PaymentState.PROCESSING,
            token=self._lease.token,
            tries=payment.tries,
            maybe_credited=payment.maybe_credited,
            refused=payment.refused,
            last_sent_at=None if call.look_up else attempt.sent_at,
            failure_code=payment.failure_code,
        )
        self._recorder.add(attempt, change)
        self._in_hand.again.append((call.answered_at, payment))


def _reason_to_halt(call: Call[Payment], verdict: Verdict) -> str:
    """What the money API said, and of which payment."""
    said = verdict.message or verdict.code or verdict.outcome.value
    order, payment = call.order, call.payment
    place = {"seq": payment.seq, "campaign_id": order.campaign_id, "member": named(payment.member_id)}
    return end_reason("OF_PAYMENT", said=said, **place)


class Sender(threading.Thread):
    """Runs the call loop of one lease until `end` is called and the last answer has arrived."""

    def __init__(
        self, terms: CallTerms, lease: Lease, in_hand: PaymentsInHand, sink: PaymentSink, *, in_flight_max: int
    ) -> None:
        super().__init__(name="sender", daemon=True)
        self._open_calls = terms.open_calls
        self._loop = CallLoop(terms, lease, in_hand, sink, in_flight_max=in_flight_max)
        self._sink = sink
        self._ending = False

    @property
    def under_way(self) -> int:
        """Calls begun and not yet answered."""
        return len(self._loop.under_way)

    @property
    def sent(self) -> int:
        """Wire sends that ended."""
        return self._loop.sent

    def end(self) -> None:
        """Call it when the gate is closed: the thread ends when the calls under way have ended."""
        self._ending = True

    def run(self) -> None:
        try:
            with closing(self._open_calls()) as calls:
                while not self._ending or self._loop.under_way:
                    self._loop.turn(calls)
        except BaseException as error:
            what = str(error) if isinstance(error, DefectError) else type(error).__name__
            self._sink.halt_run(Halt.DEFECT, end_reason("SENDER_BROKE", what=what))
            raise
