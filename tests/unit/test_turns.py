"""Shares that take turns: who makes the plan, what the others do with it, and what they do without it."""

import json
from itertools import pairwise

import pytest

from bulkpoint.rules.answers import Overload
from bulkpoint.rules.common_pace import Counts
from bulkpoint.rules.gate import Gate
from bulkpoint.rules.turns import (
    BEGIN_AFTER_S,
    LEAD_S,
    OUT_S,
    SETTLE_S,
    SILENT_S,
    Plan,
    Told,
    Turns,
    read_back,
    written,
)

PERMITS, TPS = 50.0, 200.0


class Company:
    """Shares that renew one after the other, every 0.3 s; `at_work` are those that still do."""

    def __init__(self, shares: int, *, slowed_to: float | None = 10.0) -> None:
        self.now = 1_000.0
        self.turns = {number: Turns(number) for number in range(shares)}
        self.at_work = set(self.turns)
        self.told: dict[int, tuple[float, Told | None]] = {}
        self.slowed_to = slowed_to

    def run(self, seconds: float) -> None:
        until = self.now + seconds
        while self.now < until:
            for number in sorted(self.at_work):
                turns = self.turns[number]
                self.told[number] = (self.now, turns.tell(self.now, rate=self.slowed_to, permits=PERMITS, tps=TPS))
                fresh = {other: told for other, (at, told) in self.told.items() if self.now - at < SILENT_S}
                others = [told or read_back(other, None, float) for other, told in fresh.items() if other != number]
                turns.learn(others if any(fresh.values()) else None, self.now)
            self.now += 0.3

    def plans(self) -> set[Plan | None]:
        return {self.turns[number].plan for number in self.at_work}


def test_all_shares_send_by_the_plan_of_the_lowest_and_never_two_at_once() -> None:
    company = Company(3)
    company.run(BEGIN_AFTER_S + 4 * LEAD_S + 2)
    (plan,) = company.plans()
    assert plan is not None
    assert sorted(plan.shares) == [0, 1, 2]
    firsts = sorted(slots[-1].first_at for turns in company.turns.values() if (slots := turns.slots()))
    gaps = [round(later - earlier, 6) for earlier, later in pairwise(firsts)]
    assert gaps == [round(plan.slot_s, 6)] * 2


def test_without_anyone_slowed_there_is_no_plan() -> None:
    company = Company(3, slowed_to=None)
    company.run(5)
    assert company.plans() == {None}
    assert all(turns.slots() is None for turns in company.turns.values())


def test_the_next_lowest_makes_the_plans_of_a_share_that_died_and_leaves_it_out() -> None:
    company = Company(3)
    company.run(4)
    company.at_work = {1, 2}
    company.run(SILENT_S + 2)
    (plan,) = company.plans()
    assert plan is not None
    assert sorted(plan.shares) == [1, 2]


def test_a_share_that_comes_later_waits_for_a_plan_that_has_it() -> None:
    company = Company(3)
    company.at_work = {1, 2}
    company.run(4)
    company.at_work = {0, 1, 2}
    company.run(0.3)
    assert company.turns[0].slots() == ()
    company.run(3)
    (plan,) = company.plans()
    assert plan is not None
    assert sorted(plan.shares) == [0, 1, 2]


def test_a_plan_ends_for_all_when_the_lowest_share_finds_money_out_of_order() -> None:
    company = Company(2)
    company.run(4)
    lowest = company.turns[0]
    told = lowest.tell(company.now, rate=10.0, permits=PERMITS, tps=TPS, out=True)
    assert told is not None
    assert told.plan is None
    company.turns[1].learn([told], company.now)
    assert company.plans() == {None}


def test_slots_never_let_out_what_the_gate_would_hold() -> None:
    company = Company(1)
    company.run(4)
    gate = Gate(guard_s=0.0, rate=2)
    gate.take_turns(company.turns[0].slots())
    now, sends, until = company.now, 0, company.now + 1
    while now < until:
        if gate.next_at(now) <= now:
            gate.record_send(now)
            sends += 1
        now += 0.001
    assert sends == 2


def test_only_calls_that_left_by_the_plan_in_force_are_counted_for_it() -> None:
    company = Company(1)
    company.run(4)
    turns = company.turns[0]
    plan = turns.plan
    assert plan is not None
    turns.count(Overload.THROTTLED, plan.begins_at - 10)
    turns.count(Overload.NONE, max(plan.begins_at, plan.counts_from))
    told = turns.tell(plan.begins_at, rate=10.0, permits=PERMITS, tps=TPS)
    assert told is not None
    assert (told.by, told.counts) == (plan.number, (1, 0, 0))


def test_what_is_written_is_read_back_by_another_clock() -> None:
    company = Company(1)
    company.run(4)
    told = company.turns[0].tell(company.now, rate=10.0, permits=PERMITS, tps=TPS)
    assert told is not None
    stored = json.loads(json.dumps(written(told, lambda at: at * 2)))
    assert read_back(0, stored, lambda at: at / 2) == told


# One share, told by hand what the others wrote

EVERY_S = 0.3


def heard_of(share: int, *, rate: float | None = None, let_in: float = 0.0, plan: Plan | None = None) -> Told:
    return Told(share, rate, let_in, 0, Counts(), plan, 0)


def tell(turns: Turns, now: float, *, rate: float | None = 10.0, out: bool = False) -> Told | None:
    return turns.tell(now, rate=rate, permits=PERMITS, tps=TPS, out=out)


def renewed(turns: Turns, others: list[Told], *, since: float, seconds: float, rate: float | None = 10.0) -> float:
    """Renew for so long, with the same told by the others each time; the instant of the last renewal."""
    now = since
    while now < since + seconds:
        now += EVERY_S
        turns.learn(others, now)
        tell(turns, now, rate=rate)
    return now


def leading(others: list[Told] | None = None) -> tuple[Turns, Plan]:
    """The lowest share, and its first plan, which has begun at plan.begins_at."""
    turns = Turns(0)
    renewed(turns, others or [], since=100.0, seconds=BEGIN_AFTER_S + EVERY_S)
    assert turns.plan is not None
    return turns, turns.plan


def test_a_share_that_does_not_lead_makes_no_plan_however_long_it_waits_for_one() -> None:
    turns = Turns(1)
    renewed(turns, [heard_of(0), heard_of(2)], since=100.0, seconds=10.0)
    assert turns.plan is None


def test_the_lowest_share_makes_no_plan_while_no_share_is_slowed() -> None:
    turns = Turns(0)
    now = renewed(turns, [heard_of(1), heard_of(2)], since=100.0, seconds=10.0, rate=None)
    assert turns.plan is None
    assert tell(turns, now, rate=None) is None


def test_a_share_that_is_slowed_is_reason_enough_for_the_lowest() -> None:
    turns = Turns(0)
    renewed(turns, [heard_of(1, rate=10.0)], since=100.0, seconds=BEGIN_AFTER_S + EVERY_S, rate=None)
    assert turns.plan is not None


def test_the_first_plan_waits_until_shares_have_been_slowed_for_a_while_without_a_break() -> None:
    turns = Turns(0)
    now = renewed(turns, [heard_of(1)], since=100.0, seconds=BEGIN_AFTER_S - 2 * EVERY_S)
    now = renewed(turns, [heard_of(1)], since=now, seconds=BEGIN_AFTER_S, rate=None)
    now = renewed(turns, [heard_of(1)], since=now, seconds=BEGIN_AFTER_S - 2 * EVERY_S)
    assert turns.plan is None
    renewed(turns, [heard_of(1)], since=now, seconds=3 * EVERY_S)
    assert turns.plan is not None


def test_who_leads_again_goes_on_from_the_others_plan_and_not_from_its_own_of_before() -> None:
    turns = Turns(1)
    now = renewed(turns, [], since=100.0, seconds=BEGIN_AFTER_S + EVERY_S)
    own = turns.plan
    assert own is not None
    of_lowest = own._replace(number=own.number + 1, begins_at=now, slot_s=1 / 80, shares=(0, 1), found=80.0)
    turns.learn([heard_of(0, rate=10.0, plan=of_lowest)], now)
    tell(turns, now)
    turns.learn([], now + EVERY_S)
    told = tell(turns, now + EVERY_S)
    assert told is not None
    assert told.plan is not None
    assert (told.plan.found, told.plan.shares) == (80.0, (1,))


def test_a_share_that_is_no_longer_slowed_still_tells_of_the_plan() -> None:
    turns, plan = leading()
    told = tell(turns, plan.begins_at - LEAD_S / 2, rate=None)
    assert told is not None
    assert told.plan == plan


@pytest.mark.parametrize(
    ("answer", "counts_later_s"), [(Overload.THROTTLED, SETTLE_S), (Overload.NONE, 0.0)], ids=["slower", "faster"]
)
def test_a_slower_plan_counts_once_the_limiter_is_as_empty_as_it_is_at_that_rate_a_faster_one_at_once(
    answer: Overload, counts_later_s: float
) -> None:
    turns, first = leading()
    for number in range(20):
        turns.count(answer, first.begins_at + number * first.slot_s)
    now = first.begins_at + 20 * first.slot_s
    tell(turns, now)
    plan = turns.plan
    assert plan is not None
    assert (plan.rate < first.rate) == (answer is Overload.THROTTLED)
    assert plan.number == first.number + 1
    assert plan.counts_from - plan.begins_at == pytest.approx(counts_later_s)


def test_every_call_counts_for_the_plan_in_force_and_none_of_the_time_before_it_counts() -> None:
    turns, first = leading()
    for number in range(20):
        turns.count(Overload.THROTTLED, first.begins_at + number * first.slot_s)
    tell(turns, first.begins_at + 20 * first.slot_s)
    plan = turns.plan
    assert plan is not None
    turns.count(Overload.THROTTLED, plan.counts_from - 0.01)
    turns.count(Overload.NONE, plan.counts_from)
    turns.count(Overload.FAILING, plan.counts_from + 0.1)
    told = tell(turns, plan.begins_at)
    assert told is not None
    assert (told.by, told.counts) == (plan.number, Counts(2, 0, 1))


@pytest.mark.parametrize("same", [True, False], ids=["of this plan", "of another"])
def test_what_others_counted_changes_the_rate_only_where_it_is_of_the_same_plan(same: bool) -> None:
    turns, plan = leading([heard_of(1, rate=10.0)])
    now = plan.begins_at + 2.0
    by = plan.number if same else plan.number - 1
    turns.learn([heard_of(1, rate=10.0)._replace(by=by, counts=Counts(1_000, 900, 0))], now)
    tell(turns, now)
    assert turns.plan is not None
    assert (turns.plan.number > plan.number) == same


@pytest.mark.parametrize(("let_in", "ends"), [(0.0, True), (5.0, False)], ids=["none is accepted", "others are"])
def test_money_out_of_order_ends_the_plans_only_where_the_calls_of_no_share_are_accepted(
    let_in: float, ends: bool
) -> None:
    turns, plan = leading([heard_of(1, rate=10.0)])
    now = plan.begins_at + 2 * OUT_S
    turns.learn([heard_of(1, rate=10.0, let_in=let_in)], now)
    told = tell(turns, now, out=True)
    assert told is not None
    assert (told.plan is None) == ends


def test_a_share_that_does_not_lead_keeps_the_plan_though_money_is_out_of_order_for_it() -> None:
    _, plan = leading([heard_of(1)])
    turns = Turns(1)
    turns.learn([heard_of(0, rate=10.0, plan=plan)], plan.begins_at)
    tell(turns, plan.begins_at + 2 * OUT_S, out=True)
    assert turns.plan == plan
