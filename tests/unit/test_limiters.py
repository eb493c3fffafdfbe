"""Limiters of many kinds, simulated: how much of what each allows is used, and how much of it is only refused.

Four shares that read with each renewal what the others wrote, with 50 to 60 ms of latency; the clock is the
simulation's own.
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
from bulkpoint.rules.pressure import Backpressure, PressureSnapshot
from bulkpoint.rules.turns import Told, Turns, read_back
from bulkpoint.rules.waves import shares_of_sweep

SHARES = 4
RENEW_EVERY_S = 0.3
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


class Share:
    """One share, with what pay/gate.py and pay/lease.py do for it."""

    def __init__(self, number: int, permits: float, tps: float) -> None:
        self.number, self.permits, self.tps = number, permits, tps
        self.gate = Gate(guard_s=0.01)
        self.pressure = Backpressure()
        self.pressure.permit(permits)
        self.turns = Turns(number)
        self.told: Told | None = None

    def send(self, now: float) -> float:
        """Send where it may: 0, else the seconds until it is worth asking again."""
        rate = self.pressure.rate(now)
        if rate != self.gate.rate:
            self.gate.set_rate(self.permits, pace=rate)
        at = self.gate.next_at(now)
        if at > now:
            return min(at - now + 1e-9, 0.01)
        self.gate.record_send(now)
        return 0.0

    def tell(self, now: float) -> None:
        slowed, out = self.pressure.slowed_to(now), self.pressure.breaker_open
        self.told = self.turns.tell(now, rate=slowed, permits=self.permits, tps=self.tps, out=out)
        self._take_turns()

    def hear(self, others: list["Share"], now: float) -> None:
        slowed = self.told is not None or any(other.told is not None for other in others)
        told = [other.told or read_back(other.number, None, float) for other in others]
        self.turns.learn(told if slowed else None, now)
        self._take_turns()

    def observe(self, overload: Overload, sent_at: float, now: float) -> None:
        self.turns.count(overload, sent_at)
        self.pressure.observe(overload, now)

    def _take_turns(self) -> None:
        turns = self.turns
        self.pressure.follow(turns.plan, tps=self.tps, let_in_at=turns.others_let_in_at)
        self.gate.take_turns(self.turns.slots())


def simulate(
    limiter: Limiter, *, allows: int, tps: int, says: Overload, seed: int, shares: int = SHARES, jitter_s: float = 0.005
) -> Used:
    print(f"seed {seed}")
    dice = random.Random(seed)
    crew = [Share(number, tps / shares, tps) for number in range(shares)]
    numbers = itertools.count()
    events: list[tuple[float, int, Share, str, float]] = []
    let_in = refused = 0

    def later(at: float, share: Share, what: str, sent_at: float = 0.0) -> None:
        heapq.heappush(events, (at, next(numbers), share, what, sent_at))

    for share in crew:
        later(dice.random() / 20, share, "ask")
        later(dice.random() * RENEW_EVERY_S, share, "renew")
    while events[0][0] < FOUND_S + USED_S:
        now, _, share, what, sent_at = heapq.heappop(events)
        counts = now >= FOUND_S
        if what == "renew":
            share.tell(now)
            later(now + 0.002, share, "learn")
            later(now + RENEW_EVERY_S + 0.02 * dice.random(), share, "renew")
        elif what == "learn":
            share.hear([other for other in crew if other is not share], now)
        elif what == "ask":
            wait_s = share.send(now)
            later(now + wait_s, share, "ask")
            if not wait_s:
                later(now + 0.025 + jitter_s * dice.random(), share, "arrive", now)
        elif what == "arrive":
            delay_s = limiter(now)
            let_in += counts and delay_s is not None
            refused += counts and delay_s is None
            answer = says if delay_s is None else Overload.NONE
            later(now + 0.025 + jitter_s * dice.random() + (delay_s or 0.0), share, answer, sent_at)
        else:
            share.observe(Overload(what), sent_at, now)
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


NO_BURST: dict[str, Callable[[int], Limiter]] = {
    "nginx's limit_req as it is by default": lambda rate: LeakyBucket(rate, 0),
    "a bucket of one token": lambda rate: TokenBucket(rate, 1),
}


@pytest.mark.parametrize("says", [Overload.THROTTLED, Overload.FAILING])
@pytest.mark.parametrize("shares", [1, 2, 4, 16])
@pytest.mark.parametrize("kind", NO_BURST)
def test_a_limiter_without_any_burst_is_used_to_85_percent(kind: str, shares: int, says: Overload) -> None:
    limiter = NO_BURST[kind](30)
    used = simulate(limiter, allows=30, tps=200, says=says, seed=shares, shares=shares, jitter_s=0.001)
    assert used.used >= 0.85
    assert used.refused <= 0.15


@pytest.mark.parametrize("says", [Overload.THROTTLED, Overload.FAILING])
@pytest.mark.parametrize("kind", NO_BURST)
def test_where_slots_are_hardly_longer_than_the_networks_jitter_most_of_them_are_used(
    kind: str, says: Overload
) -> None:
    used = simulate(NO_BURST[kind](500), allows=500, tps=1_000, says=says, seed=4, jitter_s=0.0005)
    assert used.used >= 0.75
    assert used.refused <= 0.15


@pytest.mark.parametrize("came_back", [2, 5, 23, 50])
def test_what_a_limiter_without_a_burst_refused_is_not_refused_again_when_it_is_swept_up(came_back: int) -> None:
    """A sweep is over before its shares take turns: were it dealt to all, their calls would meet."""
    dice, limiter = random.Random(came_back), LeakyBucket(30, 0)
    crew = [Share(number, 50, 200) for number in range(shares_of_sweep(came_back, 200, SHARES))]
    for share in crew:  # where the wave before it ended
        share.pressure.take_over(PressureSnapshot(7.1, 7.3, -10.0, None, None, None, -1.0), 0.0)
    arrivals = []
    for share in crew:
        now = dice.random() / 100
        for _ in range(-(-came_back // len(crew))):
            while wait_s := share.send(now):
                now += wait_s
            arrivals.append(now + 0.025 + 0.001 * dice.random())
            share.pressure.observe(Overload.NONE, now)
    assert [limiter(at) for at in sorted(arrivals)].count(None) == 0
