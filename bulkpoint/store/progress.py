"""How far a campaign is: one look, the samples that a run keeps, how it ended."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bulkpoint.errors import RefusedError
from bulkpoint.rules.lifecycle import RETRIED_KINDS, RETRY_RUNS_MAX, CampaignState, FailureKind, RunKind, RunState
from bulkpoint.store.connect import Connection
from bulkpoint.store.rows import typed_row
from bulkpoint.store.sql import sql


@dataclass(frozen=True)
class Sample:
    """One look at a campaign. `at` is the database's time; amounts are points; FAILED includes UNKNOWN.

    tps is none where no limit was ever set; tps_reason and tps_until are the words of who set it. slowed_to: calls a
    second that money lets through, none where it lets all; out_since: when it ceased to answer (the breaker is open).
    driver_is_gone: the run says RUNNING and nobody drives it.
    """

    at: datetime
    state: CampaignState
    run_no: int | None
    run_reason: str | None
    total: int
    processing: int
    success: int
    failed: int
    unknown: int
    success_amount: int
    failed_amount: int
    tps: int | None
    tps_reason: str | None
    tps_until: datetime | None
    slowed_to: int | None = None
    out_since: datetime | None = None
    driver_is_gone: bool = False

    @property
    def done(self) -> int:
        """Payments that ended, either way."""
        return self.success + self.failed


@dataclass(frozen=True, slots=True)
class RetrySelection:
    """Which FAILED payments a RETRY takes: of these kinds, and of one failure code where it is given.

    beyond_limit: also those that had all the RETRY runs they may have.
    """

    kinds: tuple[FailureKind, ...] = RETRIED_KINDS
    code: str | None = None
    beyond_limit: bool = False

    def parameters(self, campaign_id: int) -> dict[str, Any]:
        """Of the statements that choose."""
        most = None if self.beyond_limit else RETRY_RUNS_MAX
        return {"campaign_id": campaign_id, "kinds": list(self.kinds), "code": self.code, "retry_runs_max": most}

    def __str__(self) -> str:
        return f"kind {' or '.join(self.kinds)}" + (f", code {self.code}" if self.code else "")


@dataclass(frozen=True)
class FailedKind:
    """FAILED payments of one kind and code, with their points.

    chosen: whether they are of the choice asked for. spent: whether they had all the RETRY runs they may have.
    """

    kind: FailureKind
    code: str
    count: int
    amount: int
    chosen: bool
    spent: bool


@dataclass(frozen=True)
class RunSummary:
    """How a run ended: counts and points of its campaign by then. FAILED includes UNKNOWN; open: not ended yet.

    done_before: payments that earlier runs had ended, none where that was not kept. refused: FAILED payments of kinds
    that a retry leaves alone unless they are named.
    """

    campaign_id: int
    name: str
    run_no: int
    kind: RunKind
    state: RunState
    reason: str | None
    started_at: datetime
    finished_at: datetime | None
    open: int
    success: int
    failed: int
    unknown: int
    open_amount: int
    success_amount: int
    failed_amount: int
    done_before: int | None
    refused: int = 0


def sample_progress(connection: Connection, campaign_id: int) -> Sample:
    """Raises RefusedError where there is no such campaign."""
    with connection.cursor(row_factory=typed_row(Sample)) as cursor:
        sample = cursor.execute(sql("sample_progress"), {"campaign_id": campaign_id}).fetchone()
    if sample is None:
        raise RefusedError("CAMPAIGN_UNKNOWN", "list_campaigns", campaign_id=campaign_id)
    return sample


def count_failed(connection: Connection, campaign_id: int, chosen: RetrySelection) -> list[FailedKind]:
    """FAILED payments by kind and code, the most frequent first. One scan of the campaign."""
    with connection.cursor(row_factory=typed_row(FailedKind)) as cursor:
        return cursor.execute(sql("count_failed"), chosen.parameters(campaign_id)).fetchall()


def keep_progress(connection: Connection, run_id: int) -> None:
    """Store a sample of a run."""
    connection.execute(sql("keep_progress"), {"run_id": run_id})


def recent_rate(connection: Connection, run_id: int) -> float | None:
    """Payments that ended a second, over the last minute of a run's samples; none until there are two of them."""
    row = connection.execute(sql("recent_rate"), {"run_id": run_id}).fetchone()
    assert row is not None
    rate: float | None = row[0]
    return rate


def summarize_run(connection: Connection, run_id: int) -> RunSummary:
    """What the closing message tells of a run."""
    wanted = {"run_id": run_id, "retried_kinds": list(RETRIED_KINDS)}
    with connection.cursor(row_factory=typed_row(RunSummary)) as cursor:
        summary = cursor.execute(sql("summarize_run"), wanted).fetchone()
    assert summary is not None, f"run {run_id} exists"
    return summary


def last_call(connection: Connection, campaign_id: int) -> datetime | None:
    """When the latest recorded call of a campaign left."""
    row = connection.execute(sql("last_call"), {"campaign_id": campaign_id}).fetchone()
    assert row is not None
    sent_at: datetime | None = row[0]
    return sent_at


def summarize_run_number(connection: Connection, campaign_id: int, run: int) -> RunSummary:
    """The same, of a campaign's run by its number."""
    row = connection.execute(sql("run_id_of_number"), {"campaign_id": campaign_id, "run_no": run}).fetchone()
    assert row is not None, f"campaign {campaign_id} has a run {run}"
    return summarize_run(connection, row[0])


def get_quarter_published(connection: Connection, campaign_id: int) -> int:
    """The highest percentage of which an event was written, 0 before the first."""
    row = connection.execute(sql("quarter_published"), {"campaign_id": campaign_id}).fetchone()
    assert row is not None
    percent: int = row[0]
    return percent
