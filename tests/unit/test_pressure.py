"""Back-pressure and breaker: several shares that know nothing of each other, before a money that allows less."""

import heapq
import itertools
import math
from collections import Counter, deque
from collections.abc import Callable

import pytest

from bulkpoint.rules.answers import Outcome, Overload
from bulkpoint.rules.gate import Gate
from bulkpoint.rules.patience import Heard, Patience, Trouble, heard_by_all
from bulkpoint.rules.pressure import BREAKER_ANSWERS_MIN, BREAKER_WINDOW_S, LAST_ANSWERS, Backpressure, CircuitBreaker
from bulkpoint.rules.retry import RETRY_AFTER_S_MAX
from bulkpoint.rules.turns import Plan

TPS = 400
SHARES = 4
LATENCY_S = 0.05


class Simulated:
    """What money answered in each second."""

    def __init__(self) -> None:
        self.answers: dict[Overload, Counter[int]] = {overload: Counter() for overload in Overload}
        self.patience_over_at: float | None = None

    def sum(self, overload: Overload, first: int, last: int) -> int:
        return sum(self.answers[overload][second] for second in range(first, last))


def simulate(
    *,
    seconds: int,
    allowed: Callable[[float], int | None] = lambda _: None,
    down: Callable[[float], bool] = lambda _: False,
    retry_after_s: float | None = 1.0,
    patience_s: float = math.inf,
    handed_over_every_s: float = math.inf,
) -> Simulated:
    """Shares at full speed against money that lets `allowed` calls in a sliding second, or is `down`."""
    result = Simulated()
    gates = [Gate(guard_s=0.01) for _ in range(SHARES)]
    pressures = [Backpressure() for _ in range(SHARES)]
    patience, heard, looked_at = Patience(limit_s=patience_s, backoff_s=3.0), [Heard()] * SHARES, 0.0
    for pressure in pressures:
        pressure.permit(TPS / SHARES)
    handed_over_at = [0.0] * SHARES
    let_in = deque[float]()
    numbers = itertools.count()
    events: list[tuple[float, int, int, Overload | None]] = [
        (0.0, next(numbers), share, None) for share in range(SHARES)
    ]
    while events:
        now, _, share, answer = heapq.heappop(events)
        if now >= seconds:
            break
        gate = gates[share]
        if answer is not None:
            result.answers[answer][int(now)] += 1
            if answer is Overload.NONE:
                heard[share] = heard[share].after_answer(now)
            else:
                trouble = Trouble(Outcome.THROTTLED, retry_after_s=retry_after_s)
                heard[share] = heard[share].after_trouble(trouble, now)
            pressures[share].observe(answer, now, None if answer is Overload.NONE else retry_after_s)
            continue
        if now - looked_at >= 1:
            looked_at = now
            if patience.look(heard_by_all(heard), tps=TPS, now=now):
                result.patience_over_at = result.patience_over_at or now
        if now - handed_over_at[share] >= handed_over_every_s:
            handed_over_at[share] = now
            snapshot, pressures[share] = pressures[share].snapshot(now), Backpressure()
            pressures[share].permit(TPS / SHARES)
            if snapshot is not None:
                pressures[share].take_over(snapshot, now)
        rate = pressures[share].rate(now)
        if rate != gate.rate:
            gate.set_rate(rate)
        at = gate.next_at(now)
        if at > now:
            heapq.heappush(events, (min(at, now + 0.01), next(numbers), share, None))
            continue
        gate.record_send(now)
        heapq.heappush(events, (now, next(numbers), share, None))
        arrives = now + LATENCY_S / 2
        while let_in and let_in[0] <= arrives - 1:
            let_in.popleft()
        limit = allowed(arrives)
        if down(arrives):
            answer = Overload.FAILING
        elif limit is not None and len(let_in) >= limit:
            answer = Overload.THROTTLED
        else:
            let_in.append(arrives)
            answer = Overload.NONE
        heapq.heappush(events, (now + LATENCY_S, next(numbers), share, answer))
    return result


@pytest.mark.parametrize("retry_after_s", [None, 1.0])
@pytest.mark.parametrize("allowed", [200, 40])
@pytest.mark.parametrize("handed_over_every_s", [math.inf, 5.0])
def test_money_that_suddenly_allows_less_is_used_to_nine_tenths_and_hardly_bothered(
    retry_after_s: float | None, allowed: int, handed_over_every_s: float
) -> None:
    got = simulate(
        seconds=50,
        allowed=lambda now: allowed if now >= 5 else None,
        retry_after_s=retry_after_s,
        handed_over_every_s=handed_over_every_s,
    )
    taken, throttled = got.sum(Overload.NONE, 15, 50), got.sum(Overload.THROTTLED, 15, 50)
    assert taken >= 0.9 * allowed * 35
    assert throttled < 0.02 * (taken + throttled)


def test_the_full_rate_comes_back_when_money_allows_it_again() -> None:
    got = simulate(seconds=40, allowed=lambda now: TPS // 2 if 5 <= now < 15 else None)
    assert got.sum(Overload.NONE, 35, 40) >= 0.97 * TPS * 5


def test_an_outage_is_met_by_probes_and_costs_little_more_than_its_time() -> None:
    got = simulate(seconds=100, down=lambda now: 10 <= now < 70, retry_after_s=None, patience_s=120)
    assert got.sum(Overload.FAILING, 15, 70) <= 55 * SHARES, "a probe a second and share"
    assert got.sum(Overload.FAILING, 15, 70) >= 50 * SHARES, "probes go on"
    lost_s = 100 - got.sum(Overload.NONE, 0, 100) / (TPS * 0.99)
    assert lost_s <= 60 + 6
    assert got.patience_over_at is None


@pytest.mark.parametrize("handed_over_every_s", [math.inf, 7.0])
def test_an_outage_beyond_the_patience_is_told(handed_over_every_s: float) -> None:
    got = simulate(
        seconds=60,
        down=lambda now: now >= 10,
        retry_after_s=None,
        patience_s=30,
        handed_over_every_s=handed_over_every_s,
    )
    assert got.patience_over_at is not None
    assert 40 <= got.patience_over_at <= 43.1


def test_a_steady_part_of_failures_costs_no_rate_once_it_is_known() -> None:
    turns = itertools.count()
    got = simulate(seconds=40, down=lambda _: next(turns) % 10 < 3, retry_after_s=None)
    assert got.sum(Overload.NONE, 30, 40) >= 0.97 * TPS * 10 * 0.7
    few = itertools.count()
    got = simulate(seconds=10, down=lambda _: next(few) % 20 == 0, retry_after_s=1.0)
    assert got.sum(Overload.NONE, 1, 10) >= 0.93 * TPS * 9, "at 5 % nothing is lowered or held"


def pressed() -> Backpressure:
    pressure = Backpressure()
    pressure.permit(100)
    return pressure


@pytest.mark.parametrize("retry_after_s", [2.0, 7.0, 3600.0])
def test_retry_after_holds_the_share_when_most_answers_are_trouble_and_never_for_long(retry_after_s: float) -> None:
    pressure = pressed()
    for _ in range(LAST_ANSWERS):
        assert pressure.rate(10.0) > 0
        pressure.observe(Overload.THROTTLED, 10.0, retry_after_s)
    held_s = min(retry_after_s, RETRY_AFTER_S_MAX)
    assert pressure.rate(10.0 + held_s - 0.001) == 0
    assert pressure.rate(10.0 + held_s) > 0


def test_retry_after_of_single_answers_is_their_rows_own() -> None:
    pressure = pressed()
    for n in range(100):
        pressure.observe(Overload.THROTTLED if n % 10 == 0 else Overload.NONE, n / 100, 30.0)
    assert pressure.rate(1.0) > 50


def test_trouble_after_a_long_silence_or_a_pause_is_new_trouble() -> None:
    pressure = pressed()
    for paused, now in ((False, 1_000.0), (True, 1_040.0)):
        pressure.observe(Overload.FAILING, now)
        if paused:
            pressure.permit(0)
            pressure.permit(100)
        for later in (now + 500, now + 502):
            pressure.observe(Overload.FAILING, later)
        snapshot = pressure.snapshot(now + 502)
        assert snapshot is not None
        assert snapshot.trouble_since == now + 500


def test_trouble_that_was_handed_over_long_ago_is_no_trouble_now() -> None:
    before, after = Backpressure(), Backpressure()
    for pressure in (before, after):
        pressure.permit(100)
    for n in range(20):
        before.observe(Overload.FAILING, 1.0 + n)
    snapshot = before.snapshot(20.0)
    assert snapshot is not None
    assert snapshot.trouble_since == 1.0
    after.take_over(snapshot, 8_000.0)
    after.observe(Overload.FAILING, 8_000.5)
    later = after.snapshot(8_010.0)
    assert later is not None
    assert later.trouble_since == 8_000.5


def test_single_failures_are_not_handed_over() -> None:
    pressure = pressed()
    pressure.observe(Overload.FAILING, 1.0)
    assert pressure.snapshot(1.0) is None


def test_what_is_handed_over_goes_on() -> None:
    before, after = pressed(), pressed()
    for n in range(20):
        before.observe(Overload.THROTTLED, 1 + n / 10, 5.0)
    snapshot = before.snapshot(3.0)
    assert snapshot is not None
    after.take_over(snapshot, 3.0)
    for now in (3.0, 7.0, 9.0, 20.0):
        assert after.rate(now) == pytest.approx(before.rate(now))
    assert after.snapshot(3.0) == before.snapshot(3.0)


def broken(at: float = 0.0) -> CircuitBreaker:
    breaker = CircuitBreaker()
    for n in range(BREAKER_ANSWERS_MIN):
        assert breaker.open_since is None
        assert breaker.observe(Overload.FAILING, at) == (n == BREAKER_ANSWERS_MIN - 1)
    assert breaker.open_since == at
    return breaker


@pytest.mark.parametrize("answer", [Overload.NONE, Overload.THROTTLED])
def test_any_answer_of_money_closes_the_breaker_and_a_failure_does_not(answer: Overload) -> None:
    breaker = broken(at=5.0)
    assert not breaker.observe(Overload.FAILING, 6.0)
    assert breaker.open_since == 5.0
    assert breaker.observe(answer, 7.0)
    assert breaker.open_since is None
    assert not breaker.observe(Overload.FAILING, 7.1), "what failed before it closed no longer counts"


def test_a_breaker_opens_only_where_most_calls_fail_and_lately() -> None:
    breaker = CircuitBreaker()
    for n in range(100):
        breaker.observe(Overload.FAILING if n % 2 else Overload.NONE, n / 1000)
        assert breaker.open_since is None, "half is not most"
    for n in range(BREAKER_ANSWERS_MIN - 1):
        breaker.observe(Overload.FAILING, 10 + n * 2 * BREAKER_WINDOW_S)
    assert breaker.open_since is None, "one failure in four seconds is no outage"


def test_failures_between_usable_answers_are_a_limiters_and_no_outage() -> None:
    breaker = CircuitBreaker()
    for n in range(300):
        breaker.observe(Overload.NONE if n % 10 == 0 else Overload.FAILING, n / 100)
        assert breaker.open_since is None
        assert breaker.is_crowded(n / 100) == (n > 2)
    for n in range(300, 430):
        breaker.observe(Overload.FAILING, n / 100)
    assert breaker.open_since is not None, "nothing was usable for longer than a second"


@pytest.mark.parametrize("taking_turns", [True, False])
def test_one_failure_between_usable_answers_is_a_limiters_where_shares_take_turns_only(taking_turns: bool) -> None:
    pressure = Backpressure()
    pressure.permit(50)
    plan = Plan(1, 0.0, 0.0, 1 / 30, (0, 1), None, 0.0, 30.0)
    pressure.follow(plan if taking_turns else None, tps=100)
    pressure.observe(Overload.NONE, 10.0)
    assert not pressure.is_crowded(10.0)
    pressure.observe(Overload.FAILING, 10.1)
    assert pressure.is_crowded(10.1) == taking_turns
    for number in range(3):
        pressure.observe(Overload.FAILING, 20.0 + number / 10)
    assert not pressure.is_crowded(20.3), "no call of any share is accepted"
