"""Nearly every call is credited plainly, and takes shortcuts; each gives exactly what the way without it gives."""

from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkpoint.money.adapter import load_adapter
from bulkpoint.money.contract import PointsCall
from bulkpoint.money.reading import read
from bulkpoint.money.transport import Headers, Reply
from bulkpoint.pay import sender
from bulkpoint.pay.call_loop import Call
from bulkpoint.pay.gate import LeasedGate
from bulkpoint.pay.in_hand import PaymentsInHand
from bulkpoint.pay.recorder import Recorder
from bulkpoint.pay.sender import PaymentSink
from bulkpoint.pay.task import Payment
from bulkpoint.rules import pressure
from bulkpoint.rules.answers import CallTrouble, Outcome, Overload, classify
from bulkpoint.rules.clocks import DatabaseClock
from bulkpoint.rules.pressure import Backpressure, PressureSnapshot
from bulkpoint.rules.retry import RetryPolicy
from bulkpoint.store.payment import Attempt
from bulkpoint.store.share import ShareToken

KEY = UUID("2f1d4a52-6f6b-5e54-9a07-0a8f4d2f3c11")
ORDER = PointsCall(KEY, 7, "member-1", 100, "적립")
MONEY = load_adapter(None, {})
BODIES = [
    b'{"transaction_id":"tx-1"}',
    b'{"transaction_id": "tx-2"}\n',
    b'{"transaction_id":"null"}',
    b'{"transaction_id":"000"}',
    b'{"transaction_id":"tx-3","code":"BROKEN"}',
    b'{"transaction_id":"tx-4","member_id":"another"}',
    b'{"transaction_id":"tx-5","member_id":"member-1","amount":100}',
    '{"transaction_id":"티엑스"}'.encode(),
    b'{"code":"NO_SUCH_MEMBER","message":"no such member"}',
    b"<html>",
    b"",
]

replies = st.builds(
    Reply,
    st.sampled_from([200, 201, 202, 301, 400, 401, 403, 404, 409, 422, 429, 500, 503]),
    st.sampled_from(BODIES),
    st.none() | st.sampled_from(["0", "3", "soon"]),
) | st.builds(lambda trouble: Reply(None, trouble=trouble, headers=Headers()), st.sampled_from(CallTrouble))
payments = st.builds(
    Payment,
    st.just(5),
    st.just("member-1"),
    st.just(100),
    st.just("적립"),
    st.just(KEY),
    tries=st.integers(0, 4),
    maybe_credited=st.booleans(),
    failure_code=st.none() | st.just("NO_SUCH_MEMBER"),
    first_sent_at=st.none() | st.just(90.0),
    last_sent_at=st.none() | st.just(95.0),
    refused=st.booleans(),
    uncounted=st.integers(0, 2),
    refusals=st.integers(0, 3),
    refused_since=st.just(91.0),
)


class Results:
    """A recorder that only keeps what it gets."""

    def __init__(self) -> None:
        self.kept: list[Any] = []

    def add(self, *result: object) -> None:
        self.kept.append(result)


def after_answer(payment: Payment, reply: Reply) -> tuple[Any, ...]:
    """What the sink makes of the reply to a payment's POST: results, what comes again, what is still in hand, halt."""
    payment = Payment(**{name: getattr(payment, name) for name in Payment.__slots__})
    gate = LeasedGate(guard_s=0.0, counts_from="send", clock=lambda: 100.0)
    gate.learn(rate=10, fresh_until=200.0)
    lease = SimpleNamespace(gate=gate, token=ShareToken(0, 3, KEY), clock=DatabaseClock(0.0, 0.0, 1_000.0))
    in_hand, results = PaymentsInHand(promises=lambda: cast("Any", None)), Results()
    in_hand.add([payment])
    sink = PaymentSink(in_hand, cast("Any", lease), cast("Recorder", results), RetryPolicy(3, 1.0, lambda: 0.5))
    call = Call(payment, gate, look_up=False)
    verdict = classify(read(MONEY, ORDER, reply, look_up=False))
    call.order, call.answered_at, call.sent_at = ORDER, 100.0, 99.0
    call.attempt = None
    if reply.trouble not in (CallTrouble.NOT_CONNECTED, CallTrouble.NOT_SENT):
        call.attempt = Attempt(
            "id", "POST", 5, 99.0, 100.0, reply.status, verdict.outcome, verdict.code, verdict.transaction_id
        )
    sink.answered(call, verdict)
    came_again = [due_at for due_at, _ in in_hand.again]
    return results.kept, came_again, in_hand.seqs, sink.halt, vars(sink._authorization), gate.closed


@given(payments, replies)
def test_a_payments_change_is_the_same_by_the_short_way_and_by_the_long_one(payment: Payment, reply: Reply) -> None:
    shortly = after_answer(payment, reply)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sender, "_SUCCEED", None)  # no call takes the short way
        assert after_answer(payment, reply) == shortly


@given(
    st.lists(st.tuples(st.sampled_from([Overload.NONE] * 5 + list(Overload)), st.floats(0, 0.6)), max_size=60),
    st.none() | st.floats(1, 20),
)
def test_the_pressure_is_the_same_by_the_short_way_and_by_the_long_one(
    answers: list[tuple[Overload, float]], taken_over: float | None
) -> None:
    def states() -> list[Any]:
        seen, now, one = [], 100.0, Backpressure()
        one.permit(50)
        if taken_over is not None:
            one.take_over(PressureSnapshot(taken_over, taken_over, 99.0, None, 99.0, 99.0, 99.5), now)
        for overload, later_s in answers:
            now += later_s
            one.observe(overload, now)
            breaker = one._breaker
            tallies = [vars(one._round), vars(breaker._recent)]
            seen.append((one.rate(now), one.snapshot(now), one.is_crowded(now), breaker._usable_at, str(tallies)))
        return seen

    shortly = states()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pressure, "_NONE", None)
        assert states() == shortly


@given(st.integers(1, 2_000), st.integers(1, 30), st.integers(0, 30), st.booleans())
def test_as_many_calls_go_inside_together_as_one_after_the_other(
    rate: int, wanted: int, inside: int, probing: bool
) -> None:
    def gate() -> LeasedGate:
        one = LeasedGate(guard_s=0.0, counts_from="send", clock=lambda: 100.0)
        one.learn(rate=rate, fresh_until=200.0)
        if probing:
            one.take_over(PressureSnapshot(1.0, None, None, None, 99.0, 99.0, 99.0))
        for _ in range(inside):
            one.try_enter()
        return one

    singly, together = gate(), gate()
    entered = sum(singly.try_enter() == 0 for _ in range(wanted))
    at_once = 1 + together.enter_more(wanted - 1) if together.try_enter() == 0 else 0
    assert at_once == entered
    assert together.try_enter() == singly.try_enter()


def test_nobody_else_goes_inside_when_the_rate_has_just_fallen() -> None:
    gate = LeasedGate(guard_s=0.0, counts_from="send", clock=lambda: 100.0)
    gate.learn(rate=500, fresh_until=200.0)
    assert [gate.try_enter() for _ in range(5)] == [0.0] * 5
    gate.learn(rate=10, fresh_until=200.0)  # by the thread that renews the lease
    assert gate.rate == 10
    assert gate.enter_more(3) == 0


def test_the_short_way_is_taken_by_a_plain_credit_and_by_no_other_answer() -> None:
    taken = []

    class Watched(PaymentSink):
        def _succeeded(self, *call: Any) -> None:
            taken.append(call[2].outcome)

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(globals(), "PaymentSink", Watched)
        for body in BODIES:
            after_answer(Payment(5, "member-1", 100, "적립", KEY, 0, False, None, None, None), Reply(201, body))
    assert taken == [Outcome.CREDITED] * 4
