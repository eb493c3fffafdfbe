"""Many calls side by side, over both clients, against the sandbox: each ends once, each wire send had its leave."""

import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bulkpoint.money.clients import make_calls
from bulkpoint.money.contract import MoneyV1, PointsCall
from bulkpoint.money.transport import Calls, Reply
from bulkpoint.rules.answers import CallTrouble
from bulkpoint.settings import load_settings
from tests.world.money import Money, sandbox

MONEY = MoneyV1({})
WAIT_S_MAX = 20


@pytest.fixture(scope="module")
def money() -> Iterator[Money]:
    with sandbox("--latency-ms", "10") as money:
        yield money


@pytest.fixture(params=["curl", "requests"])
def calls(request: pytest.FixtureRequest, money: Money) -> Iterator[Calls]:
    environment = {
        "BULKPOINT_MONEY_URL": money.url,
        "BULKPOINT_MONEY_TRANSPORT": request.param,
        "BULKPOINT_MONEY_TIMEOUT_S": "1",
    }
    calls = make_calls(load_settings(environment))
    yield calls
    calls.close()


class Counter:
    """A gate that lets everything out and counts."""

    def __init__(self) -> None:
        self.times = 0

    def ask(self) -> bool:
        self.times += 1
        return True


def begin(calls: Calls, tag: object, on_wire: Callable[[], bool]) -> None:
    call = PointsCall(uuid.uuid4(), 1, f"member-{tag}", 5, "적립")
    calls.begin(tag, MONEY.pay(call), on_wire=on_wire)


def all_ended(calls: Calls) -> dict[Any, Reply]:
    ended: dict[Any, Reply] = {}
    deadline = time.monotonic() + WAIT_S_MAX
    while calls.under_way:
        assert time.monotonic() < deadline
        for tag, reply in calls.ended(0.01):
            assert tag not in ended
            ended[tag] = reply
    return ended


def test_many_calls_are_under_way_at_once_and_each_ends_once(calls: Calls, money: Money) -> None:
    before = money.stats()["credits"]
    asked = Counter()
    began = time.monotonic()
    for tag in range(40):
        begin(calls, tag, asked.ask)
    ended = all_ended(calls)
    assert sorted(ended) == list(range(40))
    assert {reply.status for reply in ended.values()} == {201}
    assert asked.times == 40
    assert money.stats()["credits"] == before + 40
    assert time.monotonic() - began < 40 * 0.05, "one after the other would take longer"


def test_with_nothing_under_way_there_is_nothing_to_wait_for(calls: Calls) -> None:
    assert calls.ended(0.01) == []
    assert calls.under_way == 0


def test_a_closed_gate_keeps_its_call_and_only_that(calls: Calls, money: Money) -> None:
    before = money.stats()["requests"]
    for tag in range(10):
        begin(calls, tag, lambda tag=tag: tag % 2 == 0)  # type: ignore[misc]
    ended = all_ended(calls)
    assert [ended[tag].trouble for tag in range(10)] == [None, CallTrouble.NOT_SENT] * 5
    assert money.stats()["requests"] == before + 5


def test_a_reply_lost_on_a_reused_connection_is_sent_once(calls: Calls, money: Money) -> None:
    begin(calls, "warm", lambda: True)
    all_ended(calls)
    before = money.stats()["requests"]
    money.change(credit_then_close=1.0)
    try:
        asked = Counter()
        for tag in range(8):
            begin(calls, tag, asked.ask)
        ended = all_ended(calls)
    finally:
        money.change(credit_then_close=0.0)
    assert {reply.trouble for reply in ended.values()} <= {CallTrouble.RESET, CallTrouble.SENT_TWICE}
    assert money.stats()["requests"] == before + asked.times
    assert asked.times == 8


def test_a_slow_answer_ends_with_the_time_limit_and_holds_up_nobody(calls: Calls, money: Money) -> None:
    money.change(latency_ms=3000)
    begin(calls, "slow", lambda: True)
    calls.ended(0.2)
    money.change(latency_ms=10)
    begin(calls, "quick", lambda: True)
    deadline = time.monotonic() + WAIT_S_MAX
    order: list[tuple[Any, Reply]] = []
    while calls.under_way and time.monotonic() < deadline:
        order += calls.ended(0.01)
    assert [tag for tag, _ in order] == ["quick", "slow"]
    assert order[1][1].trouble is CallTrouble.TIMED_OUT


def test_what_the_gate_raises_comes_out(calls: Calls) -> None:
    def refuse() -> bool:
        raise ValueError("the gate is broken")

    begin(calls, 1, refuse)
    with pytest.raises(ValueError, match="the gate is broken"):
        all_ended(calls)


def test_closing_gives_up_what_is_under_way(money: Money) -> None:
    calls = make_calls(load_settings({"BULKPOINT_MONEY_URL": money.url}))
    begin(calls, 1, lambda: True)
    calls.close()
