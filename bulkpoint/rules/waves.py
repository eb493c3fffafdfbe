"""Which payments go into which Spark job: ranges of `seq`, so that nothing has to be listed or remembered."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from bulkpoint.rules.invariants import invariant

WAVE_ROWS_MAX = 1_000_000  # a failed wave is read again whole, and the driver keeps its plan in memory


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


def waves(first_seq: int, last_seq: int, rows: int) -> Iterator[Wave]:
    """first_seq..last_seq in ranges of `rows`; the last range has the rest."""
    invariant(rows > 0, f"waves of {rows} payments")
    for number, first in enumerate(range(first_seq, last_seq + 1, rows), start=1):
        yield Wave(number, first, min(first + rows - 1, last_seq))


def cut(open_counts: Iterable[tuple[int, int]], *, bucket_rows: int, rows: int) -> Iterator[Wave]:
    """Ranges with about `rows` open payments each; together they have every open payment once.

    open_counts: (bucket, open payments in it), ascending; bucket b is seq b * bucket_rows + 1 to (b + 1) * bucket_rows.
    A range is longer than `rows` only where a single bucket is. Gaps with nothing open are in no range, or inside one.
    """
    invariant(bucket_rows > 0, f"buckets of {bucket_rows} payments")
    invariant(rows > 0, f"waves of {rows} payments")
    number = held = 0
    first_bucket = last_bucket = -1
    for bucket, count in open_counts:
        invariant(bucket > last_bucket, "open payments are counted out of order, or twice")
        if held and held + count > rows:
            number += 1
            yield Wave(number, first_bucket * bucket_rows + 1, (last_bucket + 1) * bucket_rows)
            held = 0
        if held == 0:
            first_bucket = bucket
        held += count
        last_bucket = bucket
    if held:
        yield Wave(number + 1, first_bucket * bucket_rows + 1, (last_bucket + 1) * bucket_rows)
