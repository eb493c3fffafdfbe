"""Times as people type them."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from bulkpoint.errors import UsageError


def parse_time(text: str, *, option: str, timezone: str, now: datetime) -> datetime:
    """`2026-01-31T18:00`, `2026-01-31 18:00:30`, either with an offset or Z, or `18:00`: the next one.

    A time without an offset is in `timezone`. Raises UsageError for anything else.
    """
    zone = ZoneInfo(timezone)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = _next(text, option, now.astimezone(zone))
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone)
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise UsageError("TIME_OUT_OF_RANGE", option=option, given=text) from error


def _next(text: str, option: str, now: datetime) -> datetime:
    try:
        clock = datetime.strptime(text, "%H:%M").time()
    except ValueError as error:
        raise UsageError("NOT_A_TIME", "write_coming_time", option=option, given=text) from error
    moment = datetime.combine(now.date(), clock, tzinfo=now.tzinfo)
    return moment if moment > now else moment + timedelta(days=1)
