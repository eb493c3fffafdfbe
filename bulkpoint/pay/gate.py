"""The gate in a worker: the permits of one share, open only while the worker's knowledge of the lease is fresh."""

import math
import threading
import time
from collections.abc import Callable
from functools import partial

from bulkpoint.rules.answers import Overload
from bulkpoint.rules.gate import CountsFrom, Gate
from bulkpoint.rules.patience import Heard, Trouble
from bulkpoint.rules.pressure import PROBE_EVERY_S, Backpressure, PressureSnapshot
from bulkpoint.rules.turns import Told, Turns

# How long a call may wait inside, its connection ready: short compared with the HTTP timeout, which keeps running.
INSIDE_WAIT_S_MAX = 0.5
# A call goes inside when its permit is at most this far away.
NEAR_S = 0.02
# No thread sleeps longer than this without checking again what the worker knows.
LOOK_AGAIN_S = 0.05


# Seconds that never go back, and that go on while the machine sleeps where the system has such a clock. A partial, for
# speed: every call reads it three times.
boot_clock = partial(time.clock_gettime, getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class LeasedGate:
    """Lets calls out one at a time: `try_enter` before the connection is made, `pass_out` when the bytes would leave.

    `pass_out` belongs where the wire send really happens, so that a client's automatic re-send passes it too.
    """

    def __init__(
        self,
        *,
        guard_s: float,
        counts_from: CountsFrom,
        clock: Callable[[], float] = boot_clock,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._gate = Gate(guard_s=guard_s, counts_from=counts_from)
        self._pressure = Backpressure()
        self._turns: Turns | None = None
        self._heard = Heard()  # up to the last trouble
        self._usable_at: float | None = None  # of the last usable answer, if it came after that
        self._permits = self._paced_permits = self._tps = 0
        self._rate = 0.0  # that the gate is set to
        self._counts_from = counts_from
        self._clock = clock
        self._sleep = sleep
        self._leaving = threading.Lock()  # one thread at a time waits for the next permit
        self._state = threading.Lock()  # guards everything below, and the gate
        self._inside = 0
        self._waiting = 0
        self._fresh_until = -math.inf
        self._closed = False
        self._next_probe_at = -math.inf

    def learn(self, *, rate: int, fresh_until: float, tps: int | None = None) -> None:
        """Take in a successful renewal: the present permits, and until when they are valid. tps: of all shares."""
        with self._state:
            self._tps = rate if tps is None else tps
            self._fresh_until = fresh_until
            self._permits = rate
            self._pressure.permit(rate)

    def take_part(self, share: int) -> None:
        """Take turns with the other shares, as soon as the money API slows one of them down."""
        with self._state:
            self._turns = Turns(share)

    def tell_turns(self) -> Told | None:
        """What to write for the other shares; None while no share is slowed down."""
        with self._state:
            if self._turns is None:
                return None
            now = self._clock()
            pressure = self._pressure
            told = self._turns.tell(
                now,
                rate=pressure.slowed_to(now),
                permits=self._permits,
                tps=self._tps,
                too_fast=pressure.ceiling_taken_over,
                out=pressure.breaker_open,
            )
            self._take_turns(self._turns)
            return told

    def hear_turns(self, others: list[Told] | None) -> None:
        """Take in what the other shares wrote that are at work now; None while none is slowed down."""
        with self._state:
            if self._turns is not None:
                self._turns.learn(others, self._clock())
                self._take_turns(self._turns)

    def _take_turns(self, turns: Turns) -> None:
        self._pressure.follow(turns.plan, tps=self._tps, let_in_at=turns.others_let_in_at)
        self._gate.take_turns(turns.slots())

    def observe(self, overload: Overload, trouble: Trouble | None = None, *, sent_at: float | None = None) -> None:
        """Count a call that ended; `trouble`: what it was, where the answer was not usable. sent_at: if it left."""
        with self._state:
            now = self._clock()
            if self._turns is not None and sent_at is not None:
                self._turns.count(overload, sent_at)
            self._pressure.observe(overload, now, None if trouble is None else trouble.retry_after_s)
            if trouble is None:
                self._usable_at = now
            else:
                self._heard, self._usable_at = self._heard_now().after_trouble(trouble, now), None

    @property
    def crowded(self) -> bool:
        """Whether several calls failed lately while others were answered: a failure is not the payment's own then."""
        with self._state:
            return self._pressure.is_crowded(self._clock())

    @property
    def heard(self) -> Heard:
        """What was last heard of the money API under this lease."""
        with self._state:
            return self._heard_now()

    def _heard_now(self) -> Heard:
        """After a usable answer nothing else counts; it is made only when it is asked for."""
        return self._heard if self._usable_at is None else self._heard.after_answer(self._usable_at)

    @property
    def permits(self) -> int:
        """Calls a second by the limit, whatever the money API allows; 0 while it is paused."""
        return self._permits

    def pressure(self) -> PressureSnapshot | None:
        """How far the money API slows this share down; None where it does not."""
        with self._state:
            return self._pressure.snapshot(self._clock())

    def take_over(self, pressure: PressureSnapshot) -> None:
        """Continue at the rate where the share's last holder stopped."""
        with self._state:
            self._pressure.take_over(pressure, self._clock())

    @property
    def breaker_open(self) -> bool:
        """Whether the breaker is open: only one call a second leaves, as a probe."""
        return self._pressure.breaker_open

    def remember(self, instants: list[float]) -> None:
        """Take over the sends of the share's last holder."""
        with self._state:
            self._gate.remember(instants)

    def remembered(self) -> list[float]:
        """The sends that still count, for the share's next holder."""
        with self._state:
            return self._gate.remembered(self._clock())

    def close(self) -> None:
        """Close permanently: the share is lost, or the run is over. No call leaves after this."""
        with self._state:
            self._closed = True

    @property
    def closed(self) -> bool:
        return self._closed

    @property
    def rate(self) -> float:
        """Calls a second that may leave now."""
        with self._state:
            return self._follow_rate(self._clock())

    def try_enter(self) -> float:
        """Go inside if a permit is near: 0, else how many seconds it is worth waiting before asking again.

        Every 0 is followed by one `pass_out` that returns an instant, or by one `abandon`.
        """
        with self._state:
            now = self._clock()
            if not self._is_open(now) or self._inside >= self._inside_max():
                return LOOK_AGAIN_S
            wait_s = self._gate.next_at(now) - now - NEAR_S
            if self._pressure.breaker_open:  # a probe that gets no connection never passes out, but counts
                wait_s = max(wait_s, self._next_probe_at - now)
            if wait_s > 0:
                return wait_s
            self._next_probe_at = now + PROBE_EVERY_S
            self._inside += 1
            return 0.0

    def enter_more(self, count: int) -> int:
        """Right after a `try_enter` that returned 0: go inside with up to so many more calls; returns how many."""
        with self._state:
            if self._pressure.breaker_open:
                return 0
            more = max(0, min(count, self._inside_max() - self._inside))  # the rate may have fallen since
            self._inside += more
            return more

    def abandon(self, count: int = 1) -> None:
        """So many calls that are inside will not leave: make room for others."""
        with self._state:
            self._inside -= count

    def pass_out(self) -> float | None:
        """Wait for the next permit and take it: the instant of the send, or None when it must not be sent now."""
        with self._state:
            if not self._waiting:  # the usual case: one lock, and no other call is overtaken
                now = self._clock()
                if self._is_open(now) and self._gate.try_send(now):
                    self._inside -= 1
                    return now
            self._waiting += 1
        try:
            with self._leaving:
                return self._wait_and_pass()
        finally:
            with self._state:
                self._waiting -= 1

    def answered(self, *, unknown_for_s: float = 0.0) -> None:
        """A call that left was answered, or timed out."""
        if self._counts_from == "answer":
            with self._state:
                self._gate.answered(self._clock(), unknown_for_s=unknown_for_s)

    def _wait_and_pass(self) -> float | None:
        patience_ends = self._clock() + INSIDE_WAIT_S_MAX
        while True:
            with self._state:
                now = self._clock()
                if not self._is_open(now):
                    return None
                if self._gate.try_send(now):
                    self._inside -= 1
                    return now
                at = self._gate.next_at(now)
            if at > patience_ends:
                return None
            self._sleep(min(at - now, LOOK_AGAIN_S))

    def _is_open(self, now: float) -> bool:
        return self._follow_rate(now) > 0 and not self._closed and now < self._fresh_until

    def _follow_rate(self, now: float) -> float:
        """Set the gate to the rate that is in force now, and return it."""
        rate, permits = self._pressure.rate(now), self._permits
        if rate != self._rate or permits != self._paced_permits:
            self._rate, self._paced_permits = rate, permits
            self._gate.set_rate(permits, pace=rate)
        return rate

    def _inside_max(self) -> int:
        """As many as together wait about 1/50 s: their thread waits for each of them."""
        return max(1, int(self._rate / 50))
