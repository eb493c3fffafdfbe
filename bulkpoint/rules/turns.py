"""Shares that the money API slows down take turns: one common pace, and a place in it for each share.

A limiter without any burst (nginx's limit_req as it is by default) refuses each call that comes sooner than 1 / rate
after the last one that it let in. Shares that know nothing of each other meet at it again and again, however slowly
they send. So, as soon as one share is slowed, all agree on slots of equal length: share after share, round and round.

The lowest share makes the plan. Each share writes what it counted, and the plan, with every renewal of its lease, and
reads what the others wrote. A plan begins so long after it is made that every share has read it by then. A share that
dies is no longer in the next plan; if it was the lowest, the next one makes the plans. Plans only ever delay calls that
a share's gate would let out: the limit itself does not rely on them.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from bulkpoint.rules.answers import Overload
from bulkpoint.rules.common_pace import CommonPace, Counts

# From making a plan to its beginning: longer than every share takes to read it (pay/lease.py renews each 0.3 s).
LEAD_S = 0.4
# After a faster rate, a limiter needs so long to be as empty as it is at this one: a fixed window ends, a queue drains.
SETTLE_S = 1.0
# A share that was not heard of for so long is in no plan; without a plan for so long, each share sends by itself.
SILENT_S = 1.5
# A new plan is made for a rate that differs by so much, or for other shares.
RATE_CHANGE = 0.002
# A call may use its slot so late: a part of the slot, and where slots are short, of the share's round, but no longer
# than a busy machine wakes a thread late.
LATE_PART = 0.25
LATE_S_MAX = 0.005

# It is out of order where nobody's call was accepted for so long.
OUT_S = 1.0
# The first plan is made so long after the first refusal: by then each share has found about what it can send.
BEGIN_AFTER_S = 1.5
# What was accepted until then was more than the rate, where the limiter had room for a burst.
BELOW_LET_IN = 0.9

_NONE = Overload.NONE  # a member of an enum is slow to look up, and every answer is compared with this one


class Plan(NamedTuple):
    """Slots of `slot_s` from `begins_at` on, for one share after the other, round and round. Seconds of one clock.

    number: the next plan's is one higher. counts_from: calls that leave earlier say nothing about its rate. too_fast: a
    rate that was refused; usual_down: the part of calls that fails at any rate; found: the rate that is accepted, which
    is more than the shares at work may send where some have ended: all three for who makes the plans next.
    """

    number: int
    begins_at: float
    counts_from: float
    slot_s: float
    shares: tuple[int, ...]
    too_fast: float | None
    usual_down: float
    found: float

    @property
    def rate(self) -> float:
        """Calls a second of all shares."""
        return 1 / self.slot_s


class Told(NamedTuple):
    """What one share writes for the others. rate: calls a second, where the money API slows it down.

    let_in: how many of its calls a second are accepted, before there is a plan. counts: of its calls that left by the
    plan in force, whose number is `by`. over: number of the latest plan that has ended without another one.
    """

    share: int
    rate: float | None
    let_in: float
    by: int
    counts: Counts
    plan: Plan | None
    over: int


class Slots(NamedTuple):
    """When one share may send: from `first_at` on every `every_s`, at most `late_s` late each time, before `until`."""

    first_at: float
    every_s: float
    late_s: float
    until: float


class Turns:
    """One share's part in the plans. Instants by the caller's clock; it reads none.

    others_let_in_at: when calls of other shares were accepted last, as far as they told.
    """

    def __init__(self, share: int) -> None:
        self.others_let_in_at = -math.inf
        self._share = share
        self._plans: tuple[Plan, ...] = ()  # the one in force, and the one that follows it
        self._heard_of_plan_at = -math.inf
        self._others: tuple[Told, ...] = ()
        self._leads = True
        self._over = 0
        self._slowed_since = math.inf
        self._pace: CommonPace | None = None
        self._by, self._counts = 0, Counts()
        self._let_in = _LetIn()

    @property
    def plan(self) -> Plan | None:
        """The newest plan, which may not have begun yet."""
        return self._plans[-1] if self._plans else None

    def learn(self, others: Sequence[Told] | None, now: float) -> None:
        """Read what the other shares wrote that are at work now; None where the money API slows none down."""
        if others is None:
            self._stop_taking_turns()
            return
        if sum(map(_let_in, others)) > sum(map(_let_in, self._others)) or any(other.let_in for other in others):
            self.others_let_in_at = now
        self._others = tuple(others)
        self._leads = all(self._share < other.share for other in others)
        self._over = max(self._over, 0, *(other.over for other in others))
        newest = max((other.plan for other in others if other.plan is not None), default=None)
        if newest is not None and newest.number > self._over:
            self._heard_of_plan_at = now
            if self.plan is None or newest.number > self.plan.number:
                self._follow(newest, now)
            elif newest.number == self.plan.number:
                self._plans = (*self._plans[:-1], newest)  # by a clock that is known better now
        if self.plan is not None and self.plan.number <= self._over:
            self._end_plans()
        if self._leads:
            return
        self._pace = None
        if now - self._heard_of_plan_at > SILENT_S:
            self._plans = ()

    def _stop_taking_turns(self) -> None:
        self._end_plans()
        self._others = ()

    def _end_plans(self) -> None:
        if self.plan is not None:
            self._over = max(self._over, self.plan.number)
        self._plans, self._pace, self._slowed_since = (), None, math.inf

    def count(self, overload: Overload, sent_at: float) -> None:
        """Count the answer to a call of this share."""
        if not self._plans:
            self._let_in.add(overload, sent_at)
            return
        begun = [plan for plan in self._plans if plan.begins_at <= sent_at]
        if not begun or begun[-1].number < self._by or sent_at < begun[-1].counts_from:
            return
        if begun[-1].number > self._by:
            self._by, self._counts = begun[-1].number, Counts()
        answers, slowed, down = self._counts
        self._counts = Counts(
            answers + 1, slowed + (overload is Overload.THROTTLED), down + (overload is Overload.FAILING)
        )

    def tell(
        self,
        now: float,
        *,
        rate: float | None,
        permits: float,
        tps: float,
        too_fast: float | None = None,
        out: bool = False,
    ) -> Told | None:
        """What to write for the others; None where no share is slowed.

        rate: this share's own, where it is slowed; permits: of each share; tps: of all. too_fast: for this share, by
        what its last holder learned. out: the money API is out of order, as far as this share knows: then each share
        probes by itself, and no pace helps.
        """
        plan = None
        if out and self._leads and now - self.others_let_in_at > OUT_S:
            self._end_plans()
        elif self._leads:
            plan = self._lead(now, rate=rate, permits=permits, tps=tps, too_fast=too_fast)
        if rate is None and self.plan is None and all(other.rate is None for other in self._others):
            return None
        let_in = min(permits, self._let_in.rate(now)) if self.plan is None else 0.0
        return Told(self._share, rate, let_in, self._by, self._counts, plan, self._over)

    def _lead(
        self, now: float, *, rate: float | None, permits: float, tps: float, too_fast: float | None
    ) -> Plan | None:
        rates = [rate, *(other.rate for other in self._others)]
        if self._pace is None:
            if self.plan is not None:
                self._pace = CommonPace(self.plan.found, self.plan.too_fast, self.plan.usual_down)
            elif all(one is None for one in rates):
                self._slowed_since = math.inf
                return None
            else:
                self._slowed_since = min(self._slowed_since, now)
                if now - self._slowed_since < BEGIN_AFTER_S:
                    return None
                let_in = min(permits, self._let_in.rate(now)) + sum(other.let_in for other in self._others)
                of_all = sum(permits if one is None else one for one in rates)
                if too_fast is not None and rate is not None and rate < too_fast:  # each of them knows its part
                    self._pace = CommonPace(of_all / len(rates) * tps / permits, too_fast * tps / permits)
                else:
                    self._pace = CommonPace(BELOW_LET_IN * let_in or of_all)
        most = permits * len(rates)
        if self.plan is None or self.plan.begins_at <= now:
            if self.plan is not None and self._pace.rate <= most:
                self._pace.judge(self._counted(self.plan.number), now)
            self._make(now, most, tps)
        return self.plan

    def _counted(self, by: int) -> Counts:
        """By all shares, of the calls of one plan."""
        told = [self._counts] * (self._by == by) + [other.counts for other in self._others if other.by == by]
        return Counts(*(sum(each) for each in zip(*told, strict=True))) if told else Counts()

    def slots(self) -> tuple[Slots, ...] | None:
        """This share's slots by the plan in force and by the one that follows it; None where it sends by itself.

        Empty while it has none: the next plan will have it.
        """
        if not self._plans:
            return None
        untils = [plan.begins_at for plan in self._plans[1:]] + [math.inf]
        return tuple(
            slots_of(plan, self._share, until)
            for plan, until in zip(self._plans, untils, strict=True)
            if self._share in plan.shares
        )

    def _make(self, now: float, most: float, tps: float) -> None:
        assert self._pace is not None
        before, shares = self.plan, tuple(sorted((self._share, *(other.share for other in self._others))))
        rate_before = self._pace.rate if before is None else before.rate
        if self._pace.rate >= tps:
            self._end_plans()
            return
        rate = min(most, self._pace.rate)
        same_shares = before is not None and sorted(before.shares) == list(shares)
        if same_shares and abs(rate - rate_before) < RATE_CHANGE * rate_before:
            self._pace.unchanged()
            return
        begins_at = now + LEAD_S
        if before is not None:  # it goes on where the plan before is then
            slots = math.ceil((begins_at - before.begins_at) / before.slot_s)
            begins_at = before.begins_at + slots * before.slot_s
            if same_shares:
                turn = slots % len(before.shares)
                shares = before.shares[turn:] + before.shares[:turn]
        self._pace.planned()
        counts_from = begins_at + (SETTLE_S if rate < rate_before else 0.0)
        number = 1 + (self._over if before is None else before.number)
        pace = self._pace
        plan = Plan(number, begins_at, counts_from, 1 / rate, shares, pace.too_fast, pace.usual_down, pace.rate)
        self._follow(plan, now)

    def _follow(self, plan: Plan, now: float) -> None:
        in_force = [one for one in self._plans if one.begins_at <= now][-1:]
        self._plans = (*in_force, plan)


def _let_in(told: Told) -> int:
    return told.counts.answers - told.counts.slowed - told.counts.down


class _LetIn:
    """Calls of the latest second or two that were accepted, before there is a plan."""

    def __init__(self) -> None:
        self._since = -math.inf
        self._calls = self._calls_before = 0

    def add(self, overload: Overload, sent_at: float) -> None:
        if sent_at - self._since >= 1:
            followed = sent_at - self._since < 2
            self._since, self._calls_before, self._calls = sent_at, self._calls if followed else 0, 0
        self._calls += overload is _NONE

    def rate(self, now: float) -> float:
        """Calls a second; 0 where there were none."""
        return (self._calls_before + self._calls) / max(1.0, now - self._since + (1 if self._calls_before else 0))


def slots_of(plan: Plan, share: int, until: float) -> Slots:
    """The slots of one share in a plan, until the next one begins."""
    every_s = plan.slot_s * len(plan.shares)
    late_s = max(LATE_PART * plan.slot_s, min(LATE_S_MAX, every_s / 2))
    return Slots(plan.begins_at + plan.shares.index(share) * plan.slot_s, every_s, late_s, until)


def written(told: Told, stamp: Callable[[float], float]) -> dict[str, Any]:
    """What one share told, as it is stored. stamp: converts an instant to the clock of the store."""
    plan = told.plan
    if plan is not None:
        plan = plan._replace(begins_at=stamp(plan.begins_at), counts_from=stamp(plan.counts_from))
    return {
        "rate": told.rate,
        "let_in": told.let_in,
        "by": told.by,
        "counts": told.counts,
        "plan": None if plan is None else plan._asdict(),
        "over": told.over,
    }


def read_back(share: int, stored: dict[str, Any] | None, instant: Callable[[float], float]) -> Told:
    """What another share told, by a clock of this machine; nothing yet where it is at work and slowed by nobody."""
    if stored is None:
        return Told(share, None, 0.0, 0, Counts(), None, 0)
    plan = stored["plan"]
    if plan is not None:
        times = {name: instant(plan[name]) for name in ("begins_at", "counts_from")}
        plan = Plan(**plan | times | {"shares": tuple(plan["shares"])})
    return Told(share, stored["rate"], stored["let_in"], stored["by"], Counts(*stored["counts"]), plan, stored["over"])
