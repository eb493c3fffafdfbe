"""Figures, times and states as people read them."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from bulkpoint.rules.lifecycle import KOREAN, CampaignState


def state_words(state: str) -> str:
    """A campaign's state with the Korean word beside: `RUNNING 진행`."""
    return f"{state} {KOREAN[CampaignState(state)]}"


def duration(seconds: float) -> str:
    """`45 s`, `16 min 42 s`, `2 h 5 min`."""
    minutes, whole_s = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {whole_s} s" if minutes else f"{whole_s} s"


def local_time(moment: datetime, timezone: str) -> str:
    """For text: `2026-01-31 18:00:00`, in the time zone of the settings."""
    return f"{moment.astimezone(ZoneInfo(timezone)):%Y-%m-%d %H:%M:%S}"


def utc_time(moment: datetime | None) -> str | None:
    """For JSON: RFC 3339 in UTC, `2026-01-31T09:00:00.000Z`."""
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
