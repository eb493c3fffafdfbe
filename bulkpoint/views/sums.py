"""What a campaign's payments add up to: by how they ended, by reason and by day; for people and for programs."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial
from typing import Annotated, Self

from bulkpoint.rules.days import Days, days_of
from bulkpoint.rules.lifecycle import CampaignState, FailureKind
from bulkpoint.store.archived_sums import ArchivedSums
from bulkpoint.store.campaign import Campaign, Counts, get_campaign, get_counts
from bulkpoint.store.connect import Connection
from bulkpoint.store.export import ReportedRun, list_reported_runs
from bulkpoint.store.settle import SettledByHand, count_settled_by_hand
from bulkpoint.store.sums import DaySums, KindCount, Sums, finished_between, sum_days, sum_kinds, sum_reasons
from bulkpoint.text import escaped
from bulkpoint.views.export import refuse_unstarted
from bulkpoint.views.format import aligned, cut, local_time, state_words
from bulkpoint.views.view import NOT_IN_JSON, Moment, Screen, View

# Each payment may have a reason of its own: these have the most points, the others are one line.
REASONS_SHOWN = 20
REASONS_IN_A_WORKBOOK = 1_000
# Cells of a terminal's line that a reason or a name may have.
REASON_WIDTH = 40
_HEADS = tuple(
    head
    for outcome in ("SUCCESS", "FAILED", "UNKNOWN", "NOT PROCESSED", "PERHAPS SENT")
    for head in (outcome, "POINTS")
)


@dataclass(frozen=True)
class CampaignSums:
    """A campaign's sums from one snapshot, at a moment; days in the time zone and in UTC, each with its sums.

    other_reasons: of the payments whose reasons are not among `reasons`; None where all are. by_hand: of the SUCCESS
    ones, those that are so by a person's word.
    """

    at: datetime
    timezone: str
    campaign: Campaign
    total: Sums
    kinds: tuple[KindCount, ...]
    reasons: tuple[tuple[str, Sums], ...]
    other_reasons: Sums | None
    days: tuple[tuple[date, Sums], ...]
    utc_days: tuple[tuple[date, Sums], ...]
    runs: tuple[ReportedRun, ...]
    by_hand: SettledByHand


def read_sums(connection: Connection, campaign_id: int, *, timezone: str, reasons_max: int) -> CampaignSums:
    """Four scans of the campaign's payments, inside one_snapshot; of an archived one, its sums are read.

    Raises RefusedError for a campaign that is unknown or has no payments yet.
    """
    campaign = get_campaign(connection, campaign_id)
    refuse_unstarted(campaign)
    total = _total(get_counts(connection, campaign))
    kept = None if campaign.archived_at is None else ArchivedSums(connection, campaign_id)
    by_reason = (
        kept.reasons(rows_max=reasons_max) if kept else sum_reasons(connection, campaign_id, rows_max=reasons_max)
    )
    reasons = tuple((found.reason, found) for found in by_reason)
    others = total - sum((sums for _, sums in reasons), Sums())
    between = kept.finished_between() if kept else finished_between(connection, campaign_id)
    in_days = kept.days if kept else partial(sum_days, connection, campaign_id)
    return CampaignSums(
        at=datetime.now(UTC),
        timezone=timezone,
        campaign=campaign,
        total=total,
        kinds=tuple(sum_kinds(connection, campaign_id)),
        reasons=reasons,
        other_reasons=others if others.count else None,
        days=_days(in_days, between, timezone),
        utc_days=_days(in_days, between, "UTC"),
        runs=tuple(list_reported_runs(connection, campaign_id)),
        by_hand=count_settled_by_hand(connection, campaign_id),
    )


def _total(counts: Counts) -> Sums:
    return Sums(
        success=counts.success,
        success_amount=counts.success_amount,
        failed=counts.not_paid,
        failed_amount=counts.not_paid_amount,
        unknown=counts.unknown,
        unknown_amount=counts.unknown_amount,
        open=counts.pending + counts.processing,
        open_amount=counts.pending_amount + counts.processing_amount,
        processing=counts.processing,
        processing_amount=counts.processing_amount,
    )


def _days(
    in_days: Callable[[Days], list[DaySums]], between: tuple[datetime, datetime] | None, timezone: str
) -> tuple[tuple[date, Sums], ...]:
    if between is None:
        return ()
    days = days_of(*between, timezone)
    return tuple((days.days[found.day_no], found) for found in in_days(days))


class SumsView(View):
    """Payments and points by how they ended. UNKNOWN is not among failed: it may have been credited.

    open: those that have no result. processing: those of the open ones that are perhaps sent.
    """

    success: int
    success_amount: int
    failed: int
    failed_amount: int
    unknown: int
    unknown_amount: int
    open: int
    open_amount: int
    processing: int
    processing_amount: int

    def figures(self) -> tuple[str, ...]:
        """Under _HEADS."""
        return tuple(
            f"{figure:,}"
            for figure in (
                self.success, self.success_amount, self.failed, self.failed_amount,
                self.unknown, self.unknown_amount,
                self.open - self.processing, self.open_amount - self.processing_amount,
                self.processing, self.processing_amount,
            )
        )  # fmt: skip


class ReasonSumsView(SumsView):
    """Of the payments with one reason."""

    reason: str

    @classmethod
    def of(cls, reason: str, sums: Sums) -> Self:
        """The view of one reason's sums."""
        return cls.model_validate(vars(sums) | {"reason": reason})


class DaySumsView(SumsView):
    """Of the payments that ended on one day: YYYY-MM-DD."""

    day: date

    @classmethod
    def of(cls, day: date, sums: Sums) -> Self:
        """The view of one day's sums."""
        return cls.model_validate(vars(sums) | {"day": day})


class KindView(View):
    """FAILED payments of one kind, with their points."""

    kind: FailureKind
    count: int
    amount: int


class ReportView(View):
    """What a campaign's payments add up to. at: the moment of these figures; digest: of its list, hexadecimal.

    runs: how many. reasons: those with the most points; other_reasons: of all others, null where there are none. days:
    by the day, in `timezone`, on which a payment ended; utc_days: the same by the day in UTC.
    """

    printed_by = ("report",)

    campaign_id: int
    name: str
    state: CampaignState
    at: Moment
    timezone: str
    digest: str | None
    runs: int
    total: SumsView
    failure_kinds: list[KindView]
    reasons: list[ReasonSumsView]
    other_reasons: SumsView | None
    days: list[DaySumsView]
    utc_days: list[DaySumsView]
    archive_place: Annotated[str | None, NOT_IN_JSON] = None

    @classmethod
    def of(cls, sums: CampaignSums) -> Self:
        """The view of `report ID`."""
        campaign = sums.campaign
        return cls(
            campaign_id=campaign.campaign_id,
            name=campaign.name,
            state=campaign.state,
            at=sums.at,
            timezone=sums.timezone,
            digest=campaign.digest.hex() if campaign.digest else None,
            runs=len(sums.runs),
            total=SumsView.model_validate(sums.total),
            failure_kinds=[KindView.model_validate(kind) for kind in sums.kinds],
            reasons=[ReasonSumsView.of(*each) for each in sums.reasons],
            other_reasons=None if sums.other_reasons is None else SumsView.model_validate(sums.other_reasons),
            days=[DaySumsView.of(*each) for each in sums.days],
            utc_days=[DaySumsView.of(*each) for each in sums.utc_days],
            archive_place=campaign.archive_place,
        )

    def as_text(self, screen: Screen) -> Iterator[str]:
        at = local_time(self.at, screen.timezone)
        yield f"campaign {self.campaign_id}  {escaped(self.name)}  {state_words(self.state)}"
        yield f"as of {at} ({self.timezone}), runs: {self.runs}"
        yield from sums_table("ALL", [("total", self.total)])
        if self.failure_kinds:
            rows = [(each.kind.value, f"{each.count:,}", f"{each.amount:,}") for each in self.failure_kinds]
            yield ""
            yield from aligned([("KIND", "COUNT", "POINTS"), *rows], left=("KIND",))
        others = [] if self.other_reasons is None else [("(others)", self.other_reasons)]
        yield from sums_table("REASON", [*((each.reason, each) for each in self.reasons), *others])
        yield from sums_table(f"DAY ({self.timezone})", [(str(each.day), each) for each in self.days])
        yield from sums_table("DAY (UTC)", [(str(each.day), each) for each in self.utc_days])

    def remarks(self) -> Iterable[str]:
        if self.archive_place is not None:
            return [f"Payment by payment: the files in {escaped(self.archive_place)} (docs/database.md)"]
        return [f"Payment by payment: `bulkpoint report {self.campaign_id} --format xlsx --out FILE.xlsx`"]


def sums_table(head: str, rows: Sequence[tuple[str, SumsView]]) -> Iterator[str]:
    """Lines with what each row adds up to, after an empty one; a pair of columns without a figure is left out."""
    if not rows:
        return
    figures = [_HEADS, *(sums.figures() for _, sums in rows)]
    columns = [n for n in range(len(_HEADS)) if n < 2 or any(row[n - n % 2] != "0" for row in figures[1:])]
    names = [head, *(cut(escaped(name), REASON_WIDTH) for name, _ in rows)]
    yield ""
    table = [(name, *(row[n] for n in columns)) for name, row in zip(names, figures, strict=True)]
    yield from aligned(table, left=(head,))
