"""A month over all campaigns, for finance: what became SUCCESS in it, by campaign, day and reason; no member.

A payment belongs to the month in which it ended, in the time zone of the settings. Few campaigns are opened at a time:
a statement over all of them would lock each one's tables and indexes, and ten thousand campaigns are more than a
server has locks for. So the figures are of several snapshots; of a month that is over only `reconcile`, `payment
settle` and a retry change any.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Self

from bulkpoint.errors import RefusedError, UsageError
from bulkpoint.rules.days import Days, days_of_month
from bulkpoint.rules.lifecycle import CampaignState
from bulkpoint.store.archived_sums import ArchivedSums
from bulkpoint.store.connect import Connection
from bulkpoint.store.snapshot import one_snapshot
from bulkpoint.store.sums import (
    DaySums,
    MonthCampaign,
    ReasonCount,
    Sums,
    month_campaigns,
    month_reasons,
    sum_days,
)
from bulkpoint.text import escaped
from bulkpoint.views.format import aligned, cut, state_words
from bulkpoint.views.sums import REASON_WIDTH, DaySumsView, SumsView, sums_table
from bulkpoint.views.view import Moment, Screen, View

# Campaigns of one snapshot: six locks each.
CAMPAIGNS_A_SNAPSHOT = 20
# Reasons that are counted one by one, some 20 MB; whatever comes after them is counted among the others.
REASONS_COUNTED_MAX = 100_000


@dataclass(frozen=True)
class Paid:
    """Payments that became SUCCESS, with their points."""

    count: int = 0
    amount: int = 0

    def __add__(self, other: "Paid") -> "Paid":
        return Paid(self.count + other.count, self.amount + other.amount)


@dataclass(frozen=True)
class Month:
    """The figures of one month. at: the first moment of them; is_over: the month had ended by then.

    campaigns: with what ended in the month; open is what is not processed now. reasons: those with the most points;
    other_reasons: None where these are all.
    """

    month: str
    timezone: str
    days_of: Days
    at: datetime
    campaigns: tuple[tuple[MonthCampaign, Sums], ...]
    days: tuple[tuple[date, Sums], ...]
    reasons: tuple[tuple[str, Paid], ...]
    other_reasons: Paid | None

    @property
    def is_over(self) -> bool:
        return self.days_of.end <= self.at

    @property
    def total(self) -> Sums:
        """Of all campaigns."""
        return sum((sums for _, sums in self.campaigns), Sums())


def read_month(connection: Connection, month: str, *, timezone: str, reasons_max: int) -> Month:
    """Two scans of each campaign that the month may concern, a few campaigns at a time.

    Raises UsageError for what is no month, RefusedError for one that has not begun.
    """
    try:
        days = days_of_month(month, timezone)
    except ValueError as error:
        raise UsageError("MONTH_NOT_UNDERSTOOD", given=month) from error
    at = datetime.now(UTC)
    if at < days.begin:
        raise RefusedError("MONTH_NOT_BEGUN", month=month, begins_at=days.begin)
    counted = _Counted()
    campaigns = []
    candidates = month_campaigns(connection, days)
    for first in range(0, len(candidates), CAMPAIGNS_A_SNAPSHOT):
        with one_snapshot(connection):
            for campaign in candidates[first : first + CAMPAIGNS_A_SNAPSHOT]:
                sums = _count(connection, campaign, days, counted)
                if campaign.runs or sums.count:
                    now = Sums(
                        open=campaign.open,
                        open_amount=campaign.open_amount,
                        processing=campaign.processing,
                        processing_amount=campaign.processing_amount,
                    )
                    campaigns.append((campaign, sums + now))
    reasons, others = counted.most(reasons_max)
    return Month(
        month=month,
        timezone=timezone,
        days_of=days,
        at=at,
        campaigns=tuple(campaigns),
        days=tuple((days.days[day_no], counted.days[day_no]) for day_no in sorted(counted.days)),
        reasons=reasons,
        other_reasons=others if others.count else None,
    )


@dataclass
class _Counted:
    """What was counted so far over the campaigns: by day number, by reason, and what came after too many reasons."""

    days: dict[int, Sums] = field(default_factory=dict)
    reasons: dict[str, Paid] = field(default_factory=dict)
    others: Paid = field(default_factory=Paid)

    def add_days(self, days: Iterable[DaySums]) -> Sums:
        """Count what ended on each day; returns what it comes to."""
        total = Sums()
        for found in days:
            self.days[found.day_no] = self.days.get(found.day_no, Sums()) + found
            total += found
        return total

    def add_reasons(self, some: Iterable[ReasonCount]) -> None:
        """Count what was paid for each reason."""
        for reason in some:
            paid = Paid(reason.count, reason.amount)
            if reason.reason in self.reasons or len(self.reasons) < REASONS_COUNTED_MAX:
                self.reasons[reason.reason] = self.reasons.get(reason.reason, Paid()) + paid
            else:
                self.others += paid

    def most(self, rows_max: int) -> tuple[tuple[tuple[str, Paid], ...], Paid]:
        """The reasons with the most points, and what all others come to."""
        by_points = sorted(self.reasons.items(), key=lambda item: (-item[1].amount, item[0]))
        return tuple(by_points[:rows_max]), sum((paid for _, paid in by_points[rows_max:]), self.others)


def _count(connection: Connection, campaign: MonthCampaign, days: Days, counted: _Counted) -> Sums:
    if campaign.archived:
        kept = ArchivedSums(connection, campaign.campaign_id)
        named, others = kept.paid_reasons(days)
        counted.add_reasons(named)
        counted.others += Paid(others.count, others.amount)
        return counted.add_days(kept.days(days))
    total = counted.add_days(sum_days(connection, campaign.campaign_id, days))
    if total.success:
        for some in month_reasons(connection, campaign.campaign_id, days):
            counted.add_reasons(some)
    return total


class MonthCampaignView(SumsView):
    """What of a campaign ended in the month; open: what is not processed now. runs: those that touched the month."""

    campaign_id: int
    name: str
    state: CampaignState
    runs: int
    target_count: int
    target_amount: int

    @classmethod
    def of(cls, campaign: MonthCampaign, sums: Sums) -> Self:
        """The view of a campaign in a month."""
        return cls.model_validate(vars(campaign) | vars(sums))


class PaidView(View):
    """Payments that became SUCCESS in the month, with their points."""

    count: int
    amount: int


class ReasonPaidView(PaidView):
    """Of one reason."""

    reason: str


class MonthView(View):
    """A month over all campaigns: the payments that ended in it, by `timezone`. at: the moment of these figures.

    is_over: whether the month had ended by then. total: of all campaigns. days: those on which a payment ended.
    reasons: those with the most points; other_reasons: of all others, null where there are none.
    """

    printed_by = ("report",)

    month: str
    timezone: str
    begins_at: Moment
    ends_at: Moment
    at: Moment
    is_over: bool
    campaigns: list[MonthCampaignView]
    total: SumsView
    days: list[DaySumsView]
    reasons: list[ReasonPaidView]
    other_reasons: PaidView | None

    @classmethod
    def of(cls, month: Month) -> Self:
        """The view of `report --month`."""
        others = month.other_reasons
        return cls(
            month=month.month,
            timezone=month.timezone,
            begins_at=month.days_of.begin,
            ends_at=month.days_of.end,
            at=month.at,
            is_over=month.is_over,
            campaigns=[MonthCampaignView.of(*each) for each in month.campaigns],
            total=SumsView.model_validate(month.total),
            days=[DaySumsView.of(*each) for each in month.days],
            reasons=[ReasonPaidView(reason=reason, **vars(paid)) for reason, paid in month.reasons],
            other_reasons=None if others is None else PaidView(**vars(others)),
        )

    def as_text(self, screen: Screen) -> Iterator[str]:  # noqa: ARG002
        yield f"{self.month} ({self.timezone}): what ended in it, and what is not processed now"
        named = [(f"{each.campaign_id}  {each.name}", each) for each in self.campaigns]
        yield from sums_table("CAMPAIGN", [*named, ("total", self.total)])
        yield from self._states()
        yield from sums_table("DAY", [(str(each.day), each) for each in self.days])
        paid = [(cut(escaped(each.reason), REASON_WIDTH), each.count, each.amount) for each in self.reasons]
        if self.other_reasons is not None:
            paid.append(("(others)", self.other_reasons.count, self.other_reasons.amount))
        if paid:
            rows = [(reason, f"{count:,}", f"{amount:,}") for reason, count, amount in paid]
            yield ""
            yield from aligned([("REASON", "SUCCESS", "POINTS"), *rows], left=("REASON",))

    def _states(self) -> Sequence[str]:
        rows = []
        for each in self.campaigns:
            targets = (f"{each.target_count:,}", f"{each.target_amount:,}")
            rows.append((str(each.campaign_id), state_words(each.state), str(each.runs), *targets))
        return ["", *aligned([("ID", "STATE", "RUNS", "TARGETS", "POINTS"), *rows], left=("STATE",))] if rows else []

    def remarks(self) -> Iterable[str]:
        if not self.campaigns:
            yield f"No campaign had a run in {self.month}."
        if not self.is_over:
            yield f"{self.month} is not over: these are the figures so far."
