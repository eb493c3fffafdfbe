"""The gate under random stalls, rate changes and hand-overs: the sum in any sliding second never passes the limit."""

import math
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from bulkpoint.rules.gate import Gate
from tests.world.promises import worst_second


def drain(gate: Gate, *, start: float, until: float, step: float = 0.0) -> list[float]:
    """Send as early as the gate allows, `step` seconds late each time."""
    sends, now = [], start
    while (at := gate.next_at(now)) <= until:
        if at > now:
            now = at
            continue
        gate.record_send(now)
        sends.append(now)
        now += step
    return sends


def test_a_full_second_holds_exactly_the_rate() -> None:
    sends = drain(Gate(guard_s=0.0, rate=125), start=100.0, until=110.0)
    assert worst_second(sends) == 125
    assert len(sends) >= 1250 - 1


def test_the_guard_costs_its_own_share_and_no_more() -> None:
    sends = drain(Gate(guard_s=0.01, rate=100), start=0.0, until=101.0)
    assert len(sends) >= 9_990


def test_a_late_caller_catches_up_inside_the_second() -> None:
    gate = Gate(guard_s=0.0, rate=100)
    first = drain(gate, start=0.0, until=0.5)
    after_a_stall = drain(gate, start=0.9, until=1.0)
    assert len(first) + len(after_a_stall) >= 99
    assert worst_second(first + after_a_stall) <= 100


def test_calls_are_spaced_evenly() -> None:
    sends = drain(Gate(guard_s=0.0, rate=10), start=50.0, until=60.0)
    gaps = [later - earlier for earlier, later in pairwise(sends)]
    assert max(gaps) < 0.2


def test_a_rate_that_falls_and_rises_again_is_not_forgotten() -> None:
    gate = Gate(guard_s=0.01, rate=125)
    sends = drain(gate, start=10.0, until=10.5)
    gate.set_rate(1)
    sends += drain(gate, start=10.5, until=10.6)
    gate.set_rate(125)
    sends += drain(gate, start=10.6, until=13.0)
    assert worst_second(sends) <= 125


def test_rate_zero_holds_for_ever() -> None:
    gate = Gate(guard_s=0.01, rate=0)
    assert gate.next_at(0.0) == math.inf


def test_leaving_early_is_impossible() -> None:
    gate = Gate(guard_s=0.01, rate=1)
    gate.record_send(5.0)
    with pytest.raises(AssertionError):
        gate.record_send(5.5)


def test_counted_from_the_answer_a_slot_is_free_a_second_after_it() -> None:
    gate = Gate(guard_s=0.0, counts_from="answer", rate=1)
    gate.record_send(1.0)
    assert gate.next_at(9.0) == math.inf
    gate.answered(9.0)
    assert gate.next_at(9.5) == 10.0
    gate.record_send(10.0)
    gate.answered(15.0, unknown_for_s=5.0)
    assert gate.next_at(15.0) == 21.0


@given(
    rate=st.sampled_from([1, 2, 4, 8, 16, 32]),
    # In 64ths, which floats hold exactly: the second is then exact too.
    latencies=st.lists(st.integers(0, 192).map(lambda ticks: ticks / 64), min_size=1, max_size=40),
    arrival=st.sampled_from([0.0, 0.25, 0.5, 1.0]),
)
@settings(max_examples=200, deadline=None)
def test_counted_from_the_answer_arrivals_never_pass_the_limit(
    rate: int, latencies: list[float], arrival: float
) -> None:
    """Wherever between send and answer a call arrives, no sliding second at the receiver holds more than the rate."""
    gate = Gate(guard_s=0.0, counts_from="answer", rate=rate)
    now, arrivals, open_until = 0.0, [], list[float]()
    for turn in range(300):
        for answered in [at for at in open_until if at <= now]:
            open_until.remove(answered)
            gate.answered(answered)
        at = gate.next_at(now)
        if at <= now:
            latency = latencies[turn % len(latencies)]
            gate.record_send(now)
            arrivals.append(now + latency * (arrival if turn % 2 else 1 - arrival))
            open_until.append(now + latency)
        else:
            now = min([at, *open_until])
    assert worst_second(arrivals) <= rate


class SharesOfOneLimit(RuleBasedStateMachine):
    """Several gates on one clock, each with its integer part of the limit; rates change, holders come and go."""

    @initialize(tps=st.integers(0, 60), shares=st.integers(1, 4))
    def begin(self, tps: int, shares: int) -> None:
        self.now = 1000.0
        self.shares = shares
        self.gates = [Gate(guard_s=0.01) for _ in range(shares)]
        self.sends: list[float] = []
        self.highest = [(self.now, tps)]
        self.set_tps(tps)

    @rule(tps=st.integers(0, 60))
    def set_tps(self, tps: int) -> None:
        self.highest.append((self.now, tps))
        for share, gate in enumerate(self.gates):
            gate.set_rate(tps // self.shares + (share < tps % self.shares))

    @rule(pause=st.floats(0.0, 2.5))
    def stall(self, pause: float) -> None:
        self.now += pause

    @precondition(lambda self: hasattr(self, "gates"))
    @rule(share=st.integers(0, 3), calls=st.integers(1, 70))
    def send(self, share: int, calls: int) -> None:
        gate = self.gates[share % self.shares]
        for _ in range(calls):
            at = gate.next_at(self.now)
            if at > self.now + 0.3:
                return
            self.now = max(self.now, at)
            if gate.next_at(self.now) <= self.now:
                gate.record_send(self.now)
                self.sends.append(self.now)

    @rule(share=st.integers(0, 3), clock_apart=st.floats(-1e6, 1e6))
    def hand_over(self, share: int, clock_apart: float) -> None:
        """The next holder reads another clock; both know the database's."""
        share %= self.shares
        old, new = self.gates[share], Gate(guard_s=0.01, rate=self.gates[share].rate)
        theirs = [at + clock_apart for at in old.remembered(self.now)]
        new.remember(at - clock_apart for at in theirs)
        self.gates[share] = new

    @invariant()
    def no_sliding_second_passes_the_limit(self) -> None:
        if not hasattr(self, "sends"):
            return
        for first in range(len(self.sends)):
            begin = self.sends[first]
            inside = sum(begin <= at < begin + 1.0 for at in self.sends[first:])
            # The limit in force during that second: the largest figure set in it, or before it and still valid.
            in_force = [tps for since, tps in self.highest if since < begin][-1:]
            in_force += [tps for since, tps in self.highest if begin <= since < begin + 1.0]
            assert inside <= max(in_force), (begin, inside, in_force)


SharesOfOneLimit.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
test_shares_of_one_limit = SharesOfOneLimit.TestCase
