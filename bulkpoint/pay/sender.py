"""The sender: takes claimed payments, lets them through the gate, calls money, and says what became of each.

A payment is sent by POST, and looked up by GET instead once its tries are spent and one of them may have credited it,
or once money may have forgotten its key.
"""

import threading
from collections import deque
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime

from tenacity import RetryCallState, Retrying, stop_after_attempt, wait_fixed, wait_random

from bulkpoint.ids import new_id
from bulkpoint.money.adapter import Adapter
from bulkpoint.money.contract import PointsCall
from bulkpoint.money.transport import Calls, HttpRequest, Reply
from bulkpoint.pay.gate import LeasedGate, boot_clock
from bulkpoint.pay.lease import Lease
from bulkpoint.pay.recorder import Recorder
from bulkpoint.pay.task import Payment
from bulkpoint.rules.answers import CallResult, CallTrouble, Credit, Halt, Outcome, Verdict, classify, classify_look_up
from bulkpoint.rules.lifecycle import PaymentState
from bulkpoint.rules.retry import LOOK_UPS_MAX, Decision, NextTry, absence_proven_in_s, decide, decide_look_up, may_send
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

    def next_try(tries: int) -> float | None:
        state = RetryCallState(retrying, None, (), {})
        state.attempt_number = tries
        return None if stop(state) else wait(state)

    return next_try


@dataclass(frozen=True, slots=True)
class CallRules:
    """What the settings say of a payment's calls. Times in seconds; calls_max: POSTs and GETs of one run together."""

    next_try: NextTry
    calls_max: int
    retention_s: float
    settle_s: float

    @classmethod
    def of(cls, settings: Settings) -> "CallRules":
        return cls(
            retry_policy(settings),
            1 + settings.retries + LOOK_UPS_MAX,
            settings.money_key_retention_h * 3600,
            settings.money_settle_s,
        )


class SenderQueues:
    """What the sender of one hold shares with the main thread; every queue is one-way."""

    def __init__(
        self,
        campaign_id: int,
        lease: Lease,
        recorder: Recorder,
        *,
        adapter: Adapter,
        rules: CallRules,
    ) -> None:
        self.campaign_id = campaign_id
        self.lease = lease
        self.recorder = recorder
        self.adapter = adapter
        self.rules = rules
        self.ready: deque[Payment] = deque()
        self.again: deque[tuple[float, Payment]] = deque()  # due at, to be sent again
        self.unsent: deque[Payment] = deque()  # the gate closed before they left
        self.halt: tuple[str, str] | None = None

    def halt_run(self, halt: Halt, reason: str) -> None:
        """Trouble that concerns the whole run: nothing more leaves here; the main thread tells the others."""
        self.halt = self.halt or (halt.value, reason)
        self.lease.gate.close()


class Sending:
    """One call under way. `sent_at` is set when it passes the gate, at the moment its bytes may leave."""

    __slots__ = ("attempt_id", "gate", "inside", "look_up", "payment", "sent_at")

    def __init__(self, payment: Payment, gate: LeasedGate, *, look_up: bool) -> None:
        self.payment = payment
        self.look_up = look_up
        self.attempt_id = new_id()
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
        self, desk: SenderQueues, open_calls: Callable[[], Calls], *, in_flight_max: int, http_timeout_s: float
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
            self._desk.halt_run(Halt.DEFECT, f"a sender broke: {type(error).__name__}; the executor's log has the rest")
            raise

    def _begin_calls(self, calls: Calls) -> float:
        """Begin what may go now; how long to wait for an answer before looking again, in seconds."""
        ready = self._desk.ready
        while ready and calls.under_way < self._in_flight_max and not self._ending:
            opens_in_s = self._gate.try_enter()
            if opens_in_s > 0:
                return min(opens_in_s, LOOK_AGAIN_S)
            try:
                payment = ready.popleft()
            except IndexError:  # the main thread took it back just now
                self._gate.abandon()
                break
            sending = Sending(payment, self._gate, look_up=self._is_look_up(payment))
            calls.begin(sending, self._request(sending), on_wire=sending.on_wire)
        return LOOK_AGAIN_S

    def _is_look_up(self, payment: Payment) -> bool:
        if payment.failure_code is not None:  # of a payment that is still open: its tries are spent
            return True
        first = payment.first_sent_at
        return first is not None and not may_send(
            since_first_sent_s=boot_clock() - first, retention_s=self._desk.rules.retention_s
        )

    def _request(self, sending: Sending) -> HttpRequest:
        adapter, payment = self._desk.adapter, sending.payment
        if sending.look_up:
            return adapter.look_up(payment.key)
        return adapter.pay(
            PointsCall(payment.key, self._desk.campaign_id, payment.member_id, payment.amount, payment.reason)
        )

    def _settle(self, sending: Sending, reply: Reply) -> None:
        desk, payment = self._desk, sending.payment
        answered_at = boot_clock()
        if sending.inside:
            self._gate.abandon()
        self.done += 1
        observed, verdict, proof_s = self._read(sending, reply, answered_at)
        if sending.sent_at is None:
            self._not_sent(payment, verdict, answered_at)
            return
        self.sent += 1
        timed_out = observed.trouble is CallTrouble.TIMED_OUT
        self._gate.answered(unknown_for_s=self._http_timeout_s if timed_out else 0.0)
        stamp = desk.lease.stamp
        attempt = Attempt(
            attempt_id=sending.attempt_id,
            method="GET" if sending.look_up else "POST",
            seq=payment.seq,
            sent_at=stamp(sending.sent_at),
            answered_at=None if reply.trouble else stamp(answered_at),
            http_status=observed.status,
            outcome=verdict.outcome.value,
            code=verdict.code,
            transaction_id=verdict.transaction_id,
        )
        if sending.look_up:
            decision = decide_look_up(
                verdict,
                tries=payment.tries,
                maybe_credited=payment.maybe_credited,
                failure_code=payment.failure_code,
                calls_max=desk.rules.calls_max,
                absence_proven_in_s=proof_s,
            )
        else:
            payment.last_sent_at = sending.sent_at
            payment.first_sent_at = payment.first_sent_at or sending.sent_at
            decision = decide(
                verdict, tries=payment.tries, maybe_credited=payment.maybe_credited, next_try=desk.rules.next_try
            )
        self._note(verdict)
        self._become(payment, decision, attempt, verdict, answered_at)

    def _read(self, sending: Sending, reply: Reply, now: float) -> tuple[CallResult, Verdict, float | None]:
        """What the answer means; of a look-up also in how many seconds "not found" would be proof."""
        adapter, payment, rules = self._desk.adapter, sending.payment, self._desk.rules
        if not sending.look_up:
            observed = adapter.read_pay(reply, datetime.now(UTC))
            return observed, classify(observed), None
        asked_at = sending.sent_at or now  # the absence is of that moment
        proof_s = absence_proven_in_s(
            since_last_sent_s=asked_at - (payment.last_sent_at or asked_at),
            since_first_sent_s=asked_at - (payment.first_sent_at or asked_at),
            retention_s=rules.retention_s,
            after_s=rules.settle_s,
            failure_code=payment.failure_code,
        )
        asked = Credit(self._desk.campaign_id, payment.member_id, payment.amount)
        observed = adapter.read_look_up(reply, datetime.now(UTC))
        return observed, classify_look_up(observed, asked=asked, absence_is_proof=proof_s == 0), proof_s

    def _not_sent(self, payment: Payment, verdict: Verdict, now: float) -> None:
        """No try of the payment: the gate was closed, or money could not be reached at all."""
        desk = self._desk
        if verdict.outcome is Outcome.NOT_SENT:
            if self._gate.closed:
                desk.unsent.append(payment)
            else:
                desk.again.append((now, payment))
            return
        self._note(verdict)
        wait_s = desk.rules.next_try(1)
        desk.again.append((now + (wait_s or 0.0), payment))

    def _become(self, payment: Payment, decision: Decision, attempt: Attempt, verdict: Verdict, now: float) -> None:
        desk = self._desk
        payment.tries = decision.tries
        payment.maybe_credited = decision.maybe_credited
        payment.failure_code = decision.failure_code
        if decision.halt is not None:
            desk.halt_run(decision.halt, verdict.message or verdict.code or verdict.outcome.value)
        comes_again = decision.state == PaymentState.PENDING and decision.wait_s is not None
        change = change_of(payment, decision, desk.lease, keeps_claim=comes_again)
        desk.recorder.add(attempt, change)
        if decision.wait_s is not None and comes_again:
            desk.again.append((now + decision.wait_s, payment))

    def _note(self, verdict: Verdict) -> None:
        if self._gate.observe(verdict.overload, verdict.retry_after_s):
            self._desk.halt_run(
                Halt.MONEY_UNAVAILABLE,
                f"money has answered nothing usable for longer than BULKPOINT_BREAKER_PATIENCE_S"
                f" (last: {verdict.outcome.value})",
            )


def change_of(payment: Payment, decision: Decision, lease: Lease, *, keeps_claim: bool) -> Change:
    """What the recorder writes; a payment that comes again in this partition stays claimed."""
    return Change(
        seq=payment.seq,
        state=PaymentState.PROCESSING.value if keeps_claim else decision.state.value,
        token=lease.token,
        tries=decision.tries,
        maybe_credited=decision.maybe_credited,
        not_credited=decision.not_credited,
        last_sent_at=None if payment.last_sent_at is None else lease.stamp(payment.last_sent_at),
        transaction_id=decision.transaction_id,
        failure_kind=decision.failure_kind,
        failure_code=decision.failure_code,
        failure_message=decision.failure_message,
    )
