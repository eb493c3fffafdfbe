"""How many calls should be under way side by side? As many as bring more calls through, and no more.

A slow money needs many senders to use the limit, a fast one few: beyond that each only takes time from the others. No
figure known beforehand fits both, so the number is found by trying: double it while permits lie unused, and go back when
doubling did not help.
"""

from dataclasses import dataclass

FIRST_SENDERS_MAX = 8
# Doubling must bring at least this much more, or it is taken back ...
WORTH_IT = 1.15
# ... and not tried again for so long; money's latency may have changed by then.
TRY_AGAIN_S = 10.0
# A judgement rests on four calls of each sender, or on a second.
CALLS_EACH = 4
LOOK_S_MIN = 0.3
LOOK_S_MAX = 1.0


def first_senders(rate: int, senders_max: int) -> int:
    """For a share of `rate` calls a second: enough for money that answers in about 50 ms."""
    return max(1, min(rate // 16, FIRST_SENDERS_MAX, senders_max))


@dataclass(slots=True)
class Crew:
    """Decides how many senders work; told what happened, it answers how many to add, or to send home if negative."""

    senders_max: int
    senders: int = 0
    _looked_at: float = 0.0
    _done_then: int = 0
    _rate_before: float | None = None  # what came through before the last doubling, while that is being judged
    _added: int = 0
    _settled_until: float = 0.0

    def change(self, now: float, *, done: int, rate: int, starved: bool) -> int:
        """done: calls ended so far. rate: the share's permits a second. starved: a permit and work are there, unused."""
        if self.senders == 0:
            self._begin_look(now, done)
            self.senders = first_senders(rate, self.senders_max)
            return self.senders
        elapsed, calls = now - self._looked_at, done - self._done_then
        if elapsed < LOOK_S_MIN or (calls < CALLS_EACH * self.senders and elapsed < LOOK_S_MAX):
            return 0
        came_through = calls / elapsed
        self._begin_look(now, done)
        if self._rate_before is not None and came_through < WORTH_IT * self._rate_before:
            self._rate_before = None
            self._settled_until = now + TRY_AGAIN_S
            self.senders -= self._added
            return -self._added
        self._rate_before = None
        if not starved or now < self._settled_until or self.senders >= self.senders_max:
            return 0
        self._rate_before = came_through
        self._added = min(self.senders, self.senders_max - self.senders)
        self.senders += self._added
        return self._added

    def _begin_look(self, now: float, done: int) -> None:
        self._looked_at, self._done_then = now, done
