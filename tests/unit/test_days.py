"""Days and months of a time zone as moments, also where clocks change."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkpoint.rules.days import days_of, days_of_month

# Clocks change at midnight, by half an hour, or by a whole day.
ZONES = st.sampled_from(
    ["Asia/Seoul", "UTC", "America/New_York", "Asia/Beirut", "America/Havana", "Australia/Lord_Howe", "Pacific/Apia"]
)
MOMENTS = st.datetimes(datetime(2000, 1, 1), datetime(2037, 1, 1), timezones=st.just(UTC))


@given(first=MOMENTS, seconds=st.integers(0, 40 * 86_400), part=st.floats(0, 1), timezone=ZONES)
def test_a_moment_is_in_the_day_that_its_clock_shows(first: datetime, seconds: int, part: float, timezone: str) -> None:
    last = first + timedelta(seconds=seconds)
    days = days_of(first, last, timezone)
    assert days.begin <= first
    assert last < days.end
    moment = first + part * (last - first)
    shown = moment.astimezone(ZoneInfo(timezone)).date()
    [day] = [day for n, day in enumerate(days.days) if days.starts[n] <= moment < days.starts[n + 1]]
    assert day == shown


def test_a_month_begins_and_ends_at_midnight_of_its_time_zone() -> None:
    days = days_of_month("2026-11", "Asia/Seoul")
    assert (days.days[0], days.days[-1], len(days.days)) == (date(2026, 11, 1), date(2026, 11, 30), 30)
    assert days.begin == datetime(2026, 10, 31, 15, tzinfo=UTC)
    assert days.end == datetime(2026, 11, 30, 15, tzinfo=UTC)
    assert days_of_month("2026-12", "UTC").end == datetime(2027, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "text", ["", "2026", "2026-13", "2026-00", "2026-1", "11-2026", "2026-11-01", "0001-01", "２０２６-11"]
)
def test_what_is_no_month_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (the caller has its own words)
        days_of_month(text, "UTC")
