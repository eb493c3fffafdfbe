"""How far a campaign is: the present figures, the samples that a run keeps, how it ended."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from bulkpoint.errors import RefusedError
from bulkpoint.rules.guard import Results
from bulkpoint.rules.lifecycle import (
    RETRIED_KINDS,
    RETRY_RUNS_MAX,
    CampaignState,
    FailedApart,
    FailureKind,
    OpenApart,
    RunKind,
    RunState,
)
from bulkpoint.rules.patience import Waiting
from bulkpoint.rules.time_left import WINDOW_S, Figure
from bulkpoint.store.connect import Connection
from bulkpoint.store.rows import Query
from bulkpoint.store.sql import sql


@dataclass(frozen=True)
class Sample(FailedApart):
    """One look at a campaign. `at` is the database's time; amounts are points; FAILED includes UNKNOWN.

    tps is None where no limit was ever set; tps_reason and tps_until were given with it. slowed_to: calls a second that
    the money API lets through, None where it does not slow us down; out_since: when it stopped answering (the breaker
    is open). done_before: payments that had ended when this run began.
    driver_is_gone: the run says RUNNING, but no driver is alive. run_waiting: what its driver waits for, as
    rules.patience.Waiting; None while payments are paid.
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
    unknown_amount: int = 0
    run_waiting: dict[str, Any] | None = None
    stopping: bool = False
    done_before: int = 0

    @property
    def waiting(self) -> Waiting | None:
        """What the run waits for; None also where its driver is gone, which knew it."""
        return None if self.run_waiting is None or self.driver_is_gone else Waiting.of(self.run_waiting)

    @property
    def done(self) -> int:
        """Payments that ended, SUCCESS or FAILED."""
        return self.success + self.failed


@dataclass(frozen=True, slots=True)
class RetrySelection:
    """Which FAILED payments a RETRY takes: of these kinds, and of one failure code where it is given.

    beyond_limit: also those that had their maximum of RETRY runs.
    """

    kinds: tuple[FailureKind, ...] = RETRIED_KINDS
    code: str | None = None
    beyond_limit: bool = False

    def parameters(self, campaign_id: int, send_again_s_max: float | None) -> dict[str, Any]:
        """Parameters of the statements that select payments. send_again_s_max: after their first send; None: any."""
        return {
            "campaign_id": campaign_id,
            "kinds": list(self.kinds),
            "code": self.code,
            "retry_runs_max": None if self.beyond_limit else RETRY_RUNS_MAX,
            "send_again_s_max": send_again_s_max,
        }

    def __str__(self) -> str:
        return f"kind {' or '.join(self.kinds)}" + (f", code {self.code}" if self.code else "")


@dataclass(frozen=True)
class FailedKind:
    """FAILED payments of one kind and code, with their points.

    chosen: whether the selection includes them. spent: whether they had their maximum of RETRY runs. too_old: whether
    the money API may have forgotten their keys, so that they are never sent again.
    """

    kind: FailureKind
    code: str
    count: int
    amount: int
    chosen: bool
    spent: bool
    too_old: bool


@dataclass(frozen=True)
class RunSummary(FailedApart, OpenApart):
    """How a run ended: counts and points of its campaign by then. FAILED includes UNKNOWN; open: not ended yet.

    processing: those of the open ones that were claimed, and perhaps sent, by a worker that is gone.

    done_before: payments that earlier runs had ended, None where that was not kept. refused: FAILED payments of kinds
    that a retry does not take unless they are named. failure_kinds: FAILED payments for every kind there is.
    failure_codes: of each kind that there is, its commonest codes; empty where they were not looked for.
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
    unknown_amount: int = 0
    failure_kinds: dict[str, int] = field(default_factory=dict)
    processing: int = 0
    processing_amount: int = 0
    failure_codes: dict[str, list[str]] = field(default_factory=dict)


class CodesOfKind(NamedTuple):
    """The commonest codes of one kind of failure, as the money API says them. kind: perhaps one of a later version."""

    kind: str
    codes: list[str]


class CommonFailure(NamedTuple):
    """A kind and code of failure."""

    kind: FailureKind
    code: str


_RESULTS = Query("count_results", Results)
_COMMONEST = Query("commonest_failure", CommonFailure)
_CODES = Query("commonest_codes", CodesOfKind)
_SAMPLE = Query("sample_progress", Sample)
_FAILED = Query("count_failed", FailedKind)
_FIGURES = Query("recent_figures", Figure)
_DONE_BEFORE = Query("done_before_of_run", int)
_SUMMARY = Query("summarize_run", RunSummary)
_LAST_CALL = Query[datetime | None]("last_call", datetime)
_RUN_ID = Query("run_id_of_number", int)
_QUARTER = Query("quarter_published", int)


def sample_progress(connection: Connection, campaign_id: int) -> Sample:
    """Raises RefusedError where there is no such campaign."""
    sample = _SAMPLE.first(connection, campaign_id=campaign_id)
    if sample is None:
        raise RefusedError("CAMPAIGN_UNKNOWN", "list_campaigns", campaign_id=campaign_id)
    return sample


def count_failed(
    connection: Connection, campaign_id: int, chosen: RetrySelection, *, send_again_s_max: float | None
) -> list[FailedKind]:
    """FAILED payments by kind and code, the most frequent first. One scan of the campaign."""
    return _FAILED.all(connection, **chosen.parameters(campaign_id, send_again_s_max))


def keep_progress(connection: Connection, run_id: int) -> None:
    """Store a sample of a run."""
    connection.execute(sql("keep_progress"), {"run_id": run_id})


def recent_figures(connection: Connection, run_id: int) -> list[Figure]:
    """The samples of a run's last minute, oldest first; none before the first."""
    return _FIGURES.all(connection, run_id=run_id, seconds=WINDOW_S)


def done_before(connection: Connection, run_id: int) -> int:
    """Payments that had ended when a run began."""
    return _DONE_BEFORE.one(connection, run_id=run_id)


def summarize_run(connection: Connection, run_id: int) -> RunSummary:
    """What the closing message says about a run."""
    return _SUMMARY.one(connection, run_id=run_id, retried_kinds=list(RETRIED_KINDS))


def count_results(connection: Connection, campaign_id: int) -> Results:
    """Results so far, by the campaign's counters."""
    return _RESULTS.one(connection, campaign_id=campaign_id)


def commonest_failure(connection: Connection, campaign_id: int, since: datetime) -> CommonFailure | None:
    """The most frequent failure since then; None for none. One scan of the campaign."""
    return _COMMONEST.first(connection, campaign_id=campaign_id, since=since)


def commonest_codes(connection: Connection, campaign_id: int, *, most: int) -> list[CodesOfKind]:
    """At most so many codes of each kind of failure, the commonest first. One scan of the campaign."""
    return _CODES.all(connection, campaign_id=campaign_id, most=most)


def last_call(connection: Connection, campaign_id: int) -> datetime | None:
    """When the latest recorded call of a campaign left."""
    return _LAST_CALL.one(connection, campaign_id=campaign_id)


def summarize_run_number(connection: Connection, campaign_id: int, run: int) -> RunSummary:
    """The same for a campaign's run, by its number."""
    return summarize_run(connection, _RUN_ID.one(connection, campaign_id=campaign_id, run_no=run))


def get_quarter_published(connection: Connection, campaign_id: int) -> int:
    """The highest percentage for which an event was written, 0 before the first."""
    return _QUARTER.one(connection, campaign_id=campaign_id)
