"""Which payments go into which Spark job: ranges of `seq`, so that nothing has to be listed or remembered; and when to
give up, because jobs fail in a row or move nothing."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from bulkpoint.rules.invariants import invariant

# Waves that fail in a row, with nothing recorded in between, before the run is given up.
FAILED_WAVES_MAX = 3
# Between sweeps that move nothing: 1, 2, 4 and then this many seconds.
STANDSTILL_WAIT_S_MAX = 5.0
WAVE_ROWS_MAX = 1_000_000  # a failed wave is read again whole, and the driver keeps its plan in memory
# The first waves of a run are so many times smaller: one that is read in a moment pays while the next one is read. Each
# is long enough for that (30,000 payments are read a second), and of a small campaign there is one.
FIRST_WAVES = (30, 5)
FIRST_ROWS_MIN = 5_000


@dataclass(frozen=True, slots=True)
class Wave:
    """The payments first_seq..last_seq, both included; `number` counts a run's waves from 1."""

    number: int
    first_seq: int
    last_seq: int


def wave_rows(tps: int, shares: int, wave_seconds: float, rows_max: int = WAVE_ROWS_MAX) -> int:
    """Payments in one wave: `wave_seconds` of work, at least one row for each share."""
    invariant(shares > 0, f"a wave for {shares} shares")
    return max(shares, min(int(tps * wave_seconds), rows_max))


def shares_of_sweep(count: int, tps: int, shares: int) -> int:
    """How many shares a sweep of so many payments is dealt to: as few as may send them in about a second.

    The calls of one share come one after the other. Those of several meet at a limiter without a burst until they take
    turns (turns.py), which takes longer than a small sweep: there each refusal would be a try of its payment.
    """
    return min(shares, max(1, math.ceil(count * shares / max(1, tps))))


def sizes(rows: int) -> Iterator[int]:
    """Payments in the first wave of a run, the second, and so on: at last `rows`, for ever."""
    invariant(rows > 0, f"waves of {rows} payments")
    for part in FIRST_WAVES:
        yield min(rows, max(FIRST_ROWS_MIN, rows // part))
    while True:
        yield rows


def waves(first_seq: int, last_seq: int, rows: int) -> Iterator[Wave]:
    """first_seq..last_seq in ranges of `rows`, the first ones shorter (sizes); the last range has the rest."""
    first = first_seq
    for number, size in enumerate(sizes(rows), start=1):
        if first > last_seq:
            return
        yield Wave(number, first, min(first + size - 1, last_seq))
        first += size


def cut(open_counts: Iterable[tuple[int, int]], *, bucket_rows: int, rows: int) -> Iterator[Wave]:
    """Ranges with about `rows` open payments each, the first ones fewer (sizes); together they have every open payment
    once.

    open_counts: (bucket, open payments in it), ascending; bucket b is seq b * bucket_rows + 1 to (b + 1) * bucket_rows.
    A range is longer than `rows` only where a single bucket is. Gaps with nothing open are in no range, or inside one.
    """
    invariant(bucket_rows > 0, f"buckets of {bucket_rows} payments")
    number = held = 0
    limits = sizes(rows)
    limit = next(limits)
    first_bucket = last_bucket = -1
    for bucket, count in open_counts:
        invariant(bucket > last_bucket, "open payments are counted out of order, or twice")
        if held and held + count > limit:
            number += 1
            limit = next(limits)
            yield Wave(number, first_bucket * bucket_rows + 1, (last_bucket + 1) * bucket_rows)
            held = 0
        if held == 0:
            first_bucket = bucket
        held += count
        last_bucket = bucket
    if held:
        yield Wave(number + 1, first_bucket * bucket_rows + 1, (last_bucket + 1) * bucket_rows)


class Standstill:
    """Counts consecutive sweeps that sent nothing and ended no payment, and the time that they took.

    longest_s: after so much time the run is given up. wait_s: before the next sweep, longer after each one.
    """

    def __init__(self, longest_s: float) -> None:
        self.sweeps = 0
        self.spent_s = 0.0
        self.wait_s = 0.0
        self._longest_s = longest_s

    def too_long(self, *, moved: bool, lasted_s: float) -> bool:
        """Count one sweep; True when the run must be given up."""
        if moved:
            self.sweeps, self.spent_s, self.wait_s = 0, 0.0, 0.0
            return False
        self.sweeps += 1
        self.spent_s += lasted_s + self.wait_s
        self.wait_s = min(STANDSTILL_WAIT_S_MAX, max(1.0, 2 * self.wait_s))
        return self.spent_s > self._longest_s


class FailedInARow:
    """Counts consecutive waves that Spark gave up, with no payment ended in between."""

    def __init__(self, ended_payments: Callable[[], int]) -> None:
        self._ended_payments = ended_payments
        self._ended = ended_payments()
        self._failed = 0

    def too_many(self, *, paid: bool) -> bool:
        """Count one wave; True when the run must be given up."""
        if not paid:
            before, self._ended = self._ended, self._ended_payments()
            self._failed = self._failed + 1 if self._ended == before else 1
        else:
            self._failed = 0
        return self._failed >= FAILED_WAVES_MAX
