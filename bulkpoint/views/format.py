"""Figures, times and states as people read them."""

from collections.abc import Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from bulkpoint.views.languages import phrase

_CUT = "..."


def state_words(state: str) -> str:
    """A campaign's state followed by the Korean word: `RUNNING 진행`."""
    return f"{state} {phrase('ko', f'states.{state}')}"


def standing_words(state: str, *, stopping: bool) -> str:
    """The same; for a run that a person has stopped, and whose last answers still come in, that too."""
    return state_words(state) + (f" (stopping {phrase('ko', 'stopping.words')})" if stopping else "")


def duration(seconds: float, language: str = "en") -> str:
    """The two largest units: `45 s`, `16 min 42 s`, `2 h 5 min`."""
    minutes, whole_s = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    form = "hours_minutes" if hours else "minutes_seconds" if minutes else "seconds"
    return phrase(language, f"units.{form}", hours=hours, minutes=minutes, seconds=whole_s)


def share(part: int, whole: int) -> str:
    """`12.3 %`; 0 and 100 only for none and for all of them."""
    if not whole:
        return "-"
    if 0 < part < whole and not 0.05 <= 100 * part / whole < 99.95:
        return "< 0.1 %" if part < whole - part else "> 99.9 %"
    return f"{100 * part / whole:.1f} %"


def local_time(moment: datetime, timezone: str) -> str:
    """For text: `2026-01-31 18:00:00`, in the time zone of the settings."""
    return f"{moment.astimezone(ZoneInfo(timezone)):%Y-%m-%d %H:%M:%S}"


def utc_time(moment: datetime | None) -> str | None:
    """For JSON: RFC 3339 in UTC, `2026-01-31T09:00:00.000Z`."""
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def aligned(rows: Sequence[tuple[str, ...]], *, left: tuple[str, ...]) -> list[str]:
    """Columns under their heads, figures to the right; states end in two Korean characters or none, so count cells."""
    from rich.cells import cell_len  # here: executors make sentences, and do not have rich

    widths = [max(cell_len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        padded = []
        for head, value, width in zip(rows[0], row, widths, strict=True):
            space = " " * (width - cell_len(value))
            padded.append(value + space if head in left else space + value)
        lines.append("  ".join(padded).rstrip())
    return lines


def cut(text: str, room: int) -> str:
    """What of a text fits into `room` cells of a terminal, with `...` where that is not all."""
    from rich.cells import cell_len, set_cell_size

    return text if cell_len(text) <= room else set_cell_size(text, room - len(_CUT)).rstrip() + _CUT
