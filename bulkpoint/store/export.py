"""What a report reads: every payment of a campaign as a stream, and the figures of its page, all from one snapshot."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from bulkpoint.rules.lifecycle import FailureKind, RunKind, RunState
from bulkpoint.store.connect import Connection
from bulkpoint.store.rows import Query

# One round trip: large enough to be cheap, about 10 MB in Python.
BATCH_ROWS = 10_000


class PaymentRow(NamedTuple):
    """One payment as it is exported; amount in points, attempts: of its latest run, times in UTC.

    settled_by_hand: by whose word it is SUCCESS, where the money API has no credit under our key.
    """

    campaign_id: int
    member_id: str
    amount: int
    reason: str
    state: str
    transaction_id: str | None
    failure_kind: str | None
    failure_code: str | None
    failure_message: str | None
    attempts: int
    first_sent_at: datetime | None
    finished_at: datetime | None
    settled_by_hand: str | None = None


@dataclass(frozen=True, slots=True)
class Failures:
    """FAILED payments of one kind and code, with their points."""

    kind: FailureKind
    code: str | None
    count: int
    amount: int


@dataclass(frozen=True, slots=True)
class ReportedRun:
    """A run; done_before and done_after: payments that had ended when it began and when it ended, None if not known."""

    run_no: int
    kind: RunKind
    state: RunState
    reason: str | None
    actor: str
    started_at: datetime
    finished_at: datetime | None
    done_before: int | None
    done_after: int | None


@dataclass(frozen=True, slots=True)
class ReportedSample:
    """Payments of the campaign that had ended, and the limit in calls a second, at one time of a run."""

    run_no: int
    at: datetime
    done: int
    tps: int


class AmountRange(NamedTuple):
    """Points: the lowest and the highest amount of a payment."""

    lowest: int
    highest: int


class AmountCount(NamedTuple):
    """Payments with an amount from edge number `edge` to below the next one, by how they ended.

    processing: not among open; they are perhaps sent.
    """

    edge: int
    success: int
    failed: int
    unknown: int
    open: int
    processing: int = 0


_PAYMENTS = Query("export_payments", PaymentRow)
_FAILURES = Query("report_failures", Failures)
_RUNS = Query("report_runs", ReportedRun)
_SAMPLES = Query("report_samples", ReportedSample)
_AMOUNT_RANGE = Query("report_amount_range", AmountRange)
_AMOUNTS = Query("report_amounts", AmountCount)


def stream_payments(connection: Connection, campaign_id: int, *, failed_only: bool) -> Iterator[list[PaymentRow]]:
    """The payments in the order of the list, ten thousand at a time, whatever their number; inside one_snapshot."""
    return _PAYMENTS.batches(connection, BATCH_ROWS, campaign_id=campaign_id, failed_only=failed_only)


def list_failures(connection: Connection, campaign_id: int, *, rows_max: int) -> list[Failures]:
    """The most frequent kinds and codes of failure. One scan of the campaign."""
    return _FAILURES.all(connection, campaign_id=campaign_id, rows_max=rows_max)


def list_reported_runs(connection: Connection, campaign_id: int) -> list[ReportedRun]:
    """The runs of a campaign, the first one first."""
    return _RUNS.all(connection, campaign_id=campaign_id)


def list_samples(connection: Connection, campaign_id: int, *, samples_max: int) -> list[ReportedSample]:
    """At most `samples_max` samples of all runs together, in order, evenly chosen; plus the last one of each run."""
    return _SAMPLES.all(connection, campaign_id=campaign_id, samples_max=samples_max)


def amount_range(connection: Connection, campaign_id: int) -> AmountRange:
    """The lowest and the highest amount, in points, of a frozen campaign. One scan of it."""
    return _AMOUNT_RANGE.one(connection, campaign_id=campaign_id)


def count_amounts(connection: Connection, campaign_id: int, edges: Sequence[int]) -> list[AmountCount]:
    """Payments by amount, between ascending edges in points; edges without payments are left out. One scan."""
    return _AMOUNTS.all(connection, campaign_id=campaign_id, edges=list(edges))
