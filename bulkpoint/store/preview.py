"""A campaign's targets as a whole: two scans of them, and the pace at which they would be paid. Writes nothing."""

from dataclasses import dataclass
from decimal import Decimal

from bulkpoint.rules.preview import REASONS_SHOWN, Bucket, Figures, Pace, ReasonSum, bucket_edges, buckets_of
from bulkpoint.store.connect import Connection
from bulkpoint.store.rows import Query


@dataclass(frozen=True, slots=True)
class _ReasonRow:
    """A reason's sums, and those over all reasons."""

    reason: str
    count: int
    amount: Decimal
    all_count: int
    all_amount: Decimal
    smallest: int
    largest: int
    above: int
    reason_count: int


@dataclass(frozen=True, slots=True)
class _BucketCount:
    bucket: int
    count: int


_REASONS = Query("sum_targets_by_reason", _ReasonRow)
_BUCKETS = Query("count_targets_by_bucket", _BucketCount)
_PACE = Query("get_pace", Pace)


def measure_targets(connection: Connection, campaign_id: int, *, row_max: int | None) -> tuple[Figures, int]:
    """Figures of a campaign's targets, and how many of them are above `row_max` points. Call it in one_snapshot."""
    rows = _REASONS.all(connection, campaign_id=campaign_id, row_max=row_max, reasons=REASONS_SHOWN)
    if not rows:
        return Figures(0, 0, None, None, (), (), 0), 0
    whole = rows[0]
    figures = Figures(
        count=whole.all_count,
        amount=int(whole.all_amount),
        smallest=whole.smallest,
        largest=whole.largest,
        buckets=_count_buckets(connection, campaign_id, bucket_edges(whole.smallest, whole.largest)),
        reasons=tuple(ReasonSum(row.reason, row.count, int(row.amount)) for row in rows),
        reason_count=whole.reason_count,
    )
    return figures, whole.above


def _count_buckets(connection: Connection, campaign_id: int, edges: list[int]) -> tuple[Bucket, ...]:
    found = {row.bucket: row.count for row in _BUCKETS.all(connection, campaign_id=campaign_id, edges=edges)}
    return buckets_of(edges, [found.get(number, 0) for number in range(1, len(edges))])


def get_pace(connection: Connection) -> Pace | None:
    """The limit in force; None where no command has stored one yet."""
    return _PACE.first(connection)
