"""The sums of a campaign that is archived, from what the database kept of it; the figures of store/sums.py."""

from collections.abc import Iterator
from datetime import datetime

from bulkpoint.rules.days import Days
from bulkpoint.rules.lifecycle import FailureKind, PaymentState
from bulkpoint.store.archive import ArchivedSum, list_archived_sums
from bulkpoint.store.connect import Connection
from bulkpoint.store.sums import DaySums, ReasonCount, ReasonSums, Sums


class ArchivedSums:
    """Read once, and added up in several ways. Exact for every time zone that is whole quarters of an hour from UTC."""

    def __init__(self, connection: Connection, campaign_id: int) -> None:
        self._rows = list_archived_sums(connection, campaign_id)

    def reasons(self, *, rows_max: int) -> list[ReasonSums]:
        """The reasons with the most points, as sum_reasons."""
        by_reason: dict[str, Sums] = {}
        for row in self._rows:
            if row.reason is not None:
                by_reason[row.reason] = by_reason.get(row.reason, Sums()) + _sums_of(row)
        biggest = sorted(by_reason.items(), key=lambda item: (-item[1].amount, item[0]))[:rows_max]
        return [ReasonSums(reason=reason, **vars(sums)) for reason, sums in biggest]

    def finished_between(self) -> tuple[datetime, datetime] | None:
        """On the days of the first and the last payment that ended; None where none has."""
        ended = [row.ended_from for row in self._rows if row.ended_from is not None]
        return (min(ended), max(ended)) if ended else None

    def days(self, days: Days) -> list[DaySums]:
        """By the day on which they ended, as sum_days."""
        by_day: dict[int, Sums] = {}
        for day_no, row in self._ended_on(days):
            by_day[day_no] = by_day.get(day_no, Sums()) + _sums_of(row)
        return [DaySums(day_no=day_no, **vars(by_day[day_no])) for day_no in sorted(by_day)]

    def paid_reasons(self, days: Days) -> tuple[list[ReasonCount], ReasonCount]:
        """What became SUCCESS on these days, by reason, as month_reasons; and for all reasons that were not kept."""
        by_reason: dict[str | None, tuple[int, int]] = {None: (0, 0)}
        for _, row in self._ended_on(days):
            if row.state == PaymentState.SUCCESS:
                count, amount = by_reason.get(row.reason, (0, 0))
                by_reason[row.reason] = count + row.count, amount + row.amount
        named = [ReasonCount(reason, *paid) for reason, paid in by_reason.items() if reason is not None]
        return sorted(named, key=lambda paid: paid.reason), ReasonCount("", *by_reason[None])

    def _ended_on(self, days: Days) -> Iterator[tuple[int, ArchivedSum]]:
        day_no = 0
        for row in self._rows:  # in the order of their time, those without one last
            if row.ended_from is None or row.ended_from >= days.end:
                return
            if row.ended_from >= days.begin:
                while days.starts[day_no + 1] <= row.ended_from:
                    day_no += 1
                yield day_no, row


def _sums_of(row: ArchivedSum) -> Sums:
    if row.state == PaymentState.SUCCESS:
        return Sums(success=row.count, success_amount=row.amount)
    if row.failure_kind == FailureKind.UNKNOWN:
        return Sums(unknown=row.count, unknown_amount=row.amount)
    if row.state == PaymentState.FAILED:
        return Sums(failed=row.count, failed_amount=row.amount)
    return Sums(open=row.count, open_amount=row.amount)
