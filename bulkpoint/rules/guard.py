"""The guard against wholesale failure: a wrong list, or a money API that refuses everybody, must not run to its end.

It looks at the latest results of a run, wherever in the run they are, and at all of them when the run ends. Only
results since the run began count: what an earlier run left FAILED is no news.
"""

from collections import deque
from datetime import datetime
from typing import NamedTuple

# So many of the latest results, or a few more, are looked at while the run goes on.
WINDOW_RESULTS = 500
# With fewer results in all, a run that ends is not judged: two of three refused are no wrong list.
RESULTS_MIN = 20


class Results(NamedTuple):
    """Results of a campaign up to a moment of the database's clock.

    rejected: refused by the money API. unresolved: FAILED for want of a good answer, which takes all of their tries:
    they come late, and together.
    """

    at: datetime
    success: int
    rejected: int
    unresolved: int

    @property
    def failed(self) -> int:
        """FAILED of every kind that counts."""
        return self.rejected + self.unresolved

    def since(self, before: "Results") -> "Results":
        """What came after an earlier moment, which is the result's `at`."""
        rejected, unresolved = self.rejected - before.rejected, self.unresolved - before.unresolved
        return Results(before.at, self.success - before.success, max(0, rejected), max(0, unresolved))


class TooMany(NamedTuple):
    """Why a run must not go on, or not end as completed: so many failed of so many results since a moment."""

    failed: int
    results: int
    since: datetime


class FailureGuard:
    """ratio_max: of FAILED among the results (BULKPOINT_MAX_FAILED_RATIO); 1: never. begun: when the run began.

    retried: all of the run's payments have failed before. That most of them fail again is then to be expected, and only
    a run in which nothing succeeds is judged at its end.
    """

    def __init__(self, ratio_max: float, begun: Results, *, retried: bool = False) -> None:
        self._retried = retried
        self._ratio_max = ratio_max
        self._begun = begun
        self._looks = deque([begun])

    def look(self, now: Results, *, sweeping: bool = False) -> TooMany | None:
        """Look at the latest results, about once a second; what is too much of them, or None.

        sweeping: the run pays what came back. Payments without a good answer end then, one after the other, and say
        nothing about those still open; refusals do.
        """
        looks = self._looks
        looks.append(now)
        while len(looks) > 2 and _results(now.since(looks[1])) >= WINDOW_RESULTS:
            looks.popleft()
        latest = now.since(looks[0])
        return self._judge(latest._replace(unresolved=0) if sweeping else latest, at_least=WINDOW_RESULTS)

    def at_end(self, now: Results) -> TooMany | None:
        """Look at all results of the run, which has ended; what is too much of them, or None."""
        found = now.since(self._begun)
        if self._retried and found.success:
            return None
        return self._judge(found, at_least=RESULTS_MIN)

    def _judge(self, found: Results, *, at_least: int) -> TooMany | None:
        results = _results(found)
        if results < at_least or self._ratio_max >= 1 or found.failed <= self._ratio_max * results:
            return None
        return TooMany(found.failed, results, found.at)


def _results(found: Results) -> int:
    return found.success + found.failed
