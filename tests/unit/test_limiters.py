"""Limiters of many kinds, simulated: how much of what each allows is used, and how much of it is only refused.

Four shares that know nothing of each other, with 50 to 60 ms of latency; the clock is the simulation's own.
"""

import heapq
import itertools
import random
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import pytest

from bulkpoint.rules.answers import Overload
from bulkpoint.rules.gate import Gate
from bulkpoint.rules.pressure import Backpressure

SHARES = 4
# Seconds until a limiter's rate is found, and the seconds after it in which it is used.
FOUND_S, USED_S = 15, 20
RATES = ((30, 200, 1), (30, 200, 2), (500, 1_000, 3))  # what a limiter allows, our TPS, a seed

# An instant -> seconds that a call is delayed by, or None where it is refused.
Limiter = Callable[[float], float | None]


class TokenBucket:
    def __init__(self, rate: float, burst: float) -> None:
        self._rate, self._burst = rate, burst
        self._tokens, self._at = burst, 0.0

    def __call__(self, now: float) -> float | None:
        self._tokens, self._at = min(self._burst, self._tokens + (now - self._at) * self._rate), now
        if self._tokens < 1:
            return None
        self._tokens -= 1
        return 0.0


class LeakyBucket:
    """As nginx's limit_req: counts in milliseconds; what is above the burst is refused, and does not count."""

    def __init__(self, rate: float, burst: float, *, delays: bool = False) -> None:
        self._rate, self._burst, self._delays = rate, burst, delays
        self._excess, self._at_ms = 0.0, -1_000_000

    def __call__(self, now: float) -> float | None:
        now_ms = int(now * 1_000)
        excess = max(0.0, self._excess - self._rate * (now_ms - self._at_ms) / 1_000 + 1)
        if excess > self._burst:
            return None
        self._excess, self._at_ms = excess, now_ms
        return excess / self._rate if self._delays else 0.0


class FixedWindow:
    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._let_in = Counter[int]()

    def __call__(self, now: float) -> float | None:
        self._let_in[int(now)] += 1
        return 0.0 if self._let_in[int(now)] <= self._rate else None


class Used(NamedTuple):
    """Of the calls that the limiter allows, the fraction that was used; of our calls, the fraction that was refused."""

    used: float
    refused: float


def simulate(limiter: Limiter, *, allows: int, tps: int, says: Overload, seed: int) -> Used:
    print(f"seed {seed}")
    dice = random.Random(seed)
    gates = [Gate(guard_s=0.01) for _ in range(SHARES)]
    pressures = [Backpressure() for _ in range(SHARES)]
    for pressure in pressures:
        pressure.permit(tps / SHARES)
    numbers = itertools.count()
    events: list[tuple[float, int, int, str]] = []
    let_in = refused = 0

    def later(at: float, share: int, what: str) -> None:
        heapq.heappush(events, (at, next(numbers), share, what))

    for share in range(SHARES):
        later(dice.random() / 20, share, "ask")
    while events[0][0] < FOUND_S + USED_S:
        now, _, share, what = heapq.heappop(events)
        gate, pressure = gates[share], pressures[share]
        counts = now >= FOUND_S
        half_way_s = 0.025 + 0.005 * dice.random()
        if what == "ask":
            rate = pressure.rate(now)
            if rate != gate.rate:
                gate.set_rate(tps / SHARES, pace=rate)
            at = gate.next_at(now)
            if at > now:
                later(min(at, now + 0.01), share, "ask")
                continue
            gate.record_send(now)
            later(now, share, "ask")
            later(now + half_way_s, share, "arrive")
        elif what == "arrive":
            delay_s = limiter(now)
            let_in += counts and delay_s is not None
            refused += counts and delay_s is None
            later(now + half_way_s + (delay_s or 0.0), share, says if delay_s is None else Overload.NONE)
        else:
            pressure.observe(Overload(what), now)
    return Used(let_in / (allows * USED_S), refused / (let_in + refused))


KINDS: dict[str, Callable[[int], Limiter]] = {
    "token bucket, a third of a second": lambda rate: TokenBucket(rate, rate / 3),
    "token bucket, a second": lambda rate: TokenBucket(rate, rate),
    "leaky bucket, a small burst": lambda rate: LeakyBucket(rate, rate // 6),
    "leaky bucket that delays": lambda rate: LeakyBucket(rate, rate // 2, delays=True),
    "fixed window": FixedWindow,
}


@pytest.mark.parametrize(("allows", "tps", "seed"), RATES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_limiter_that_says_429_is_used_to_nine_tenths(kind: str, allows: int, tps: int, seed: int) -> None:
    used = simulate(KINDS[kind](allows), allows=allows, tps=tps, says=Overload.THROTTLED, seed=seed)
    assert used.used >= 0.9
    assert used.refused <= 0.2


@pytest.mark.parametrize(("allows", "tps", "seed"), RATES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_limiter_that_says_503_is_used_as_much_and_is_no_outage(kind: str, allows: int, tps: int, seed: int) -> None:
    used = simulate(KINDS[kind](allows), allows=allows, tps=tps, says=Overload.FAILING, seed=seed)
    assert used.used >= 0.9
    assert used.refused <= 0.3
