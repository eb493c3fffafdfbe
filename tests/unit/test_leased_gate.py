"""The gate among threads: one at a time, only while knowledge is fresh, closed for ever when the lease is over."""

import math
import threading
import time

import pytest

from bulkpoint.pay.gate import LeasedGate, boot_clock
from bulkpoint.rules.gate import CountsFrom

FAR = math.inf


def open_gate(rate: int, *, guard_s: float = 0.0, counts_from: CountsFrom = "send") -> LeasedGate:
    gate = LeasedGate(guard_s=guard_s, counts_from=counts_from)
    gate.learn(rate=rate, fresh_until=FAR)
    return gate


def send(gate: LeasedGate) -> float | None:
    while gate.try_enter() > 0:
        if gate.closed:
            return None
        time.sleep(0.001)
    sent_at = gate.pass_out()
    if sent_at is None:
        gate.abandon()
    return sent_at


@pytest.mark.parametrize("threads", [1, 8])
def test_many_threads_together_keep_the_rate(threads: int) -> None:
    gate, sends = open_gate(200), list[float]()

    def work() -> None:
        while (sent_at := send(gate)) is not None:
            sends.append(sent_at)

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    time.sleep(1.5)
    gate.close()
    for worker in workers:
        worker.join(5)
        assert not worker.is_alive()
    sends.sort()
    assert len(sends) >= 200
    assert all(later - earlier >= 1.0 for earlier, later in zip(sends, sends[200:], strict=False))


def test_nothing_leaves_on_stale_knowledge() -> None:
    gate = open_gate(100)
    assert gate.try_enter() == 0
    gate.learn(rate=100, fresh_until=boot_clock())
    assert gate.pass_out() is None


def test_nothing_leaves_while_held() -> None:
    gate = open_gate(100)
    assert gate.try_enter() == 0
    gate.learn(rate=0, fresh_until=FAR)
    assert gate.pass_out() is None


def test_nobody_goes_inside_a_closed_gate() -> None:
    gate = open_gate(100)
    gate.close()
    assert gate.try_enter() > 0


def test_nobody_goes_inside_long_before_the_permit() -> None:
    gate = open_gate(2)
    assert send(gate) is not None
    assert 0.3 < gate.try_enter() <= 0.5


def test_a_call_inside_waits_for_its_own_permit_and_not_for_ever() -> None:
    gate = open_gate(1)
    assert send(gate) is not None
    with gate._state:  # as a thread would be that entered just before the rate fell
        gate._inside += 1
    began = time.monotonic()
    assert gate.pass_out() is None
    assert time.monotonic() - began < 1.0


def test_a_call_that_leaves_makes_room_for_the_next() -> None:
    gate = open_gate(4)
    assert gate.try_enter() == 0
    assert gate.try_enter() > 0, "one inside at this rate"
    gate.abandon()
    assert gate.try_enter() == 0


def test_counted_from_the_answer_a_slot_is_kept_until_it_comes() -> None:
    gate = open_gate(1, counts_from="answer")
    assert send(gate) is not None
    assert gate.try_enter() > 0
    gate.answered()
    assert gate.remembered()
