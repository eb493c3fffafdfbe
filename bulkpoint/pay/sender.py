"""The sender: takes claimed payments, lets them through the gate, calls money, and says what became of each."""

import threading
from collections import deque
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime

import uuid_utils
from tenacity import RetryCallState, Retrying, stop_after_attempt, wait_fixed, wait_random

from bulkpoint.money.adapter import Adapter
from bulkpoint.money.contract import PointsCall
from bulkpoint.money.transport import Calls, Reply
from bulkpoint.pay.gate import LeasedGate, boot_clock
from bulkpoint.pay.job import Payment
from bulkpoint.pay.lease import Lease
from bulkpoint.pay.recorder import Recorder
from bulkpoint.rules.answers import Answer, Meaning, Strain, understand
from bulkpoint.rules.lifecycle import PaymentState
from bulkpoint.rules.retry import Decision, NextTry, decide
from bulkpoint.settings import Settings
from bulkpoint.store.payment import Attempt, Change

# With nothing to do, and with nothing answered, look for new payments this often.
LOOK_AGAIN_S = 0.01
# Rows that failed together must not come back together.
JITTER_S = 0.3


def retry_policy(settings: Settings) -> NextTry:
    """At most `retries` repeated calls, `backoff_s` apart: tenacity's stop and wait, asked instead of obeyed."""
    stop = stop_after_attempt(1 + settings.retries)
    wait = wait_fixed(settings.backoff_s) + wait_random(0, JITTER_S)
    retrying = Retrying()

    def next_try(attempts: int) -> float | None:
        state = RetryCallState(retrying, None, (), {})
        state.attempt_number = attempts
        return None if stop(state) else wait(state)

    return next_try


class Patience:
    """How long money has given nothing but trouble; from hold to hold of a partition."""

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._trouble_since: float | None = None

    def note(self, strain: Strain, now: float) -> bool:
        """Take in one answer; True when the trouble has lasted longer than the patience."""
        if strain is Strain.NONE:
            self._trouble_since = None
            return False
        self._trouble_since = self._trouble_since or now
        return now - self._trouble_since > self._patience_s


class Desk:
    """What the sender of one hold shares with the main thread; every queue is one-way."""

    def __init__(
        self,
        campaign_id: int,
        lease: Lease,
        recorder: Recorder,
        *,
        adapter: Adapter,
        next_try: NextTry,
        patience: Patience,
    ) -> None:
        self.campaign_id = campaign_id
        self.lease = lease
        self.recorder = recorder
        self.adapter = adapter
        self.next_try = next_try
        self.patience = patience
        self.ready: deque[Payment] = deque()
        self.again: deque[tuple[float, Payment]] = deque()  # due at, to be sent again
        self.unsent: deque[Payment] = deque()  # the gate closed before they left
        self.halt: tuple[str, str] | None = None

    def halt_run(self, halt: str, reason: str) -> None:
        """Trouble that concerns the whole run: nothing more leaves here; the main thread tells the others."""
        self.halt = self.halt or (halt, reason)
        self.lease.gate.close()


class Sending:
    """One call under way. `sent_at` is set when it passes the gate, at the moment its bytes may leave."""

    __slots__ = ("attempt_id", "gate", "inside", "payment", "sent_at")

    def __init__(self, payment: Payment, gate: LeasedGate) -> None:
        self.payment = payment
        self.attempt_id = str(uuid_utils.uuid7())
        self.gate = gate
        self.inside = True
        self.sent_at: float | None = None

    def on_wire(self) -> bool:
        """Called by the client for the wire send: may it leave now?"""
        self.sent_at = self.gate.pass_out()
        self.inside = self.sent_at is None
        return not self.inside


class Sender(threading.Thread):
    """Keeps calls under way side by side, from one thread, until the gate closes or it is told to end.

    `done` counts payments that left its hands, `sent` the wire sends, `under_way` the calls it waits for.
    """

    def __init__(
        self, desk: Desk, open_calls: Callable[[], Calls], *, in_flight_max: int, http_timeout_s: float
    ) -> None:
        super().__init__(name="sender", daemon=True)
        self.done = 0
        self.sent = 0
        self.under_way = 0
        self._desk = desk
        self._gate = desk.lease.gate
        self._open_calls = open_calls
        self._in_flight_max = in_flight_max
        self._http_timeout_s = http_timeout_s
        self._ending = False

    def end(self) -> None:
        """Begin no more calls; the thread ends when those under way have."""
        self._ending = True

    def run(self) -> None:
        try:
            with closing(self._open_calls()) as calls:
                while not self._ending or calls.under_way:
                    wait_s = self._begin_calls(calls)
                    self.under_way = calls.under_way
                    for sending, reply in calls.ended(wait_s):
                        self._settle(sending, reply)
        except BaseException as error:
            self._desk.halt_run("DEFECT", f"a sender broke: {type(error).__name__}; the executor's log has the rest")
            raise

    def _begin_calls(self, calls: Calls) -> float:
        """Begin what may go now; how long to wait for an answer before looking again, in seconds."""
        ready = self._desk.ready
        while ready and calls.under_way < self._in_flight_max and not self._ending:
            opens_in_s = self._gate.try_enter()
            if opens_in_s > 0:
                return min(opens_in_s, LOOK_AGAIN_S)
            sending = Sending(ready.popleft(), self._gate)
            payment = sending.payment
            call = PointsCall(payment.key, self._desk.campaign_id, payment.member_id, payment.amount, payment.reason)
            calls.begin(sending, self._desk.adapter.pay(call), on_wire=sending.on_wire)
        return LOOK_AGAIN_S

    def _settle(self, sending: Sending, reply: Reply) -> None:
        desk, payment = self._desk, sending.payment
        answered_at = boot_clock()
        if sending.inside:
            self._gate.leave()
        self.done += 1
        observed = desk.adapter.read_pay(reply, datetime.now(UTC))
        meaning = understand(observed)
        if sending.sent_at is None:
            self._not_sent(payment, meaning, answered_at)
            return
        self.sent += 1
        timed_out = meaning.answer is Answer.TIMED_OUT
        self._gate.answered(unknown_for_s=self._http_timeout_s if timed_out else 0.0)
        stamp = desk.lease.stamp
        attempt = Attempt(
            attempt_id=sending.attempt_id,
            seq=payment.seq,
            sent_at=stamp(sending.sent_at),
            answered_at=None if reply.trouble else stamp(answered_at),
            http_status=observed.status,
            outcome=meaning.answer.value,
            code=meaning.code,
            transaction_id=meaning.transaction_id,
        )
        payment.never_sent = False
        self._decide(payment, attempt, meaning, answered_at)

    def _not_sent(self, payment: Payment, meaning: Meaning, now: float) -> None:
        """No try of the payment: the gate was closed, or money could not be reached at all."""
        desk = self._desk
        if meaning.answer is Answer.NOT_SENT:
            if self._gate.closed:
                desk.unsent.append(payment)
            else:
                desk.again.append((now, payment))
            return
        self._note(meaning, now)
        wait_s = desk.next_try(1)
        desk.again.append((now + (wait_s or 0.0), payment))

    def _decide(self, payment: Payment, attempt: Attempt, meaning: Meaning, now: float) -> None:
        desk = self._desk
        decision = decide(
            meaning, attempts=payment.attempts, maybe_credited=payment.maybe_credited, next_try=desk.next_try
        )
        payment.attempts = decision.attempts
        payment.maybe_credited = decision.maybe_credited
        if decision.halt is not None:
            desk.halt_run(decision.halt.value, meaning.message or meaning.code or meaning.answer.value)
        self._note(meaning, now)
        comes_again = decision.state is PaymentState.PENDING and decision.wait_s is not None
        desk.recorder.add(attempt, change_of(payment, decision, desk.lease, keeps_claim=comes_again))
        if decision.wait_s is not None and comes_again:
            desk.again.append((now + decision.wait_s, payment))

    def _note(self, meaning: Meaning, now: float) -> None:
        if self._desk.patience.note(meaning.strain, now):
            self._desk.halt_run(
                "MONEY_UNAVAILABLE",
                f"money has answered nothing usable for longer than BULKPOINT_BREAKER_PATIENCE_S"
                f" (last: {meaning.answer.value})",
            )


def change_of(payment: Payment, decision: Decision, lease: Lease, *, keeps_claim: bool) -> Change:
    """What the recorder writes; a payment that comes again in this partition stays claimed."""
    return Change(
        seq=payment.seq,
        state=PaymentState.PROCESSING.value if keeps_claim else decision.state.value,
        token=lease.token,
        attempts=decision.attempts,
        maybe_credited=decision.maybe_credited,
        transaction_id=decision.transaction_id,
        failure_kind=decision.failure_kind,
        failure_code=decision.failure_code,
        failure_message=decision.failure_message,
    )
