"""How fast the money API lets us send, whatever the limit allows: back-pressure and a circuit breaker for one share.

Back-pressure is AIMD (additive increase, multiplicative decrease). After a 429 a share falls to a little below the rate
that the API accepted in the last second, then rises again: a small cut and slow growth near the rate that was too fast,
large steps far from it. Halving at every 429, as TCP does, would leave a quarter of the API's rate unused. Where most
calls fail for the API's own reasons, the circuit breaker opens: one call a second probes, until one is answered.

A gateway's limiter refuses with 503 as often as with 429. So failures between usable answers are first taken for a
limiter's: the rate falls to what was accepted. If that helps in none of the next seconds, the rate was not the cause.
"""

import math
from collections import deque
from typing import NamedTuple

from bulkpoint.rules.answers import Overload
from bulkpoint.rules.retry import RETRY_AFTER_S_MAX
from bulkpoint.rules.turns import Plan

# Seconds from one cut to the next, with no growth in between: the answers after a cut show whether it was enough.
ROUND_S = 1.0
# Stay a little below the rate that the API was seen to accept, so that several shares can grow before one is too fast.
BELOW_CEILING = 0.96
CUT_MAX = 0.5
# With fewer answers than this, one 429 is not yet a large part of them.
FEW_ANSWERS = 20
# Growth per second: near the rate that was too fast, a fraction of that rate; elsewhere, a fraction of the permits.
NEAR = 0.9
CREEP = 0.01
CREEP_FASTER_S = 10.0  # the longer since the last cut, the likelier the API allows more than before
CLIMB = 0.1
RATE_MIN = 0.1
# The old ceiling is forgotten when the rate exceeds it by this factor.
CEILING_FORGOTTEN = 1.2
# Calls that fail for the API's own reasons lower the rate when their ratio is above this, and above the usual one.
DOWN_RATIO = 0.25
DOWN_CUT_MAX = 0.1
CUTS_IN_VAIN_MAX = 5
IN_A_ROW_S = 3.0
# The breaker opens when most of at least this many answers failed, within 2 to 4 s, and either none was usable for
# longer than the second that a limiter counts in, or as many fail however slowly we send.
BREAKER_ANSWERS_MIN = 8
BREAKER_WINDOW_S = 2.0
BREAKER_SILENT_S = 1.2
# So many failures lately, with usable answers between them, are not one payment's own; at a pace that a limiter has
# set for all shares, which refuses single calls now and then, one is not.
CROWD_MIN, CROWD_MIN_AT_PACE = 3, 1
PROBE_EVERY_S = 1.0
# Retry-After stops the whole share when most of this many last answers were trouble; else it is for that row only.
LAST_ANSWERS = 16
OTHERS_LET_IN_S = 2.0
# A holder that has found no rate too fast was still looking: its successor does not begin with a leap.
CEILING_UNKNOWN = 1.05
# Trouble after this long without any answer counts as new trouble.
SILENCE_S = RETRY_AFTER_S_MAX + 30.0

_NONE = Overload.NONE  # a member of an enum is slow to look up, and every answer is compared with this one


class PressureSnapshot(NamedTuple):
    """What a share hands over to its next holder, and what progress shows. Instants by the caller's clock.

    rate: calls a second at most; ceiling: the rate that the API was seen to accept; cut_at: when that was. open_since:
    of the breaker. heard_at: when the API last answered; trouble after a long silence is new trouble.
    """

    rate: float
    ceiling: float | None
    cut_at: float | None
    held_until: float | None
    open_since: float | None
    trouble_since: float | None
    heard_at: float | None


class CircuitBreaker:
    """Opens when most calls fail for the API's own reasons; then only probes leave, until one of them is answered.

    There is no half-open state: while open it lets one call out every PROBE_EVERY_S; the first answer closes it.
    """

    def __init__(self) -> None:
        self.open_since: float | None = None
        self._recent = _Tally(BREAKER_WINDOW_S)
        self._usable_at = -math.inf

    def is_crowded(self, now: float, *, others_let_in: bool = False, at_pace: bool = False) -> bool:
        """Whether several calls fail while others are answered: it is the money API that refuses, not a payment's own
        trouble. others_let_in: whether calls of other shares were answered lately. at_pace: all shares take turns."""
        return self._recent.down >= (CROWD_MIN_AT_PACE if at_pace else CROWD_MIN) and (
            others_let_in or now - self._usable_at < BREAKER_WINDOW_S
        )

    def note_usable(self, now: float) -> None:
        """What `observe` does with a usable answer while the breaker is closed."""
        self._recent.add(_NONE, now)
        self._usable_at = now

    def observe(
        self, overload: Overload, now: float, *, whatever_the_rate: bool = False, others_let_in: bool = False
    ) -> bool:
        """Count one answer; True when it opened or closed the breaker.

        whatever_the_rate: whether most calls are known to fail however slowly we send. others_let_in: whether calls of
        other shares were answered lately, so that it is a limiter which refuses ours.
        """
        recent = self._recent
        recent.add(overload, now)
        if overload is not Overload.FAILING:
            self._usable_at = now
        if self.open_since is not None:
            if overload is Overload.FAILING:
                return False
            self.open_since = None  # a 429 also shows that the API is alive
            recent.clear()
            return True
        if overload is Overload.NONE or recent.answers < BREAKER_ANSWERS_MIN or 2 * recent.down <= recent.answers:
            return False
        if not whatever_the_rate and (others_let_in or now - self._usable_at < BREAKER_SILENT_S):
            return False
        self.open_since = now
        return True


class Backpressure:
    """One share's view of the money API. Times are seconds of any clock that never goes back; it reads no clock."""

    def __init__(self) -> None:
        self._permits = 0.0
        self._rate = math.inf  # what the API lets us send, at most the permits
        self._ceiling: float | None = None
        self.ceiling_taken_over: float | None = None
        self._grown_at = self._cut_at = -math.inf
        self._no_cut_until = -math.inf
        self._held_until = -math.inf
        self._trouble_since: float | None = None
        self._heard_at = -math.inf
        self._last = deque[bool](maxlen=LAST_ANSWERS)
        self._round = _Tally(ROUND_S)
        self._breaker = CircuitBreaker()
        self._usual_down = 0.0  # the fraction of calls that fails however slowly we send
        self._cuts_in_vain = 0  # in a row, for failures that did not become fewer
        self._first_ratio = 0.0  # of failures, at the first of them
        self._others_let_in_at = -math.inf
        self._part_of_found = math.inf  # of the rate that is accepted from all shares
        self._led = False  # the pace is common to all shares (turns.py)

    @property
    def breaker_open(self) -> bool:
        """Whether the breaker is open: probes only."""
        return self._breaker.open_since is not None

    def is_crowded(self, now: float) -> bool:
        """Whether several calls fail while others are answered; then a failure is not the payment's own."""
        return self._breaker.is_crowded(now, others_let_in=self._others_are_let_in(now), at_pace=self._led)

    def permit(self, permits: float) -> None:
        """Set the share's permits; what happened before a pause (0) is no trouble of the time after it."""
        self._permits = permits
        if permits == 0:
            self._trouble_since = None

    def rate(self, now: float) -> float:
        """Calls a second that may leave now; 0 while the API has asked us to wait."""
        breaker_open = self._breaker.open_since is not None
        if self._rate >= self._permits and not breaker_open and now >= self._held_until:
            return self._permits
        if now < self._held_until:
            return 0.0
        if breaker_open:
            return min(self._permits, 1 / PROBE_EVERY_S)
        self._grow(now)
        return min(self._permits, self._rate)

    def observe(self, overload: Overload, now: float, retry_after_s: float | None = None) -> None:
        """Count one answer."""
        self._round.add(overload, now)
        if overload is _NONE and self._breaker.open_since is None and not self._cuts_in_vain:  # nearly always
            self._breaker.note_usable(now)
            self._last.append(False)
            self._heard_at, self._trouble_since = now, None
            return
        most_fail, let_in = self._usual_down > 0.5, self._others_are_let_in(now)
        breaker_moved = self._breaker.observe(overload, now, whatever_the_rate=most_fail, others_let_in=let_in)
        self._last.append(overload is not Overload.NONE)
        silence_s = now - self._heard_at
        self._heard_at = now
        if breaker_moved and not self.breaker_open:
            self._begin_again(now)
        if self._cuts_in_vain:
            self._note_improvement(now)
        if overload is Overload.NONE:
            self._trouble_since = None
            return
        if self._trouble_since is None or silence_s > SILENCE_S:
            self._trouble_since = now
        if retry_after_s is not None and self._is_mostly_trouble(now):
            self._held_until = max(self._held_until, now + min(retry_after_s, RETRY_AFTER_S_MAX))
        if not self._led and not breaker_moved and not self.breaker_open and now >= self._no_cut_until:
            self._cut(overload, now)

    def slowed_to(self, now: float) -> float | None:
        """Calls a second, where the money API lets the share send fewer than its permits."""
        self._grow(now)
        return self._rate if self._rate < self._permits else None

    def snapshot(self, now: float) -> PressureSnapshot | None:
        """What the next holder must know; None where the API does not slow this share down."""
        trouble_since = self._trouble_since
        if trouble_since is not None and now - trouble_since < ROUND_S:
            trouble_since = None  # single failures are not reported
        held_until = self._held_until if now < self._held_until else None
        self._grow(now)
        rate = self._part_of_found if self._led else self._rate
        lowered = rate < self._permits
        if not lowered and held_until is None and not self.breaker_open and trouble_since is None:
            return None
        return PressureSnapshot(
            rate=min(rate, self._permits),
            ceiling=self._ceiling,
            cut_at=self._cut_at if math.isfinite(self._cut_at) else None,
            held_until=held_until,
            open_since=self._breaker.open_since,
            trouble_since=trouble_since,
            heard_at=self._heard_at if math.isfinite(self._heard_at) else None,
        )

    def take_over(self, snapshot: PressureSnapshot, now: float) -> None:
        """Continue where the share's last holder stopped."""
        self._rate = snapshot.rate
        self._ceiling = snapshot.ceiling
        self.ceiling_taken_over = snapshot.ceiling or CEILING_UNKNOWN * snapshot.rate
        self._grown_at = now
        self._cut_at = now if snapshot.cut_at is None else snapshot.cut_at
        held_until = snapshot.held_until
        self._held_until = -math.inf if held_until is None else min(held_until, now + RETRY_AFTER_S_MAX)
        self._breaker.open_since = snapshot.open_since
        self._trouble_since = snapshot.trouble_since
        self._heard_at = now if snapshot.heard_at is None else snapshot.heard_at

    def follow(self, plan: Plan | None, *, tps: float, let_in_at: float = -math.inf) -> None:
        """Send at the pace that all shares have in common; None: at its own again.

        tps: of all shares together. let_in_at: when a call of any other share was accepted
        last, as far as is known. A common pace ends because it is no longer needed, or because the share is alone now.
        """
        self._others_let_in_at = let_in_at
        if plan is not None:
            self._rate = plan.rate / len(plan.shares)
            part = self._permits / tps if tps else 0.0
            self._part_of_found = plan.found * part
            self._ceiling = None if plan.too_fast is None else plan.too_fast * part
            self._usual_down = plan.usual_down
        elif self._led and self._rate >= self._permits / 2:
            self._rate = math.inf
        self._led = plan is not None

    def _cut(self, overload: Overload, now: float) -> None:
        self._grow(now)
        rate = min(self._rate, self._permits)
        tally = self._round
        if overload is Overload.THROTTLED:
            taken = rate * (1 - tally.slowed / max(tally.answers, min(rate, FEW_ANSWERS)))
            self._ceiling = taken
            self._rate = max(RATE_MIN, rate * CUT_MAX, taken * BELOW_CEILING)
        else:
            ratio = tally.down / max(tally.answers, min(rate, FEW_ANSWERS))
            if tally.answers < BREAKER_ANSWERS_MIN or ratio <= self._usual_down + DOWN_RATIO:
                return
            if self._rate_is_not_the_cause(ratio, now):
                return
            taken = rate * (1 - ratio)
            self._ceiling = taken
            self._rate = max(RATE_MIN, rate * DOWN_CUT_MAX, taken * BELOW_CEILING)
        self._cut_at = now
        self._grown_at = self._no_cut_until = now + ROUND_S
        tally.clear()

    def _others_are_let_in(self, now: float) -> bool:
        return self._led and now - self._others_let_in_at < OTHERS_LET_IN_S

    def _is_mostly_trouble(self, now: float) -> bool:
        """Whether the whole share is to wait, and not only this call's payment.

        Not while calls of other shares are accepted: at a rate that is too fast, those of some shares are always
        refused, because those of others come first.
        """
        return 2 * sum(self._last) > len(self._last) == LAST_ANSWERS and now - self._others_let_in_at > OTHERS_LET_IN_S

    def _rate_is_not_the_cause(self, ratio: float, now: float) -> bool:
        """Count a cut for failures; True where so many in a row have not made them fewer: then the rate may rise."""
        in_a_row = now - self._cut_at < IN_A_ROW_S
        self._cuts_in_vain = self._cuts_in_vain + 1 if in_a_row else 1
        if self._cuts_in_vain == 1:
            self._first_ratio = ratio
        if self._cuts_in_vain <= CUTS_IN_VAIN_MAX:
            return False
        self._cuts_in_vain = 0
        self._usual_down = ratio
        self._ceiling = None
        return True

    def _note_improvement(self, now: float) -> None:
        """A second after a cut, in which far fewer calls failed: the rate was the cause."""
        tally = self._round
        if now < self._no_cut_until or tally.answers < BREAKER_ANSWERS_MIN:
            return
        ratio = tally.down / tally.answers
        if ratio <= self._first_ratio / 2:
            self._cuts_in_vain = 0
            self._usual_down = min(self._usual_down, ratio)

    def _begin_again(self, now: float) -> None:
        """The API answers again: start at half the rate it accepted, so that all shares together do not overload it."""
        self._rate = max(RATE_MIN, min(self._rate, self._permits) / 2)
        self._grown_at = now
        self._round.clear()

    def _grow(self, now: float) -> None:
        elapsed_s = now - self._grown_at
        if elapsed_s <= 0 or self._rate >= self._permits:
            return
        self._grown_at = now
        if self._led:
            return
        near = self._ceiling is not None and self._rate >= NEAR * self._ceiling
        a_second = CLIMB * self._permits
        if near and self._ceiling is not None:
            calm = 1 + (now - self._cut_at) / CREEP_FASTER_S
            a_second = max(CREEP * self._ceiling * calm * calm, RATE_MIN / 2)
        self._rate += a_second * elapsed_s
        if self._ceiling is not None and self._rate > CEILING_FORGOTTEN * self._ceiling:
            self._ceiling = None
        if self._rate >= self._permits:
            self._rate = math.inf


class _Tally:
    """Answers of the last one to two windows, by what they say about the money API."""

    def __init__(self, window_s: float) -> None:
        self._window_s = window_s
        self.clear()

    def clear(self) -> None:
        self._began_at: float | None = None
        self.answers = self.slowed = self.down = 0
        self._older = (0, 0, 0)

    def add(self, overload: Overload, now: float) -> None:
        if self._began_at is None:
            self._began_at = now
        elif now - self._began_at >= self._window_s:
            older = self._older
            fresh = (self.answers - older[0], self.slowed - older[1], self.down - older[2])
            if now - self._began_at >= 2 * self._window_s:
                fresh = (0, 0, 0)
            self._older = fresh
            self.answers, self.slowed, self.down = fresh
            self._began_at = now
        self.answers += 1
        if overload is not _NONE:
            self.slowed += overload is Overload.THROTTLED
            self.down += overload is Overload.FAILING
