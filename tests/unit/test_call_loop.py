"""The call loop between a source and a sink: every wire send passes the gate, and every call ends once."""

import ast
import math
import time
import uuid
from collections import deque
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

import bulkpoint
from bulkpoint.errors import UsageError
from bulkpoint.money.contract import MoneyV1
from bulkpoint.money.transport import HttpRequest, OnWire, Reply
from bulkpoint.pay.access import Access
from bulkpoint.pay.call_loop import Call, CallLoop, CallTerms
from bulkpoint.pay.gate import LeasedGate, boot_clock
from bulkpoint.pay.lease import Lease
from bulkpoint.pay.task import Payment
from bulkpoint.rules.answers import CallTrouble, Halt, Outcome, Verdict
from bulkpoint.rules.causes import Cause
from bulkpoint.rules.clocks import DatabaseClock
from bulkpoint.rules.promises import MoneyPromises

RETENTION_S = 86_400.0
SETTLE_S = 60.0
PROMISES = MoneyPromises(RETENTION_S / 3600, SETTLE_S, connect_timeout_s=1.0, timeout_s=1.0)
CREDITED = Reply(201, b'{"transaction_id":"t-1"}')
NOT_FOUND = Reply(404, b'{"code":"KEY_NOT_FOUND","message":"no such key"}')


class Money:
    """A client (transport.Calls) with money behind it: a call leaves, and has its reply, when replies are asked for."""

    def __init__(self, answer: Callable[[HttpRequest], Reply | None] = lambda _: CREDITED) -> None:
        self.received: list[HttpRequest] = []
        self.fresh: list[bool] = []
        self.renewals = 0
        self._answer = answer  # None: it takes its time
        self._begun: list[tuple[object, HttpRequest, OnWire]] = []

    @property
    def under_way(self) -> int:
        return len(self._begun)

    def begin(self, tag: object, request: HttpRequest, *, on_wire: OnWire, fresh: bool = False) -> None:
        self.fresh.append(fresh)
        self._begun.append((tag, request, on_wire))

    def ended(self, _wait_s: float) -> list[tuple[Any, Reply]]:
        replies = []
        for call in list(self._begun):
            tag, request, on_wire = call
            reply = self._receive(request) if on_wire() else Reply(None, trouble=CallTrouble.NOT_SENT)
            if reply is not None:
                self._begun.remove(call)
                replies.append((tag, reply))
        return replies

    def renew(self) -> UsageError | None:
        self.renewals += 1
        return None

    def close(self) -> None: ...

    def _receive(self, request: HttpRequest) -> Reply | None:
        self.received.append(request)
        return self._answer(request)


class Payments:
    """A source and a sink, which say what happened."""

    def __init__(self, count: int = 0, *, look_up: bool = False) -> None:
        self.ready = deque(payment(seq) for seq in range(1, count + 1))
        self.ends: list[tuple[str, int | Outcome]] = []
        self.calls: list[Call[Payment]] = []
        self.halts: list[Halt | None] = []
        self.taken_back = False
        self._look_up = look_up

    def next_call(self, gate: LeasedGate) -> Call[Payment] | None:
        if self.taken_back:
            self.ready.clear()
            return None
        return Call(self.ready.popleft(), gate, look_up=self._look_up)

    def not_sent(self, call: Call[Payment]) -> None:
        self.ends.append(("not sent", call.payment.seq))

    def answered(self, call: Call[Payment], verdict: Verdict) -> None:
        self.calls.append(call)
        self.halts.append(verdict.halt)
        self.ends.append((verdict.outcome.value, call.payment.seq))


def payment(seq: int, *, first_sent_at: float | None = None, last_sent_at: float | None = None) -> Payment:
    return Payment(seq, f"m-{seq}", 100, "why", uuid.uuid4(), 0, False, None, first_sent_at, last_sent_at)


def open_gate(*, rate: int = 10_000) -> LeasedGate:
    gate = LeasedGate(guard_s=0.01, counts_from="send")
    gate.learn(rate=rate, fresh_until=math.inf)
    return gate


def loop_of(
    payments: Payments, gate: LeasedGate, *, in_flight_max: int = 100, access: Access | None = None
) -> CallLoop[Payment]:
    terms = CallTerms(
        campaign_id=7,
        access=access or Access(dict, MoneyV1),
        open_calls=Money,
        make_gate=open_gate,
        http_timeout_s=1.0,
    )
    now = boot_clock()
    lease = cast("Lease", SimpleNamespace(gate=gate, clock=DatabaseClock(now, now, 1_700_000_000.0), promises=PROMISES))
    return CallLoop(terms, lease, payments, payments, in_flight_max=in_flight_max)


def test_a_payment_goes_through_the_gate_to_money_and_its_call_to_the_sink() -> None:
    payments, gate, money = Payments(2), open_gate(), Money()
    loop = loop_of(payments, gate)
    began = boot_clock()
    loop.turn(money)
    assert payments.ends == [("CREDITED", 1), ("CREDITED", 2)]
    assert [request.method for request in money.received] == ["POST", "POST"]
    assert (loop.sent, len(loop.under_way)) == (2, 0)
    for call in payments.calls:
        assert call.attempt is not None
        assert call.sent_at is not None
        assert began <= call.sent_at <= call.answered_at
        assert call.attempt.sent_at == pytest.approx(1_700_000_000.0, abs=5.0), "by the database's clock"
        assert (call.attempt.method, call.attempt.outcome, call.attempt.transaction_id) == ("POST", "CREDITED", "t-1")
    assert gate.remembered() == [pytest.approx(call.sent_at) for call in payments.calls], "the gate counts them"


def test_a_closed_gate_begins_nothing_and_what_is_under_way_still_ends() -> None:
    answers = iter([None, CREDITED])
    payments, gate, money = Payments(1), open_gate(), Money(lambda _: next(answers))
    loop = loop_of(payments, gate)
    loop.turn(money)
    assert payments.ends == []
    assert len(loop.under_way) == 1
    gate.close()
    payments.ready.append(payment(2))
    money._begun[0] = (*money._begun[0][:2], lambda: True)  # its bytes left in the turn before
    loop.turn(money)
    assert payments.ends == [("CREDITED", 1)]
    assert len(payments.ready) == 1, "it was not even begun"


def test_a_call_that_the_gate_stops_in_the_last_moment_was_never_sent_and_frees_its_place() -> None:
    payments, gate, money = Payments(1), open_gate(rate=50), Money()  # at this rate one call is inside at a time
    loop = loop_of(payments, gate)
    begin = money.begin

    def close_meanwhile(tag: object, request: HttpRequest, *, on_wire: OnWire, fresh: bool = False) -> None:
        begin(tag, request, on_wire=on_wire)
        gate.learn(rate=50, fresh_until=-math.inf)

    money.begin = close_meanwhile  # type: ignore[method-assign]
    loop.turn(money)
    assert payments.ends == [("not sent", 1)]
    assert (money.received, loop.sent) == ([], 0)
    gate.learn(rate=50, fresh_until=math.inf)
    assert gate.try_enter() == 0, "the next call may go inside"


def test_what_another_thread_took_back_costs_the_gate_no_place() -> None:
    payments, gate, money = Payments(1), open_gate(rate=50), Money()
    payments.taken_back = True
    loop_of(payments, gate).turn(money)
    assert (payments.ends, money.received) == ([], [])
    assert gate.try_enter() == 0


def test_no_more_calls_are_under_way_than_the_bound() -> None:
    payments, money = Payments(10), Money(lambda _: None)
    loop = loop_of(payments, open_gate(), in_flight_max=3)
    loop.turn(money)
    assert (len(loop.under_way), money.under_way, len(payments.ready)) == (3, 3, 7)


def test_a_call_that_could_not_connect_is_no_attempt_and_no_send() -> None:
    payments, money = Payments(1), Money()
    loop = loop_of(payments, open_gate(rate=50))
    money.ended = lambda _: [(tag, Reply(None, trouble=CallTrouble.NOT_CONNECTED)) for tag, _, _ in money._begun]  # type: ignore[method-assign,assignment]
    loop.turn(money)
    assert payments.ends == [("NOT_CONNECTED", 1)]
    assert (payments.calls[0].attempt, loop.sent) == (None, 0)


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (Reply(None, trouble=CallTrouble.RESET, cause=Cause.CLOSED), "CLOSED"),
        (Reply(404, trouble=CallTrouble.RESET, cause=Cause.CUT), "CUT"),
        (Reply(301, b""), "REDIRECTED"),
        (Reply(200, b"<html>"), "PAGE"),
        (Reply(500, b"<html>"), None),
        (Reply(429, b"<html>"), None),
        (Reply(503, b'{"code":"BUSY"}'), "BUSY"),
        (CREDITED, None),
    ],
)
def test_a_call_that_failed_without_a_code_has_its_cause_as_code(reply: Reply, code: str | None) -> None:
    payments = Payments(1)
    loop_of(payments, open_gate()).turn(Money(lambda _: reply))
    attempt = payments.calls[0].attempt
    assert attempt is not None
    assert attempt.code == code


def test_a_401_halts_nothing_where_the_token_was_exchanged_meanwhile() -> None:
    token = "old"
    replies = [Reply(401, b'{"code":"UNAUTHORIZED"}'), CREDITED]

    def answer(_: HttpRequest) -> Reply:
        nonlocal token
        token = "new"
        return replies.pop(0)

    payments, money = Payments(1), Money(answer)
    loop = loop_of(payments, open_gate(), access=Access(lambda: {"token": token}, MoneyV1))
    loop.turn(money)
    assert payments.halts == [None]
    payments.ready.append(payment(2))
    loop.turn(money)
    assert [request.headers["Authorization"] for request in money.received] == ["Bearer old", "Bearer new"]
    assert payments.ends == [("UNAUTHORIZED", 1), ("CREDITED", 2)]


def test_a_401_with_the_token_that_is_still_in_the_file_halts_the_run() -> None:
    payments = Payments(1)
    access = Access(lambda: {"token": "the-one"}, MoneyV1)
    loop_of(payments, open_gate(), access=access).turn(Money(lambda _: Reply(401, b'{"code":"UNAUTHORIZED"}')))
    assert payments.halts == [Halt.UNAUTHORIZED]


def test_calls_that_fail_in_a_row_have_connections_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bulkpoint.pay.access.RENEW_AGAIN_S", 0.0)
    payments, money = Payments(1), Money(lambda _: Reply(503))
    loop = loop_of(payments, open_gate())
    renewals = []
    for _ in range(5):
        loop.turn(money)
        payments.ready.append(payment(1))
        renewals.append(money.renewals)
    assert renewals == [0, 0, 0, 1, 2]


def test_the_gate_hears_of_trouble_and_of_usable_answers() -> None:
    gate = open_gate()
    loop_of(Payments(1), gate).turn(Money(lambda _: Reply(500)))
    heard = gate.heard
    assert (heard.outcome, heard.status, heard.usable_at) == ("SERVER_ERROR", 500, None)
    assert heard.trouble_at == pytest.approx(boot_clock(), abs=5)
    loop_of(Payments(1), gate).turn(Money())
    assert gate.heard.trouble_at is None
    assert gate.heard.usable_at == pytest.approx(boot_clock(), abs=5)


def test_a_permit_was_used_by_a_call_that_did_not_leave_after_all_and_it_is_no_send() -> None:
    payments, gate = Payments(1), open_gate()
    loop = loop_of(payments, gate)
    loop.turn(Money(lambda _: Reply(None, trouble=CallTrouble.NOT_SENT)))  # the connection was found closed
    assert (payments.ends, loop.sent, len(gate.remembered())) == ([("not sent", 1)], 0, 1)


@pytest.mark.parametrize(
    ("reply", "fresh"),
    [
        (Reply(None, trouble=CallTrouble.RESET), True),
        (Reply(None, trouble=CallTrouble.SENT_TWICE), True),
        (Reply(200, trouble=CallTrouble.TIMED_OUT), True),
        (Reply(503), False),
    ],
)
def test_a_payment_whose_call_was_lost_goes_out_on_a_new_connection(reply: Reply, fresh: bool) -> None:
    replies = [reply, CREDITED, CREDITED]
    payments, money = Payments(1), Money(lambda _: replies.pop(0))
    loop = loop_of(payments, open_gate())
    for _ in range(3):
        loop.turn(money)
        payments.ready.append(payments.calls[-1].payment)
    assert money.fresh == [False, fresh, False]


def looked_up(*, sent_ago_s: tuple[float, float], answer_takes_s: float = 0.0) -> Call[Payment]:
    """The look-up of a payment whose first and last call left so long ago; money does not find its key."""

    def answer(_: HttpRequest) -> Reply:
        time.sleep(answer_takes_s)
        return NOT_FOUND

    now, payments = boot_clock(), Payments(look_up=True)
    payments.ready.append(payment(1, first_sent_at=now - sent_ago_s[0], last_sent_at=now - sent_ago_s[1]))
    loop_of(payments, open_gate()).turn(Money(answer))
    return payments.calls[0]


def test_a_look_up_goes_by_the_same_gate_as_a_get() -> None:
    call = looked_up(sent_ago_s=(100, 100))
    assert call.attempt is not None
    assert (call.attempt.method, call.attempt.outcome) == ("GET", "NOT_FOUND")


def test_not_found_is_proof_when_the_last_send_had_its_time_before_money_was_asked() -> None:
    assert looked_up(sent_ago_s=(100, SETTLE_S)).absence_proven_in_s == 0
    early = looked_up(sent_ago_s=(100, SETTLE_S - 0.2), answer_takes_s=0.3)
    assert early.absence_proven_in_s is not None
    assert 0 < early.absence_proven_in_s <= 0.2, "what passed while money answered does not count"


def test_not_found_is_no_proof_when_money_may_have_forgotten_the_key_before_it_answered() -> None:
    assert looked_up(sent_ago_s=(RETENTION_S - 5, 100)).absence_proven_in_s == 0
    assert looked_up(sent_ago_s=(RETENTION_S - 0.2, 100), answer_takes_s=0.3).absence_proven_in_s is None


def test_calls_that_nobody_waits_for_are_known_by_their_attempts() -> None:
    payments, gate, money = Payments(2), open_gate(), Money(lambda _: None)
    loop = loop_of(payments, gate)
    loop.turn(money)
    gone = loop.attempts_given_up()
    assert sorted(attempt.seq for attempt in gone) == [1, 2]
    assert {(attempt.outcome, attempt.answered_at) for attempt in gone} == {(Outcome.NO_ANSWER, None)}


def test_no_other_code_begins_a_call_to_money() -> None:
    """Whatever begins a call says what is asked `on_wire`; that the loop does, and the clients hand on."""
    root = Path(bulkpoint.__file__).parent
    begins = {
        str(path.relative_to(root))
        for path in root.rglob("*.py")
        if path.parent.name != "money"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and any(keyword.arg == "on_wire" for keyword in node.keywords)
    }
    assert begins == {"pay/call_loop.py"}
