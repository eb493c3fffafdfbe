"""What payments add up to: of a campaign by reason and day, of a month over all campaigns."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from bulkpoint.rules.days import Days
from bulkpoint.rules.lifecycle import CampaignState, OpenApart
from bulkpoint.store.connect import Connection
from bulkpoint.store.rows import Query

# Reasons that are read at a time; a campaign may have as many as payments.
REASONS_A_BATCH = 10_000


@dataclass(frozen=True)
class Sums(OpenApart):
    """Payments and points by how they ended. UNKNOWN is not among failed: it may have been credited.

    open: without a result. processing: those of the open ones that are perhaps sent; people never see them as a part.
    """

    success: int = 0
    success_amount: int = 0
    failed: int = 0
    failed_amount: int = 0
    unknown: int = 0
    unknown_amount: int = 0
    open: int = 0
    open_amount: int = 0
    processing: int = 0
    processing_amount: int = 0

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(*(ours + theirs for ours, theirs in zip(_figures(self), _figures(other), strict=True)))

    def __sub__(self, other: "Sums") -> "Sums":
        return Sums(*(ours - theirs for ours, theirs in zip(_figures(self), _figures(other), strict=True)))

    @property
    def count(self) -> int:
        """All of them."""
        return self.success + self.failed + self.unknown + self.open

    @property
    def amount(self) -> int:
        """Their points."""
        return self.success_amount + self.failed_amount + self.unknown_amount + self.open_amount


@dataclass(frozen=True, kw_only=True)
class ReasonSums(Sums):
    """Of the payments with one reason."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class DaySums(Sums):
    """Of the payments that ended on day number `day_no` of the days that were asked for."""

    day_no: int


@dataclass(frozen=True, slots=True)
class KindCount:
    """FAILED payments of one kind, with their points."""

    kind: str
    count: int
    amount: int


@dataclass(frozen=True, slots=True)
class ReasonCount:
    """What became SUCCESS for one reason."""

    reason: str
    count: int
    amount: int


class _Between(NamedTuple):
    first: datetime | None
    last: datetime | None


@dataclass(frozen=True)
class MonthCampaign:
    """A campaign that a month may concern. runs: that touched the month; open: not ended by now, in points too.

    processing: those of the open ones that are perhaps sent. archived: its payments are not in the database.
    """

    campaign_id: int
    name: str
    state: CampaignState
    runs: int
    target_count: int
    target_amount: int
    open: int
    open_amount: int
    processing: int
    processing_amount: int
    archived: bool


_KINDS = Query("sum_kinds", KindCount)
_REASONS = Query("sum_reasons", ReasonSums)
_BETWEEN = Query("finished_between", _Between)
_DAYS = Query("sum_days", DaySums)
_MONTH_CAMPAIGNS = Query("month_campaigns", MonthCampaign)
_MONTH_REASONS = Query("month_reasons", ReasonCount)


def sum_kinds(connection: Connection, campaign_id: int) -> list[KindCount]:
    """What FAILED, by kind."""
    return _KINDS.all(connection, campaign_id=campaign_id)


def sum_reasons(connection: Connection, campaign_id: int, *, rows_max: int) -> list[ReasonSums]:
    """The reasons with the most points. One scan of the campaign."""
    return _REASONS.all(connection, campaign_id=campaign_id, rows_max=rows_max)


def finished_between(connection: Connection, campaign_id: int) -> tuple[datetime, datetime] | None:
    """When the first and the last payment ended; None where none has. One scan of the campaign."""
    found = _BETWEEN.one(connection, campaign_id=campaign_id)
    return None if found.first is None or found.last is None else (found.first, found.last)


def sum_days(connection: Connection, campaign_id: int, days: Days) -> list[DaySums]:
    """By the day on which they ended; days without payments are left out. One scan of the campaign."""
    starts = list(days.starts)
    return _DAYS.all(connection, campaign_id=campaign_id, starts=starts, begin=days.begin, end=days.end)


def month_campaigns(connection: Connection, days: Days) -> list[MonthCampaign]:
    """The campaigns of which payments may have ended on these days, oldest first; opens no campaign's payments."""
    return _MONTH_CAMPAIGNS.all(connection, begin=days.begin, end=days.end)


def month_reasons(connection: Connection, campaign_id: int, days: Days) -> Iterator[list[ReasonCount]]:
    """What a campaign paid on these days, by reason, a batch at a time. One scan of it, inside a transaction."""
    between = {"begin": days.begin, "end": days.end}
    return _MONTH_REASONS.batches(connection, REASONS_A_BATCH, campaign_id=campaign_id, **between)


def _figures(sums: Sums) -> tuple[int, ...]:
    return (
        sums.success, sums.success_amount, sums.failed, sums.failed_amount,
        sums.unknown, sums.unknown_amount, sums.open, sums.open_amount,
        sums.processing, sums.processing_amount,
    )  # fmt: skip
