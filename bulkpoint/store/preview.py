"""A campaign's targets as a whole: two scans of them, and the pace at which they would be paid. Writes nothing."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from psycopg.rows import class_row

from bulkpoint.rules.preview import REASONS_SHOWN, Bucket, Figures, Pace, ReasonSum, bucket_edges, buckets_of
from bulkpoint.store.connect import Connection
from bulkpoint.store.sql import sql


@dataclass(frozen=True, slots=True)
class _Row:
    """A reason's sums, beside those over all reasons."""

    reason: str
    count: int
    amount: int
    all_count: int
    all_amount: int
    smallest: int
    largest: int
    above: int
    reason_count: int


@contextmanager
def one_snapshot(connection: Connection) -> Iterator[None]:
    """All that is read inside the block is of one moment, whatever is loaded meanwhile."""
    with connection.transaction():
        connection.execute(sql("read_preview_from_one_snapshot"))
        yield


def measure_targets(connection: Connection, campaign_id: int, *, row_max: int | None) -> tuple[Figures, int]:
    """Figures of a campaign's targets, and how many of them are above `row_max` points. Call it in one_snapshot."""
    asked = {"campaign_id": campaign_id, "row_max": row_max, "reasons": REASONS_SHOWN}
    with connection.cursor(row_factory=class_row(_Row)) as cursor:
        rows = cursor.execute(sql("sum_targets_by_reason"), asked).fetchall()
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
    asked = {"campaign_id": campaign_id, "edges": edges}
    found: dict[int, int] = dict(connection.execute(sql("count_targets_by_bucket"), asked).fetchall())
    return buckets_of(edges, [found.get(number, 0) for number in range(1, len(edges))])


def get_pace(connection: Connection) -> Pace | None:
    """The limit that is in force; none where no command has stored one yet."""
    with connection.cursor(row_factory=class_row(Pace)) as cursor:
        return cursor.execute(sql("get_pace")).fetchone()
