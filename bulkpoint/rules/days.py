"""Calendar days and months of a time zone, as moments: a day is 23 or 25 hours long where clocks change."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

# Further away lies no payment, only a mistyped year.
YEARS = range(1970, 3000)


@dataclass(frozen=True)
class Days:
    """Consecutive days; day i begins at starts[i] and ends before starts[i + 1]. starts: in UTC, one more than days."""

    days: tuple[date, ...]
    starts: tuple[datetime, ...]

    @property
    def begin(self) -> datetime:
        """The first moment of the first day."""
        return self.starts[0]

    @property
    def end(self) -> datetime:
        """The first moment after the last day."""
        return self.starts[-1]


def days_of(first: datetime, last: datetime, timezone: str) -> Days:
    """The days from that of the moment `first` to that of `last`."""
    zone = ZoneInfo(timezone)
    return _days(first.astimezone(zone).date(), last.astimezone(zone).date() + timedelta(days=1), zone)


def days_of_month(month: str, timezone: str) -> Days:
    """The days of a month like `2026-11`. Raises ValueError for what is none."""
    found = re.fullmatch(r"([0-9]{4})-([0-9]{2})", month)
    if found is None or int(found[1]) not in YEARS:
        raise ValueError(month)
    first = date(int(found[1]), int(found[2]), 1)
    return _days(first, (first + timedelta(days=31)).replace(day=1), ZoneInfo(timezone))


def _days(first: date, end: date, zone: ZoneInfo) -> Days:
    days = tuple(first + timedelta(days=n) for n in range((end - first).days))
    # Where clocks change at midnight, the first moment that has the new date.
    starts = tuple(datetime.combine(day, time.min, zone).astimezone(UTC) for day in (*days, end))
    return Days(days, starts)
