"""A campaign's page for finance: one HTML file with its counts, runs and drawings, to be read, mailed and printed.

Counts and sums only, no member id. What it looks like is in templates/report.html.j2 and templates/page.css.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from bulkpoint.rules.lifecycle import FailureKind, PaymentState
from bulkpoint.rules.member_names import without_members
from bulkpoint.store.campaign import Campaign, Counts, get_campaign, get_counts, refuse_archived
from bulkpoint.store.connect import Connection
from bulkpoint.store.export import (
    AmountCount,
    Failures,
    ReportedRun,
    ReportedSample,
    amount_range,
    count_amounts,
    list_failures,
    list_reported_runs,
    list_samples,
)
from bulkpoint.store.settle import SettledByHand, count_settled_by_hand
from bulkpoint.store.snapshot import one_snapshot
from bulkpoint.views.campaign import CampaignView
from bulkpoint.views.drawing import (
    Bar,
    BarsDrawing,
    Point,
    RatesDrawing,
    Stretch,
    amount_edges,
    draw_bars,
    draw_rates,
)
from bulkpoint.views.end_reasons import reason_in
from bulkpoint.views.export import refuse_unstarted
from bulkpoint.views.languages import words
from bulkpoint.views.sums import REASONS_SHOWN, CampaignSums, read_sums
from bulkpoint.views.templates import render

FAILURES_SHOWN = 20
SAMPLES_SHOWN = 600
# A run whose driver died is closed when it is resumed, possibly hours later: those hours are not drawn.
END_AFTER_SAMPLE_MAX = timedelta(minutes=2)


@dataclass(frozen=True)
class Figures:
    """What the page shows, from one snapshot. amounts: payments between the points in `edges`.

    by_hand: payments that are SUCCESS by a person's word.
    """

    at: datetime
    campaign: Campaign
    counts: Counts
    failures: list[Failures]
    runs: list[ReportedRun]
    samples: list[ReportedSample]
    edges: list[int]
    amounts: list[AmountCount]
    by_hand: SettledByHand
    sums: CampaignSums


def read_figures(connection: Connection, campaign_id: int, *, timezone: str) -> Figures:
    """Eight scans of the campaign's payments; days are of `timezone`.

    Raises RefusedError for a campaign that is unknown or has none yet.
    """
    with one_snapshot(connection):
        campaign = get_campaign(connection, campaign_id)
        refuse_archived(campaign)
        refuse_unstarted(campaign)
        edges = amount_edges(*amount_range(connection, campaign_id))
        return Figures(
            at=datetime.now(UTC),
            campaign=campaign,
            counts=get_counts(connection, campaign),
            failures=list_failures(connection, campaign_id, rows_max=FAILURES_SHOWN),
            runs=list_reported_runs(connection, campaign_id),
            samples=list_samples(connection, campaign_id, samples_max=SAMPLES_SHOWN),
            edges=edges,
            amounts=count_amounts(connection, campaign_id, edges),
            sums=read_sums(connection, campaign_id, timezone=timezone, reasons_max=REASONS_SHOWN),
            by_hand=count_settled_by_hand(connection, campaign_id),
        )


@dataclass(frozen=True)
class Counted:
    """Payments of one state, or FAILED ones of one kind, with their points."""

    name: str
    count: int
    amount: int


@dataclass(frozen=True)
class FailureTable:
    """FAILED payments by kind and code: those that were not paid, or the UNKNOWN ones, which are never among them.

    others: those whose codes are not shown one by one.
    """

    whole: Counted
    shown: list[Failures]
    others: Counted


@dataclass(frozen=True)
class RunLine:
    """A run in the table of runs; None: not known, or the run goes on. done: payments that it ended."""

    run: int
    kind: str
    state: str
    started_at: datetime
    lasted_s: float | None
    done: int | None
    done_a_second: float | None
    actor: str
    reason: str | None


def page_of(figures: Figures, *, language: str, timezone: str) -> str:
    """The whole page; `language` is ko or en, times are of `timezone`."""
    campaign, view = figures.campaign, CampaignView.of(figures.campaign, figures.counts)
    counts = figures.counts
    success = Counted(PaymentState.SUCCESS, counts.success, counts.success_amount)
    failed = Counted(PaymentState.FAILED, counts.not_paid, counts.not_paid_amount)
    unknown = Counted(FailureKind.UNKNOWN, counts.unknown, counts.unknown_amount)
    processing = Counted(PaymentState.PROCESSING, counts.processing, counts.processing_amount)
    pending = Counted(PaymentState.PENDING, counts.pending, counts.pending_amount)
    states = [success, failed, *([unknown] if unknown.count else []), processing, pending]
    book, others = words(language)["workbook"], figures.sums.other_reasons
    return render(
        "report.html.j2",
        language=language,
        timezone=timezone,
        campaign=campaign,
        happened=view.happened(language),
        at=figures.at,
        tiles=[
            Counted("targets", view.target_count, view.target_amount),
            replace(success, name="success"),
            replace(failed, name="failed"),
            *([replace(unknown, name="unknown")] if unknown.count else []),
            *([replace(processing, name="processing")] if processing.count else []),
            replace(pending, name="open"),
        ],
        states=states,
        total=_sum_of(states),
        rates=draw_runs(figures.runs, figures.samples, timezone=timezone),
        runs=[run_line(run, figures.samples, language) for run in figures.runs],
        failures=[_listed(of, figures.failures) for of in (failed, unknown) if of.count],
        failure_kinds=view.failure_kinds,
        by_hand=figures.by_hand,
        amounts=_amounts(figures),
        sums=figures.sums,
        reasons=figures.sums.reasons if others is None else (*figures.sums.reasons, (book["other_reasons"], others)),
        book=book,
    )


def _sum_of(parts: Sequence[Counted | Failures]) -> Counted:
    return Counted("total", sum(part.count for part in parts), sum(part.amount for part in parts))


def _listed(whole: Counted, failures: Sequence[Failures]) -> FailureTable:
    """The codes of the payments that failed, or of those that may have been credited."""
    shown = [each for each in failures if (each.kind == FailureKind.UNKNOWN) == (whole.name == FailureKind.UNKNOWN)]
    listed = _sum_of(shown)
    others = Counted("others", max(0, whole.count - listed.count), max(0, whole.amount - listed.amount))
    return FailureTable(whole, shown, others)


def run_line(run: ReportedRun, samples: Sequence[ReportedSample], language: str) -> RunLine:
    """A run in words of ko or en; samples: of all runs."""
    lasted_s = None if run.finished_at is None else (run.finished_at - run.started_at).total_seconds()
    done = _done_in(run, samples)
    return RunLine(
        run=run.run_no,
        kind=run.kind,
        state=run.state,
        started_at=run.started_at,
        lasted_s=lasted_s,
        done=done,
        done_a_second=done / lasted_s if done is not None and lasted_s else None,
        actor=run.actor,
        reason=None if run.reason is None else reason_in(language, without_members(run.reason)),
    )


def _done_in(run: ReportedRun, samples: Sequence[ReportedSample]) -> int | None:
    last = max((sample.done for sample in samples if sample.run_no == run.run_no), default=None)
    after = run.done_after if run.done_after is not None else last
    return None if after is None or run.done_before is None else max(0, after - run.done_before)


def draw_runs(runs: Sequence[ReportedRun], samples: Sequence[ReportedSample], *, timezone: str) -> RatesDrawing | None:
    """The drawing of all runs with their samples; None where none took time yet."""
    drawn = (_stretch(run, samples) for run in runs)
    stretches = [stretch for stretch in drawn if stretch and stretch.length_s > 0]
    return draw_rates(stretches, timezone=timezone) if stretches else None


def _stretch(run: ReportedRun, samples: Sequence[ReportedSample]) -> Stretch | None:
    points = [
        Point(sample.at, sample.done, sample.tps)
        for sample in samples
        if sample.run_no == run.run_no and sample.at >= run.started_at
    ]
    if not points:
        return None
    first, last = points[0], points[-1]
    if run.done_before is not None:
        points.insert(0, Point(run.started_at, run.done_before, first.tps))
    if run.done_after is not None and run.finished_at and last.at < run.finished_at <= last.at + END_AFTER_SAMPLE_MAX:
        points.append(Point(run.finished_at, run.done_after, last.tps))
    return Stretch(run.run_no, run.kind, points)


def _amounts(figures: Figures) -> BarsDrawing:
    of_edge = {counted.edge: counted for counted in figures.amounts}
    bars = []
    for number, (begin, end) in enumerate(pairwise(figures.edges)):
        counted = of_edge.get(number, AmountCount(number, 0, 0, 0, 0, 0))
        label = f"{begin:,}" if end - begin == 1 else f"{begin:,} – {end - 1:,}"
        bars.append(Bar(f"{label} P", *counted[1:]))
    return draw_bars(bars)
