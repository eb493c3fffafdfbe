"""One campaign as it is now, for a page: plain figures in, what the page shows out; no sum is made in a template."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import NamedTuple

from bulkpoint.rules.durations import DURATION_BOUNDS_S
from bulkpoint.rules.latency import Quantile, quantile
from bulkpoint.rules.lifecycle import CampaignState, PaymentState
from bulkpoint.rules.member_names import without_members
from bulkpoint.store.audit import AuditEvent
from bulkpoint.store.call_tally import CallTally, add_up
from bulkpoint.store.campaign import Campaign
from bulkpoint.store.export import ReportedRun, ReportedSample
from bulkpoint.store.progress import Sample
from bulkpoint.store.watched import CallsOfKind
from bulkpoint.views.audit_words import HistoryEntry, story_of
from bulkpoint.views.campaign import CampaignView
from bulkpoint.views.drawing import RatesDrawing
from bulkpoint.views.page import Counted, RunLine, draw_runs, run_line
from bulkpoint.views.progress import Progress, notes

QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


@dataclass(frozen=True)
class Deadline:
    """Whether a run will be done by `at`. late_s: by how many seconds it misses it, None where that is not known."""

    at: datetime
    late_s: float | None

    @property
    def is_late(self) -> bool:
        return self.late_s is not None and self.late_s > 0


class Outcomes(NamedTuple):
    """Calls that came to the same."""

    method: str
    outcome: str
    calls: int


@dataclass(frozen=True)
class Latency:
    """Milliseconds until an answer: of a part of the calls, by its name, and the mean. calls: how many these are of."""

    calls: int
    mean_ms: float
    parts: dict[str, Quantile]


@dataclass(frozen=True)
class LiveView:
    """What the page of one campaign shows. done: payments with a result. notes: what pauses or slows it.

    happened: what became of its payments, where the state alone would mislead. ends_at: when it will, at this pace.
    rates: None where there is nothing to draw yet.
    """

    campaign: CampaignView
    happened: str | None
    tiles: tuple[Counted, ...]
    done: int
    total: int
    rate: float | None
    left_s: float | None
    ends_at: datetime | None
    deadline: Deadline | None
    notes: tuple[str, ...]
    outcomes: tuple[Outcomes, ...]
    latency: Latency | None
    lately: int
    runs: tuple[RunLine, ...]
    rates: RatesDrawing | None
    history: tuple[HistoryEntry, ...]


def live_view(
    view: CampaignView,
    campaign: Campaign,
    sample: Sample,
    *,
    rate: float | None,
    left_s: float | None,
    calls: Sequence[CallsOfKind],
    tally: Sequence[CallTally],
    runs: Sequence[ReportedRun],
    samples: Sequence[ReportedSample],
    history: Sequence[AuditEvent],
    deadline: datetime | None,
    language: str,
    timezone: str,
) -> LiveView:
    """The view; texts in ko or en, times in them of `timezone`. The newest entry of the history comes first."""
    is_running = sample.state == CampaignState.RUNNING
    tiles = tiles_of(view)
    return LiveView(
        campaign=view,
        happened=view.happened(language),
        tiles=tiles,
        done=view.counts[PaymentState.SUCCESS] + view.counts[PaymentState.FAILED],
        total=view.target_count,
        rate=rate if is_running else None,
        left_s=left_s,
        ends_at=None if left_s is None else sample.at + timedelta(seconds=left_s),
        deadline=None if deadline is None or not is_running else _deadline(deadline, sample.at, left_s),
        notes=tuple(notes(Progress(sample, rate, left_s), timezone, language=language)) if is_running else (),
        outcomes=_outcomes(tally),
        latency=_latency(tally),
        lately=sum(each.count for each in calls),
        runs=tuple(run_line(run, samples, language) for run in runs),
        rates=draw_runs(runs, samples, timezone=timezone),
        history=_history(story_of(campaign, list(history), timezone, language)),
    )


def tiles_of(view: CampaignView) -> tuple[Counted, ...]:
    """Targets, then payments by how they stand; UNKNOWN ones have a place of their own, where there are any."""
    counts, amounts = view.counts, view.amounts
    processing, pending = PaymentState.PROCESSING, PaymentState.PENDING
    return (
        Counted("targets", view.target_count, view.target_amount),
        Counted("success", counts[PaymentState.SUCCESS], amounts[PaymentState.SUCCESS]),
        Counted("failed", view.not_paid, view.not_paid_amount),
        *([Counted("unknown", view.unknown, view.unknown_amount)] if view.unknown else []),
        *([Counted("processing", counts[processing], amounts[processing])] if counts[processing] else []),
        Counted("open", counts[pending], amounts[pending]),
    )


def _history(story: Sequence[HistoryEntry]) -> tuple[HistoryEntry, ...]:
    """The newest first, without the members that a reason names: everybody is shown it."""
    return tuple(replace(each, sentence=without_members(each.sentence)) for each in reversed(story))


def _deadline(at: datetime, now: datetime, left_s: float | None) -> Deadline:
    return Deadline(at, None if left_s is None else left_s - (at - now).total_seconds())


def _outcomes(tally: Sequence[CallTally]) -> tuple[Outcomes, ...]:
    """The most frequent first, payments before look-ups."""
    found = [Outcomes(each.method, each.outcome, each.calls) for each in tally]
    return tuple(sorted(found, key=lambda each: (each.method != "POST", -each.calls, each.outcome)))


def _latency(tally: Sequence[CallTally]) -> Latency | None:
    """Of payments, not of look-ups."""
    posts = [each for each in tally if each.method == "POST"]
    counts, calls = add_up(posts), sum(each.answered for each in posts)
    if not calls:
        return None
    found = {name: quantile(DURATION_BOUNDS_S, counts, part) for name, part in QUANTILES.items()}
    parts = {name: each for name, each in found.items() if each is not None}
    return Latency(calls, 1000 * sum(each.seconds_sum for each in posts) / calls, parts)
