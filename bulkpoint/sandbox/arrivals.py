"""What the sandbox measures of itself: how many requests arrived when, and how long its own event loop stood still."""

import time
from collections import deque

SECOND_NS = 1_000_000_000


class SlidingSecond:
    """Counts stamps in the second that ends at the newest one: (newest - 1 s, newest].

    Two stamps exactly one second apart are never in the same second. Exact, and O(1) amortised.
    """

    def __init__(self) -> None:
        self._stamps_ns: deque[int] = deque()

    def count(self, now_ns: int) -> int:
        """How many stamps lie in the second that ends now; forgets the older ones."""
        stamps_ns = self._stamps_ns
        oldest_ns = now_ns - SECOND_NS
        while stamps_ns and stamps_ns[0] <= oldest_ns:
            stamps_ns.popleft()
        return len(stamps_ns)

    def add(self, now_ns: int) -> int:
        """Remember a stamp, never older than the one before; returns the count of the second that ends with it."""
        self._stamps_ns.append(now_ns)
        return self.count(now_ns)


class LeakyBucket:
    """Counts as nginx's limit_req does: calls above the burst are refused, and do not count. Times in whole ms."""

    def __init__(self) -> None:
        self._excess = 0.0
        self._at_ms = 0

    def let_in(self, now_ns: int, *, rate: int, burst: int) -> bool:
        """Whether a call that arrives now is let in, at `rate` calls a second and so many at once above that."""
        now_ms = now_ns // 1_000_000
        excess = max(0.0, self._excess - rate * (now_ms - self._at_ms) / 1_000 + 1)
        if excess > burst:
            return False
        self._excess, self._at_ms = excess, now_ms
        return True


class Arrivals:
    """Counts the requests under /v1 when they have been read, answered or not."""

    def __init__(self) -> None:
        self.last_at: float | None = None  # wall clock, seconds since the epoch
        self.reset()

    def reset(self) -> None:
        """Start counting again; the time of the last arrival stays."""
        self.requests = 0
        self.max_per_second = 0
        self._second = SlidingSecond()

    def add(self, now_ns: int) -> None:
        """Count one request that arrived now, by the monotonic clock."""
        self.last_at = time.time()
        self.requests += 1
        in_second = self._second.add(now_ns)
        if in_second > self.max_per_second:  # noqa: PLR1730 (max() costs three times as much, on every request)
            self.max_per_second = in_second


class Stalls:
    """The longest time the event loop was late, measured by a tick that should come every TICK_S.

    While the loop stands still requests wait unread and are then stamped together, so max_per_second may exceed what
    was sent by up to rate x stall. A test that judges a limit by this server's clock must allow for that.
    """

    TICK_S = 0.01

    def __init__(self) -> None:
        self.max_ms = 0.0
        self._due_ns: int | None = None

    def reset(self) -> None:
        """Forget the stalls so far."""
        self.max_ms = 0.0

    def tick(self, now_ns: int) -> None:
        """The tick came; the caller calls this again after TICK_S."""
        if self._due_ns is not None:
            self.max_ms = max(self.max_ms, (now_ns - self._due_ns) / 1e6)
        self._due_ns = now_ns + int(self.TICK_S * SECOND_NS)
