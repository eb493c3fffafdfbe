"""Shares that take turns: who makes the plan, what the others do with it, and what they do without it."""

import json
from itertools import pairwise

from bulkpoint.rules.answers import Overload
from bulkpoint.rules.gate import Gate
from bulkpoint.rules.turns import BEGIN_AFTER_S, LEAD_S, SILENT_S, Plan, Told, Turns, read_back, written

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
