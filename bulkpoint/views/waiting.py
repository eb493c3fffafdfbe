"""What a run waits for, in words of both languages."""

from datetime import UTC, datetime
from typing import Self

from bulkpoint.rules.answers import Outcome
from bulkpoint.rules.patience import Waiting, WaitsFor
from bulkpoint.text import escaped
from bulkpoint.views.format import local_time
from bulkpoint.views.languages import phrase, words
from bulkpoint.views.view import Moment, View

# Where no cause and no status say more, the outcome does.
_SAID_BY_OUTCOME = (Outcome.THROTTLED, Outcome.TIMED_OUT, Outcome.LOST, Outcome.UNREADABLE, Outcome.NOT_CONNECTED)


class WaitingView(View):
    """What a RUNNING run waits for: a code, since and until when, and the sentence that people see.

    code: the cause where a call failed, or the money API's own code; status: its HTTP status.
    """

    what: WaitsFor
    since: Moment
    until: Moment | None
    url: str | None
    code: str | None
    status: int | None
    sentence: str

    @classmethod
    def of(cls, waiting: Waiting, *, timezone: str = "UTC", language: str = "en") -> Self:
        """The view of what is waited for; times in the sentence are of `timezone`."""
        return cls(
            what=waiting.what,
            since=_moment(waiting.since),
            until=None if waiting.until is None else _moment(waiting.until),
            url=waiting.url,
            code=waiting.code,
            status=waiting.status,
            sentence=waiting_words(waiting, language=language, timezone=timezone),
        )


def waiting_words(waiting: Waiting, *, language: str, timezone: str) -> str:
    """One line without a full stop: `money cannot be reached at http://... (connection refused)`."""
    facts = {
        "url": escaped(waiting.url or ""),
        "until": "" if waiting.until is None else local_time(_moment(waiting.until), timezone).partition(" ")[2],
        "why": _why(waiting, language),
    }
    return phrase(language, f"waiting.{waiting.what}", **facts)


def _why(waiting: Waiting, language: str) -> str:
    """The cause in words, the HTTP status, what was asked: what is known of it."""
    say = words(language)
    parts = []
    if waiting.retry_after_s is not None and waiting.what is WaitsFor.MONEY_ASKED:
        parts.append(f"Retry-After {waiting.retry_after_s:.0f} s")
    if waiting.status is not None:
        parts.append(f"HTTP {waiting.status}")
    cause = say.get("causes", {}).get(waiting.code)
    if cause is None and waiting.outcome in _SAID_BY_OUTCOME and (waiting.status is None or waiting.code is None):
        cause = say["outcomes"][waiting.outcome]
    if cause is not None:
        parts.append(cause)
    elif waiting.code is not None:
        parts.append(escaped(waiting.code))
    return ", ".join(parts) or phrase(language, "outcomes.NO_ANSWER")


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
