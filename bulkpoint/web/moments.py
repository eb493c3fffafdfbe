"""Times and row numbers as a page gets them: from a form's field for a time, and from the address of a next page."""

from datetime import UTC, datetime

from bulkpoint.errors import UsageError
from bulkpoint.rules.numbers import BIGINT_MAX
from bulkpoint.views.times import parse_time
from bulkpoint.web.form import Form

MOMENT_CHARACTERS_MAX = 40


def moment(form: Form, name: str, *, timezone: str) -> datetime | None:
    """A time as a browser's field writes it, `2026-01-31T18:00`, of `timezone`; None where nothing was typed."""
    text = form.text(name, most=MOMENT_CHARACTERS_MAX)
    if not text:
        return None
    found = moment_of(text, timezone)
    if found is None:
        raise UsageError("FORM_NOT_A_TIME", field=form.label(name), given=text)
    return found


def moment_of(text: str | None, timezone: str) -> datetime | None:
    """The same from a text; None for anything that is no time, and for nothing."""
    if not text:
        return None
    try:
        return parse_time(text.strip(), option="", timezone=timezone, now=datetime.now(UTC))
    except UsageError:
        return None


def later(text: str | None) -> int | None:
    """The row number behind which a next page goes on; None where the address has none."""
    if text is None or not (text.isascii() and text.isdecimal() and len(text) <= 19):
        return None
    return min(int(text), BIGINT_MAX)
