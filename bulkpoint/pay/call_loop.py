"""The one loop that calls the money API. Every wire send passes one gate, in `CallLoop.turn`; no other code calls it.

A source has payments ready, the gate lets their calls out, the API answers, and a sink gets each call with the meaning
of its answer. A partition of a run (in_hand.py, sender.py) and a reconciliation (reconcile/) are two sources and two
sinks of this loop. A payment is paid by POST, or looked up by GET: the source says which.
"""

from collections.abc import Callable, Sized
from dataclasses import dataclass
from functools import partial
from typing import Generic, Protocol, TypeVar

from bulkpoint.ids import new_id
from bulkpoint.money.adapter import Adapter, load_adapter
from bulkpoint.money.clients import make_calls
from bulkpoint.money.contract import PointsCall
from bulkpoint.money.reading import read
from bulkpoint.money.transport import Calls, Reply
from bulkpoint.pay.access import Access, Renewal
from bulkpoint.pay.gate import LeasedGate, boot_clock
from bulkpoint.pay.lease import Lease
from bulkpoint.pay.task import Payment
from bulkpoint.rules.answers import (
    Answer,
    CallTrouble,
    Credit,
    Halt,
    Outcome,
    Overload,
    Verdict,
    classify,
    classify_look_up,
)
from bulkpoint.rules.causes import cause_of_answer
from bulkpoint.rules.patience import Trouble
from bulkpoint.rules.retry import absence_proven_in_s
from bulkpoint.settings import Settings, money_secrets
from bulkpoint.store.payment import Attempt

# With nothing to do and no answers, look for new payments this often.
LOOK_AGAIN_S = 0.01

# Members of enums that every call is compared with: by these names at a tenth of the cost.
_NO_OVERLOAD, _FAILING, _NOT_SENT = Overload.NONE, Overload.FAILING, Outcome.NOT_SENT
_NOTHING_SENT = frozenset({CallTrouble.NOT_CONNECTED, CallTrouble.NOT_SENT})
_LOST = frozenset({CallTrouble.RESET, CallTrouble.SENT_TWICE, CallTrouble.TIMED_OUT})

P = TypeVar("P", bound=Payment)


@dataclass(frozen=True, slots=True)
class CallTerms:
    """What is the same for all calls of one command: the campaign, and how to call the money API.

    http_timeout_s: of one call. What the API promises may change during a run: Lease.promises has it.
    """

    campaign_id: int
    access: Access
    open_calls: Callable[[], Calls]
    make_gate: Callable[[], LeasedGate]
    http_timeout_s: float

    @classmethod
    def of(cls, campaign_id: int, settings: Settings) -> "CallTerms":
        """As the settings say. Raises UsageError where a file with a secret or the adapter cannot be used."""
        return cls(
            campaign_id,
            Access(partial(money_secrets, settings), partial(load_adapter, settings.money_adapter)),
            partial(make_calls, settings),
            partial(
                LeasedGate,
                guard_s=settings.guard_ms / 1000,
                counts_from=settings.limit_counts_from,
            ),
            http_timeout_s=settings.money_timeout_s,
        )


class Call(Generic[P]):
    """One call, from the gate to the meaning of its answer.

    order: what is asked for, the same in every try. adapter: what its request was made with. sent_at: when it passed
    the gate, just before its bytes could leave; None: it has not. The others are set when the call has ended. attempt:
    its row, None where it never left. absence_proven_in_s: for a look-up, how many seconds after it left "not found"
    would be proof; 0: it is, None: it never will be. Instants by boot_clock.
    """

    __slots__ = (
        "absence_proven_in_s",
        "adapter",
        "answer",
        "answered_at",
        "attempt",
        "attempt_id",
        "gate",
        "inside",
        "look_up",
        "order",
        "payment",
        "sent_at",
    )

    order: PointsCall
    adapter: Adapter
    answered_at: float
    answer: Answer
    attempt: Attempt | None
    absence_proven_in_s: float | None

    def __init__(self, payment: P, gate: LeasedGate, *, look_up: bool) -> None:
        self.payment = payment
        self.gate = gate
        self.look_up = look_up
        self.attempt_id = new_id()
        self.inside = True
        self.sent_at: float | None = None

    def on_wire(self) -> bool:
        """May the call leave now? The client asks at the moment of the wire send."""
        self.sent_at = self.gate.pass_out()
        self.inside = self.sent_at is None
        return not self.inside


class Source(Protocol[P]):
    """Where payments come from: `ready` is empty when no call is to be made now."""

    @property
    def ready(self) -> Sized:
        """The payments that wait for their call."""

    def next_call(self, gate: LeasedGate) -> Call[P] | None:
        """The next call; None where another thread has just taken back the last payment."""


class Sink(Protocol[P]):
    """What happens to calls. Each call ends in either `not_sent` or `answered`."""

    def not_sent(self, call: Call[P]) -> None:
        """The gate did not let it out: nothing happened."""

    def answered(self, call: Call[P], verdict: Verdict) -> None:
        """It was answered, or given up after its timeout; or the API could not be reached, and it never left."""


class CallLoop(Generic[P]):
    """Keeps many calls under way from one thread, under one lease of a share of the limit.

    under_way: calls begun and not yet handed to the sink. sent: wire sends that ended.
    """

    def __init__(self, terms: CallTerms, lease: Lease, source: Source[P], sink: Sink[P], *, in_flight_max: int) -> None:
        self.under_way: set[Call[P]] = set()
        self.sent = 0
        self._terms = terms
        self._lease = lease
        self._gate = lease.gate
        self._source = source
        self._sink = sink
        self._in_flight_max = in_flight_max
        self._renewal = Renewal(boot_clock())

    def turn(self, calls: Calls) -> None:
        """Begin the calls that the gate lets out now, wait a little for answers, and hand ended calls to the sink.

        Every wire send of bulkpoint begins here, and asks the gate at the moment it would leave (Call.on_wire). When
        the gate is closed no new call begins; those under way still end here.
        """
        if (now := boot_clock()) >= self._renewal.due_at:
            self._terms.access.renew(calls)
            self._renewal.done(now)
        wait_s = self._begin(calls)
        ended = calls.ended(wait_s)
        if ended:
            answered_at = boot_clock()
            for call, reply in ended:
                self._end(call, reply, answered_at)

    def _begin(self, calls: Calls) -> float:
        """Begin the calls that may go now; returns the seconds to wait for an answer before looking again."""
        source, gate, under_way = self._source, self._gate, self.under_way
        while (wanted := min(len(source.ready), self._in_flight_max - len(under_way))) > 0:
            opens_in_s = gate.try_enter()
            if opens_in_s > 0:
                return min(opens_in_s, LOOK_AGAIN_S)
            inside = 1 if wanted == 1 else 1 + gate.enter_more(wanted - 1)
            for begun in range(inside):
                call = source.next_call(gate)
                if call is None:
                    gate.abandon(inside - begun)
                    return LOOK_AGAIN_S
                under_way.add(call)
                self._begin_one(call, calls)
        return LOOK_AGAIN_S

    def _begin_one(self, call: Call[P], calls: Calls) -> None:
        payment, terms = call.payment, self._terms
        call.order = order = PointsCall(
            payment.key, terms.campaign_id, payment.member_id, payment.amount, payment.reason
        )
        call.adapter = adapter = terms.access.adapter
        request = adapter.look_up(order) if call.look_up else adapter.pay(order)
        calls.begin(call, request, on_wire=call.on_wire, fresh=payment.lost)

    def _end(self, call: Call[P], reply: Reply, answered_at: float) -> None:
        """Classify the answer, count it for the gate, and hand the call to the sink."""
        gate, payment, order, trouble = self._gate, call.payment, call.order, reply.trouble
        call.answered_at = answered_at
        if call.inside:
            gate.abandon()
        payment.lost = trouble in _LOST
        if trouble in _NOTHING_SENT and call.sent_at is not None:  # the client found its connection out of step
            gate.answered()
            call.sent_at = None
        call.answer = answer = read(call.adapter, order, reply, look_up=call.look_up)
        if call.look_up:
            asked = Credit(order.campaign_id, order.member_id, order.amount)
            call.absence_proven_in_s = proof_s = self._absence_proven_in_s(call)
            verdict = classify_look_up(answer, asked=asked, absence_is_proof=proof_s == 0)
        else:
            verdict = classify(answer)
        overload = verdict.overload
        if overload is not _NO_OVERLOAD or verdict.halt is not None:
            verdict = self._refined(verdict, call, reply)
        sent_at = call.sent_at
        if sent_at is None:
            call.attempt = None
        else:
            self.sent += 1
            timed_out = trouble is not None and trouble is CallTrouble.TIMED_OUT
            gate.answered(unknown_for_s=self._terms.http_timeout_s if timed_out else 0.0)
            stamp = self._lease.clock.stamp
            call.attempt = Attempt(
                call.attempt_id,
                "GET" if call.look_up else "POST",
                payment.seq,
                stamp(sent_at),
                None if trouble else stamp(answered_at),
                reply.status,
                verdict.outcome,
                verdict.code,
                verdict.transaction_id,
            )
        if verdict.outcome is _NOT_SENT:
            self._sink.not_sent(call)
        else:
            gate.observe(overload, None if overload is _NO_OVERLOAD else _trouble(verdict, reply), sent_at=sent_at)
            self._renewal.heard(failing=overload is _FAILING)
            self._sink.answered(call, verdict)
        self.under_way.remove(call)

    def _refined(self, verdict: Verdict, call: Call[P], reply: Reply) -> Verdict:
        """With the name of its cause as code, where the API gave none; without a halt for a token of yesterday."""
        if verdict.code is None:
            verdict = _with_cause(verdict, reply)
        if verdict.halt is Halt.UNAUTHORIZED and self._token_is_old(call):
            verdict = verdict._replace(halt=None)
        return verdict

    def _token_is_old(self, call: Call[P]) -> bool:
        """Whether the files hold other secrets now than those that were refused: then its payment comes again."""
        access = self._terms.access
        access.renew_secrets()
        return access.adapter is not call.adapter

    def _absence_proven_in_s(self, call: Call[P]) -> float | None:
        payment, sent_at = call.payment, call.sent_at
        if sent_at is None:
            return None
        # If "not found" is true, it was true at some moment between the send and the answer.
        last, first, promises = payment.last_sent_at, payment.first_sent_at, self._lease.promises
        return absence_proven_in_s(
            since_last_sent_s=0.0 if last is None else sent_at - last,
            since_first_sent_s=0.0 if first is None else call.answered_at - first,
            retention_s=promises.retention_s,
            after_s=promises.settle_s,
            failure_code=payment.failure_code,
        )

    def attempts_given_up(self) -> list[Attempt]:
        """Attempts for the calls that left and whose answers are no longer awaited."""
        return [
            Attempt(
                call.attempt_id,
                "GET" if call.look_up else "POST",
                call.payment.seq,
                self._lease.clock.stamp(call.sent_at),
                None,
                None,
                Outcome.NO_ANSWER,
                None,
                None,
            )
            for call in self.under_way
            if call.sent_at is not None
        ]


def _trouble(verdict: Verdict, reply: Reply) -> Trouble:
    """What a call was that got nothing usable."""
    reached = reply.trouble is not CallTrouble.NOT_CONNECTED  # a look-up's outcome does not say that
    outcome = verdict.outcome if reached else Outcome.NOT_CONNECTED
    return Trouble(outcome, verdict.code, reply.status, verdict.retry_after_s)


def _with_cause(verdict: Verdict, reply: Reply) -> Verdict:
    """The verdict with the name of its cause as its code, where the API gave none and the call failed.

    After the answer is classified: no cause of ours is ever taken for a code of the API's.
    """
    cause = reply.cause
    if cause is None and verdict.overload is Overload.FAILING and (reply.status or 0) < 500 and not reply.trouble:
        cause = cause_of_answer(reply.status, reply.body)
    return verdict if cause is None else verdict._replace(code=cause.value)
