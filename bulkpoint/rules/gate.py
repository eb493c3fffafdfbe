"""When may the next call leave? A sliding-window log for one share of the limit, decided from plain numbers.

The gate remembers every call that may still count against the limit, whatever the rate was when it left: remembering
"the last `rate` calls" would forget some of them when the rate falls and rises again within a second.
"""

import heapq
import math
from collections.abc import Iterable
from typing import Literal

from bulkpoint.rules.invariants import invariant
from bulkpoint.rules.turns import Slots

CountsFrom = Literal["send", "answer"]

WINDOW_S = 1.0
# How far a late caller may catch up: a pause shorter than this costs no throughput, a longer one is not made up for.
CATCH_UP_S = 1.0
# At a pace below the limit, calls are spaced evenly instead: a burst is what many limiters refuse.
PACED_CATCH_UP_S = 0.02


class Gate:
    """At most `rate` calls in any sliding second, evenly spaced, with catch-up inside the second.

    Counted from the send (default), a call keeps its slot for 1 s + guard after it left. Counted from the answer, it
    keeps it until 1 s + guard after its answer, so that the limit is kept by the receiver's clock whatever the
    network does in between. Times are seconds of any clock that never goes back; the gate itself reads no clock.
    """

    def __init__(self, *, guard_s: float, counts_from: CountsFrom = "send", rate: float = 0) -> None:
        invariant(guard_s >= 0, "a guard below zero")
        self._kept_s = WINDOW_S + guard_s
        self._counts_from = counts_from
        self.set_rate(rate)
        self._free_at: list[float] = []  # heap: when each remembered call stops counting
        self._unanswered = 0  # only if counted from the answer: sent, not yet answered
        self._last_slot = -math.inf
        self._slots: tuple[Slots, ...] | None = None

    @property
    def rate(self) -> float:
        """Calls a second: the pace, where that is below the limit. May be below 1; 0: nothing leaves."""
        return self._pace

    def set_rate(self, rate: float, pace: float | None = None) -> None:
        """Change the limit, and the pace where it is lower: calls evenly spaced. Calls that have left still count.

        Only the limit counts calls in a sliding second: a pace that falls would else be paid with a silence, and then a
        burst, for as long as the calls before it are remembered.
        """
        invariant(rate >= 0, "a rate below zero")
        self._rate = rate
        self._pace = rate if pace is None else min(rate, pace)
        self._calls_max = max(1, int(rate))  # in any window
        self._every_s = 1 / self._pace if self._pace else math.inf

    def take_turns(self, slots: tuple[Slots, ...] | None) -> None:
        """Send in slots only: those in force now, and those that follow them; None: at the pace, without slots.

        Slots only ever delay a call. Without any slot, nothing leaves.
        """
        self._slots = slots

    def next_at(self, now: float) -> float:
        """The earliest instant worth asking again; a call may leave at `now` when this is not later than `now`.

        Infinite while the rate is 0, and while every slot waits for an answer.
        """
        if self._pace == 0:
            return math.inf
        free_at = self._free_at
        while free_at and free_at[0] <= now:
            heapq.heappop(free_at)
        if len(free_at) + self._unanswered >= self._calls_max:
            return free_at[0] if free_at else math.inf
        slots = self._slots
        at = self._last_slot + self._every_s if slots is None else self._next_slot(slots, now)
        return at if at > now else now

    def record_send(self, now: float) -> None:
        """A call leaves at `now`, which `next_at` allowed."""
        invariant(self.try_send(now), "a call left before the gate allowed it")

    def try_send(self, now: float) -> bool:
        """Let a call leave at `now`, and count it, if it may; both in one, because it runs for every call."""
        if self.next_at(now) > now:
            return False
        catch_up_s = CATCH_UP_S if self._pace == self._rate else PACED_CATCH_UP_S
        if not math.isfinite(self._last_slot):  # a first call has nothing to catch up
            catch_up_s = 0.0
        if self._slots is None:
            self._last_slot = max(self._last_slot + self._every_s, now - catch_up_s)
        else:
            self._last_slot = self._next_slot(self._slots, now)
        if self._counts_from == "send":
            heapq.heappush(self._free_at, now + self._kept_s)
        else:
            self._unanswered += 1
        return True

    def _next_slot(self, slots: tuple[Slots, ...], now: float) -> float:
        """The next slot that no call has used and that is not yet too long ago; infinite without any."""
        for first_at, every_s, late_s, until in slots:
            begin = max(first_at, now - late_s, self._last_slot + every_s / 2)
            slot = first_at + math.ceil((begin - first_at) / every_s) * every_s
            if slot < until:
                return slot
        return math.inf

    def answered(self, now: float, *, unknown_for_s: float = 0.0) -> None:
        """A call that left was answered at `now`; one that timed out may still be on its way for `unknown_for_s`."""
        if self._counts_from == "answer":
            invariant(self._unanswered > 0, "an answer to a call that never left")
            self._unanswered -= 1
            heapq.heappush(self._free_at, now + unknown_for_s + self._kept_s)

    def remembered(self, now: float) -> list[float]:
        """When each call that still counts was sent, or answered, oldest first: what the next holder must know.

        A call without an answer counts as answered now.
        """
        known = [at - self._kept_s for at in self._free_at if at > now]
        return sorted(known + [now] * self._unanswered)

    def remember(self, instants: Iterable[float]) -> None:
        """Take over the calls that an earlier holder of the share remembered."""
        for instant in instants:
            heapq.heappush(self._free_at, instant + self._kept_s)
            self._last_slot = max(self._last_slot, instant)
