"""The whole limit under attack: shares on clocks of their own, stalls, changes of TPS, hand-overs and crashes.

Everything happens on one true clock that counts in ticks of 1/1024 s, which floats hold exactly: so is the edge of
every second. Each holder of a share reads a clock of its own, the database another; none of them is the true one.
"""

import math
from bisect import bisect_left, insort
from collections.abc import Iterable
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from bulkpoint.rules.clocks import DatabaseClock
from bulkpoint.rules.gate import CountsFrom, Gate
from bulkpoint.rules.shares import deal, permits
from bulkpoint.rules.turns import Slots
from tests.world.promises import worst_second

TICKS = 1024  # a second
DATABASE_AHEAD = 1_750_000_000 * TICKS
TIMEOUT = 1 * TICKS
# What a holder that lost its database may still do, and when its share is free again: figures of the design.
FRESH = TICKS * 9 // 10
FREE_AFTER_CRASH = {"send": 3 * TICKS + TIMEOUT + TICKS, "answer": 3 * TICKS + 2 * TIMEOUT + TICKS}
# After so long a silence nothing counts any more, whatever hand-overs made of it.
SILENCE = 150 * TICKS

TPS = st.sampled_from([30, 29, 15, 10, 7, 4, 3, 2, 1, 0]) | st.integers(1, 30)
NUMBERS = st.integers(0, 3)
STALLED = st.just(frozenset[int]()) | st.frozensets(NUMBERS, max_size=3)
# A busy share looks at its clock so often: always, or in bursts.
STEPS = st.sampled_from([1, 7, 100, 400])
SPELLS = st.sampled_from([1, 100, 512, 1000, 1024, 1025, 1034, 1040, 2048, 4096]) | st.integers(0, 4 * TICKS)
GAPS = st.sampled_from([0, 1, 200]) | SPELLS
CLOCKS = st.integers(-(2**30), 2**30)
RATES = st.sampled_from([math.inf, 0.1, 0.5, 1.0, 1.5, 2.9, 7.3]) | st.floats(0.1, 30.0)
DELAYS = st.lists(st.sampled_from([0, FRESH]) | st.integers(0, FRESH), min_size=4, max_size=4)
SLOTS = st.lists(
    st.tuples(st.integers(-2048, 2048), st.integers(1, 2048), st.integers(0, 64), st.integers(0, 8192)), max_size=2
)
EIGHTHS = st.integers(0, 8)
# How long the database took to answer, and when in between it looked at its clock.
ANSWERS = st.tuples(st.sampled_from([0, 200, TICKS, 2 * TICKS]) | st.integers(0, 2 * TICKS), EIGHTHS)
# A call's fate: whether it is answered in time, how long it travels, and how long its answer does.
FATES = st.lists(
    st.sampled_from([(True, 0, 0), (True, 0, 8), (True, 8, 0), (False, 0, 0), (False, 8, 0)])
    | st.tuples(st.booleans(), EIGHTHS, EIGHTHS),
    min_size=1,
    max_size=4,
)
# At the worst, calls gather: each is held up until an instant that comes so often, if it may be late for so long.
GATHER_EVERY = 4 * TICKS

REPLAYABLE = settings(deadline=None, print_blob=True, derandomize=False)


@dataclass
class Holder:
    """A worker that holds a share: its gate, its clock, and its calls without an answer."""

    gate: Gate
    ahead: int
    lowered: float = math.inf
    sends_until: float = math.inf
    lost: bool = False
    open_calls: list[tuple[int, bool]] = field(default_factory=list)  # when it will hear of each; whether in time

    def clock(self, now: int) -> float:
        return (now + self.ahead) / TICKS

    def may_ask_at(self, now: int, step: int) -> float:
        """The first tick at which it looks at its clock and may hope."""
        at = self.gate.next_at(self.clock(now))
        if math.isinf(at):
            return math.inf
        tick = max(now, math.ceil(at * TICKS) - self.ahead)
        tick = -(-tick // step) * step
        return tick if tick < self.sends_until else math.inf

    def hear(self, now: int) -> None:
        """Take in all answers and timeouts that are due."""
        for call in [call for call in self.open_calls if call[0] <= now]:
            self.open_calls.remove(call)
            self.gate.answered(self.clock(now), unknown_for_s=0.0 if call[1] else TIMEOUT / TICKS)


@dataclass
class Share:
    """One share of the limit, what its holder knows of TPS, and what it does not know yet."""

    number: int
    holder: Holder | None = None
    known: tuple[int, int] = (0, 0)  # number of the change, TPS
    news: list[tuple[int, tuple[int, int]]] = field(default_factory=list)
    free_at: float = math.inf  # a crashed holder's lease ends
    next_ahead: int = 0
    sends: list[int] = field(default_factory=list)
    idle_ones: list["Share"] = field(default_factory=list)  # leased besides by its holder
    leased_by: "Share | None" = None  # it is one of these


class Limit(RuleBasedStateMachine):
    """All shares of one limit. Subclasses say from when a call counts and how late a change of TPS is heard of."""

    counts_from: CountsFrom = "send"
    heard_late = False
    fates: tuple[tuple[bool, int, int], ...] = ((True, 0, 0),)
    gather_at: int | None = None

    @initialize(
        tps=TPS,
        shares=st.integers(2, 4),
        guard_s=st.sampled_from([0.0, 0.01, 1 / 64]),
        clocks=st.lists(CLOCKS, min_size=4, max_size=4),
    )
    def begin(self, tps: int, shares: int, guard_s: float, clocks: list[int]) -> None:
        self.now = self.checked = 0
        self.guard_s = guard_s
        # Where delays vary by less than the guard, a second at money is a second and a guard here.
        self.window = TICKS + int(guard_s * TICKS)
        self.arrivals: list[int] = []
        self.calls = 0
        self.in_force = [(0, tps)]
        self.shares = [Share(number) for number in range(shares)]
        for share, ahead in zip(self.shares, clocks, strict=False):
            self.take(share, ahead)

    # What may happen

    @rule(spell=SPELLS, stalled=STALLED, step=STEPS)
    def time_passes(self, spell: int, stalled: frozenset[int], step: int) -> None:
        """All shares send what they may, except those that are stalled."""
        self.run_for(spell, stalled, step)

    @rule(seconds=st.integers(1, 4))
    def all_send_what_they_may(self, seconds: int) -> None:
        self.run_for(seconds * TICKS, frozenset(), 1)

    @rule(tps=TPS, delays=DELAYS, spell=SPELLS)
    def tps_changes(self, tps: int, delays: list[int], spell: int) -> None:
        self.change_tps(tps, delays)
        self.run_for(spell, frozenset(), 1)

    @rule(tps=st.integers(0, 5), before=SPELLS, dip=st.integers(0, TICKS), step=STEPS, delays=DELAYS)
    def dip(self, tps: int, before: int, dip: int, step: int, delays: list[int]) -> None:
        """TPS falls and rises again within a second: 125 -> 1 -> 125."""
        usual = self.in_force[-1][1]
        self.run_for(before, frozenset(), step)
        self.change_tps(tps, delays)
        self.run_for(dip, frozenset(), step)
        self.change_tps(usual, delays[::-1])
        self.run_for(TICKS, frozenset(), step)

    @rule(number=NUMBERS, rate=RATES)
    def lower(self, number: int, rate: float) -> None:
        """Money asks one share to go slower than its permits, or no longer does."""
        share = self.share(number)
        if share.holder is not None:
            share.holder.lowered = rate
            self.set_rate(share)

    @rule(number=NUMBERS, slots=SLOTS)
    def take_turns(self, number: int, slots: list[tuple[int, int, int, int]]) -> None:
        """A share may send in slots only, of two plans, whatever they are; or it need not any more."""
        holder = self.share(number).holder
        if holder is not None:
            now = holder.clock(self.now)
            plans = [
                Slots(now + first / TICKS, every / TICKS, late / TICKS, now + until / TICKS)
                for first, every, late, until in slots
            ]
            holder.gate.take_turns(tuple(plans) or None)

    @rule(
        number=NUMBERS,
        before=SPELLS,
        old=ANSWERS,
        gap=GAPS,
        new=ANSWERS,
        ahead=CLOCKS,
        stalled=STALLED,
        meanwhile=st.none() | TPS,
        delays=DELAYS,
    )
    def hand_over(
        self,
        number: int,
        before: int,
        old: tuple[int, int],
        gap: int,
        new: tuple[int, int],
        ahead: int,
        stalled: frozenset[int],
        meanwhile: int | None,
        delays: list[int],
    ) -> None:
        """A holder releases its share once all its calls are answered; another acquires it and knows its sends."""
        self.run_for(before, frozenset(), 1)
        share = self.share(number)
        if share.holder is None or share.holder.lost:
            return
        usual = self.in_force[-1][1]
        if meanwhile is not None:
            self.change_tps(meanwhile, delays)
        given_back = [share, *share.idle_ones]
        stamps = self.leave_share(share, old, stalled)
        self.run_for(gap, stalled, 1)
        self.run_for(new[0], stalled, 1)
        dealt = deal(stamps, [permits(share.known[1], len(self.shares), each.number) for each in given_back])
        for which, (each, sent_at) in enumerate(zip(given_back, dealt, strict=True)):
            if len(given_back) > 1:
                each.sends = []  # they were of all of them
            self.succeed(each, ahead + which, new, sent_at)
        if meanwhile is not None:
            self.change_tps(usual, delays)
        self.run_for(TICKS, frozenset(), 1)

    @precondition(lambda self: self.counts_from == "send")  # as pay/lease.py takes them
    @rule(number=NUMBERS, by=NUMBERS, old=ANSWERS, gap=GAPS, new=ANSWERS, stalled=STALLED, spell=SPELLS)
    def a_holder_takes_an_idle_share(
        self,
        number: int,
        by: int,
        old: tuple[int, int],
        gap: int,
        new: tuple[int, int],
        stalled: frozenset[int],
        spell: int,
    ) -> None:
        """A holder is done and releases its share; another one leases it besides its own."""
        idle, at_work = self.share(number), self.share(by)
        for one in (idle, at_work):
            if one.holder is None or one.holder.lost:
                return
        if idle is at_work or idle.idle_ones:
            return
        stamps = self.leave_share(idle, old, stalled)
        self.run_for(gap, stalled, 1)
        self.run_for(new[0], stalled, 1)
        assert at_work.holder is not None
        clock = self.ask_database(at_work.holder, *new)
        at_work.holder.gate.remember([clock.instant(stamp) for stamp in stamps])
        idle.leased_by, idle.sends = at_work, []
        at_work.idle_ones.append(idle)
        self.set_rate(at_work)
        self.run_for(spell, frozenset(), 1)

    @rule(number=NUMBERS, old=ANSWERS, gap=GAPS, new=ANSWERS, ahead=CLOCKS, stalled=STALLED)
    def idle_shares_are_given_back(
        self,
        number: int,
        old: tuple[int, int],
        gap: int,
        new: tuple[int, int],
        ahead: int,
        stalled: frozenset[int],
    ) -> None:
        """The holder goes on with its own; who takes one knows all that it sent."""
        share = self.share(number)
        if share.holder is None or share.holder.lost:
            return
        given_back, share.idle_ones = share.idle_ones, []
        self.set_rate(share)
        clock = self.ask_database(share.holder, *old)
        stamps = [clock.stamp(instant) for instant in share.holder.gate.remembered(share.holder.clock(self.now))]
        for which, each in enumerate(given_back):
            self.run_for(gap, stalled, 1)
            self.run_for(new[0], stalled, 1)
            self.succeed(each, ahead + which, new, stamps)
        self.run_for(TICKS, frozenset(), 1)

    @rule(number=NUMBERS, ahead=CLOCKS, spell=SPELLS)
    def a_holder_loses_the_database(self, number: int, ahead: int, spell: int) -> None:
        """A holder renews for the last time. It goes on until its knowledge is stale; its share is free much later."""
        share = self.share(number)
        if share.holder is None or share.holder.lost:
            return
        share.holder.lost = True
        share.holder.sends_until = self.now + FRESH
        for which, each in enumerate([share, *share.idle_ones]):
            each.free_at = self.now + FREE_AFTER_CRASH[self.counts_from]
            each.next_ahead = ahead + which
        self.run_for(spell, frozenset(), 1)

    @rule()
    def after_a_long_silence_every_share_may_send(self) -> None:
        self.run_for(SILENCE, frozenset(range(4)), 1)
        at_work = [share for share in self.shares if share.leased_by is None]
        for share in at_work:
            assert share.holder is not None
            share.holder.hear(self.now)
            share.holder.gate.take_turns(None)
        self.run_for(SILENCE, frozenset(range(4)), 1)
        for share in at_work:
            assert share.holder is not None
            now = share.holder.clock(self.now)
            assert share.holder.gate.rate == 0 or share.holder.gate.next_at(now) <= now

    # What must hold

    @invariant()
    def no_sliding_second_holds_more_than_tps(self) -> None:
        # A call leaves by the TPS its gate knows; it arrives while that, or a later one, is in force, or this later:
        late = (FRESH if self.heard_late else 0) + (2 * TIMEOUT if self.counts_from == "answer" else 0)
        for first in range(bisect_left(self.arrivals, self.checked - self.window), len(self.arrivals)):
            begin = self.arrivals[first]
            end = begin + self.window
            inside = bisect_left(self.arrivals, end) - first
            ended = [since for since, _ in self.in_force[1:]] + [end]
            allowed = max(
                tps
                for (since, tps), until in zip(self.in_force, ended, strict=True)
                if since < end and until >= begin - late
            )
            assert inside <= allowed, f"{inside} calls from {begin / TICKS} s on, {allowed} allowed"
        self.checked = self.now

    # How it happens

    def share(self, number: int) -> Share:
        return self.shares[number % len(self.shares)]

    def set_rate(self, share: Share) -> None:
        assert share.holder is not None
        leased = [share, *share.idle_ones]
        allowed = sum(permits(share.known[1], len(self.shares), each.number) for each in leased)
        share.holder.gate.set_rate(min(allowed, share.holder.lowered))

    def leave_share(self, share: Share, old: tuple[int, int], stalled: frozenset[int]) -> list[float]:
        """Its holder ends once all its calls are answered; what it remembers, by the database's clock."""
        leaver = share.holder
        assert leaver is not None
        leaver.sends_until = self.now
        if leaver.open_calls:
            last_heard = max(at for at, _ in leaver.open_calls)
            self.run_for(max(0, last_heard - self.now), stalled - {share.number}, 1)
            leaver.hear(self.now)
        clock = self.ask_database(leaver, *old)
        share.holder, share.idle_ones = None, []
        return [clock.stamp(instant) for instant in leaver.gate.remembered(leaver.clock(self.now))]

    def succeed(self, share: Share, ahead: int, new: tuple[int, int], stamps: list[float]) -> None:
        """A new holder that knows of these sends."""
        successor = self.take(share, ahead)
        clock = self.ask_database(successor, *new)
        successor.gate.remember([clock.instant(stamp) for stamp in stamps])

    def take(self, share: Share, ahead: int) -> Holder:
        """A new holder knows the present TPS, and nothing of earlier sends."""
        share.leased_by, share.idle_ones = None, []
        share.holder = Holder(Gate(guard_s=self.guard_s, counts_from=self.counts_from), ahead)
        share.news = []
        share.known = (len(self.in_force) - 1, self.in_force[-1][1])
        share.free_at = math.inf
        self.set_rate(share)
        return share.holder

    def ask_database(self, holder: Holder, took: int, looked: int) -> DatabaseClock:
        """An answer that has just come."""
        asked = self.now - took
        database_now = (asked + took * looked // 8 + DATABASE_AHEAD) / TICKS
        return DatabaseClock(holder.clock(asked), holder.clock(self.now), database_now)

    def change_tps(self, tps: int, delays: list[int]) -> None:
        self.in_force.append((self.now, tps))
        change = (len(self.in_force) - 1, tps)
        for share, delay in zip(self.shares, delays, strict=False):
            share.news.append((self.now + (delay if self.heard_late else 0), change))
            self.hear_news(share)

    def hear_news(self, share: Share) -> None:
        for item in [item for item in share.news if item[0] <= self.now]:
            share.news.remove(item)
            if item[1] > share.known:  # an older change is no news
                share.known = item[1]
                if share.holder is not None:
                    self.set_rate(share)

    def run_for(self, ticks: int, stalled: Iterable[int], step: int) -> None:
        until = self.now + ticks
        while True:
            at, share = min(
                ((self.next_event(share, share.number in stalled, step), share) for share in self.shares),
                key=lambda event: event[0],
            )
            if at > until:
                break
            self.now = int(at)
            self.happen(share, share.number in stalled, step)
        self.now = until

    def next_event(self, share: Share, stalled: bool, step: int) -> float:
        at = min([share.free_at, *(due for due, _ in share.news)])
        if share.holder is not None and not stalled:
            observe = [max(self.now, heard_at) for heard_at, _ in share.holder.open_calls]
            at = min([at, share.holder.may_ask_at(self.now, step), *observe])
        return at

    def happen(self, share: Share, stalled: bool, step: int) -> None:
        self.hear_news(share)
        if share.free_at <= self.now:
            self.take(share, share.next_ahead)
        if share.holder is None or stalled:
            return
        share.holder.hear(self.now)
        while share.holder.may_ask_at(self.now, step) <= self.now:
            share.holder.gate.record_send(share.holder.clock(self.now))
            self.leave(share, share.holder)

    def leave(self, share: Share, holder: Holder) -> None:
        """One call has left. Counted from the send, it counts now; counted from the answer, when money gets it."""
        share.sends.append(self.now)
        if self.counts_from == "send":
            insort(self.arrivals, self.now)
            inside = len(share.sends) - bisect_left(share.sends, self.now - self.window + 1)
            assert inside <= max(1, int(holder.gate.rate)), "one share alone sent more than its rate"
            return
        answered, travels, returns = self.fates[self.calls % len(self.fates)]
        self.calls += 1
        # A call that times out may still be on its way for as long again.
        travel = (TIMEOUT if answered else 2 * TIMEOUT) * travels // 8
        if self.gather_at is not None:
            to_go = (self.gather_at - self.now) % GATHER_EVERY
            travel = to_go if to_go <= 2 * TIMEOUT else 0
            answered = travel == 0 or (answered and travel <= TIMEOUT)
        heard_after = travel + (TIMEOUT - travel) * returns // 8 if answered else TIMEOUT
        insort(self.arrivals, self.now + travel)
        holder.open_calls.append((self.now + heard_after, answered))
        assert len(holder.open_calls) <= max(1, int(holder.gate.rate)), "more calls on their way than a second holds"


class LimitHeardLate(Limit):
    """Each holder hears of a change of TPS by its next renewal: up to 0.9 s later it sends by what it knew."""

    heard_late = True


class LimitAtMoney(Limit):
    """Counted from the answer: the second is money's, whatever the network does."""

    counts_from: CountsFrom = "answer"

    @rule(fates=FATES)
    def the_network_changes(self, fates: list[tuple[bool, int, int]]) -> None:
        self.fates, self.gather_at = tuple(fates), None

    @rule(at=st.integers(0, GATHER_EVERY))
    def the_network_gathers_calls(self, at: int) -> None:
        self.gather_at = at

    @rule(number=NUMBERS, ahead=CLOCKS, before_the_last=st.integers(0, TICKS))
    def a_lost_holders_last_calls_come_as_late_as_can_be(self, number: int, ahead: int, before_the_last: int) -> None:
        self.gather_at = self.now + FRESH + 2 * TIMEOUT - before_the_last
        self.a_holder_loses_the_database(number, ahead, FREE_AFTER_CRASH["answer"] + TICKS)


class LimitAtMoneyHeardLate(LimitAtMoney):
    """Both at once."""

    heard_late = True


for machine, examples in ((Limit, 60), (LimitHeardLate, 50), (LimitAtMoney, 70), (LimitAtMoneyHeardLate, 40)):
    machine.TestCase.settings = settings(REPLAYABLE, max_examples=examples, stateful_step_count=25)

test_no_sliding_second_holds_more_calls_than_tps = Limit.TestCase
test_a_change_of_tps_that_is_heard_late_is_kept_from_then_on = LimitHeardLate.TestCase
test_no_sliding_second_at_money_holds_more_calls_than_tps = LimitAtMoney.TestCase
test_a_change_of_tps_that_is_heard_late_is_kept_at_money_too = LimitAtMoneyHeardLate.TestCase


def asked_continuously(
    gate: Gate, *, start: float, until: float, answered_after: float | None = None, late_s: float = 0.0
) -> list[float]:
    """All sends of one gate when somebody always waits at it, and wakes up so late."""
    sends: list[float] = []
    answers: list[float] = []
    now = start
    for _ in range(100_000):
        while answers and answers[0] <= now:
            gate.answered(answers.pop(0))
        at = gate.next_at(now)
        if at <= now:
            gate.record_send(now)
            sends.append(now)
            if answered_after is not None:
                answers.append(now + answered_after)
        else:
            now = min([at, *answers[:1]]) + late_s
        if now > until:
            return sends
    raise AssertionError("the gate let nobody through, nor said when to come back")


STEADY_RATES = st.integers(1, 200) | st.floats(1.0, 200.0) | st.sampled_from([0.1, 0.5, 0.9])


def called_for(rate: float) -> float:
    """Fewer than one a second are spaced; else a second holds whole calls only."""
    return math.floor(rate) if rate >= 1 else rate


@given(rate=STEADY_RATES, seconds=st.floats(2.0, 20.0), start=st.floats(-1e6, 1e6))
@settings(REPLAYABLE, max_examples=60)
def test_a_gate_asked_continuously_lets_its_rate_through_and_no_more(rate: float, seconds: float, start: float) -> None:
    sends = asked_continuously(Gate(guard_s=0.01, rate=rate), start=start, until=start + seconds)
    assert len(sends) >= called_for(rate) * (seconds - 1) * 0.97
    assert len(sends) <= rate * (seconds + 1) + 1
    assert worst_second(sends) <= max(1, rate)


@given(rate=st.integers(1, 200), late_s=st.floats(0.0, 0.1))
@settings(REPLAYABLE, max_examples=30)
def test_a_caller_that_always_wakes_late_catches_up(rate: int, late_s: float) -> None:
    sends = asked_continuously(Gate(guard_s=0.01, rate=rate), start=0.0, until=20.0, late_s=late_s)
    assert len(sends) >= rate * (20.0 - 1) / (1 + late_s) * 0.97
    assert worst_second(sends) <= rate


@given(rate=STEADY_RATES, pauses=st.lists(st.floats(0.0, 30.0), min_size=1, max_size=6))
@settings(REPLAYABLE, max_examples=60)
def test_pauses_are_caught_up_for_by_a_second_at_most(rate: float, pauses: list[float]) -> None:
    gate, sends, now = Gate(guard_s=0.01, rate=rate), list[float](), 0.0
    for pause in pauses:
        now += pause
        sends += asked_continuously(gate, start=now, until=now + 2.0)
        now += 2.0
    assert worst_second(sends) <= max(1, rate)
    for first, begin in enumerate(sends):
        assert len(sends) - first <= rate * (sends[-1] - begin + 1) + 1 + 1e-6


@given(rate=st.integers(1, 200), latency=st.floats(0.0, 3.0))
@settings(REPLAYABLE, max_examples=30)
def test_counted_from_the_answer_the_price_is_the_latency_and_no_more(rate: int, latency: float) -> None:
    gate = Gate(guard_s=0.01, counts_from="answer", rate=rate)
    sends = asked_continuously(gate, start=0.0, until=20.0, answered_after=latency)
    assert len(sends) >= rate * (20.0 - 1 - latency) / (1 + latency) * 0.97


@given(
    rate=st.integers(1, 200),
    released=st.floats(10.0, 14.0),
    took=st.just(0.0) | st.floats(0.0, 2.0),
    looked=st.floats(0.0, 1.0),
    ahead=st.floats(-1e6, 1e6),
)
@settings(REPLAYABLE, max_examples=60)
def test_a_hand_over_costs_no_more_than_the_database_took_to_answer(
    rate: int, released: float, took: float, looked: float, ahead: float
) -> None:
    old, new = Gate(guard_s=0.01, rate=rate), Gate(guard_s=0.01, rate=rate)
    before = asked_continuously(old, start=10.0, until=released)
    acquired = released + ahead  # by the successor's clock, which is all that differs
    database_now = 1e6 - took * looked
    clock = DatabaseClock(released - took, released, database_now)
    other_clock = DatabaseClock(acquired - took, acquired, database_now)
    new.remember(other_clock.instant(clock.stamp(instant)) for instant in old.remembered(released))
    after = [at - ahead for at in asked_continuously(new, start=acquired, until=acquired + 10.0)]
    sends = before + after
    assert worst_second([at / (1.01 - 1e-6) for at in sends]) <= rate  # a second and the guard
    assert len(after) >= rate * (10.0 - 1 - took) * 0.97
    assert after[0] >= before[-1] + 1 / rate - 1e-6  # evenly spaced, whoever sends


@given(
    rate=st.integers(1, 30),
    spells=st.lists(st.tuples(st.integers(0, 40), st.integers(0, 1500)), min_size=1, max_size=8),
    observe=st.integers(0, 30),
)
@settings(REPLAYABLE, max_examples=60)
def test_what_is_remembered_is_every_call_that_counts(rate: int, spells: list[tuple[int, int]], observe: int) -> None:
    """Counted from the answer: answered in the last second, or not answered yet, which is as if answered now."""
    gate, now, unanswered, answers = Gate(guard_s=0.0, counts_from="answer", rate=rate), 0, 0, list[int]()
    for calls, pause in spells:
        for _ in range(calls):
            if gate.next_at(now / TICKS) <= now / TICKS:
                gate.record_send(now / TICKS)
                unanswered += 1
        now += pause
        for _ in range(min(observe, unanswered)):
            gate.answered(now / TICKS)
            unanswered -= 1
            answers.append(now)
        counting = [at / TICKS for at in answers if at > now - TICKS] + unanswered * [now / TICKS]
        assert gate.remembered(now / TICKS) == counting
