"""The log of a program that runs by itself: job, relay, notifier, agent, page. Lines for people, or JSON for machines.

A JSON line is one object: time (RFC 3339, UTC), level, event, campaign, run, message. No line has a secret or a member.
Where it cannot be written it is dropped, as every line for people is.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Literal

from bulkpoint import streams

LogFormat = Literal["text", "json"]

# How a line of ours begins: whoever passes on other programs' lines knows ours by it.
OURS = '{"time": "'
_PREFIX, _WARNING = "bulkpoint: ", "warning: "


class Level(StrEnum):
    """How bad it is."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class _Log:
    """What this process's log is like, and what it is about."""

    as_json = False
    about: Mapping[str, int | None] = {"campaign": None, "run": None}


def use(form: LogFormat) -> None:
    """From now on every line that this process says on stderr has this form."""
    _Log.as_json = form == "json"
    streams.form_lines(_of_plain if _Log.as_json else None)


def is_json() -> bool:
    """Whether lines are JSON."""
    return _Log.as_json


def about(*, campaign: int | None = None, run: int | None = None) -> None:
    """Of which campaign, and which of its runs, this process's lines are from now on."""
    _Log.about = {"campaign": campaign, "run": run}


def say(
    message: str,
    *,
    event: str,
    level: Level = Level.INFO,
    campaign: int | None = None,
    run: int | None = None,
    text: str | None = None,
    more: Mapping[str, Any] | None = None,
) -> None:
    """One event. event: its stable name. text: how it reads for people, where that is not the message.

    campaign, run: where they are others than this process's lines are about. more: further fields of the JSON.
    """
    if not _Log.as_json:
        streams.say_on_stderr(message if text is None else text)
        return
    where = {"campaign": campaign, "run": run} if campaign is not None else _Log.about
    streams.write_on_stderr(line_of(message, event=event, level=level, **where, **(more or {})))


def line_of(message: str, *, event: str, level: Level = Level.INFO, **more: Any) -> str:
    """The JSON of one event, in one line of ASCII."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    begins = {"time": now, "level": level, "event": event, "campaign": None, "run": None}
    return json.dumps(begins | more | {"message": message})


def _of_plain(line: str) -> str:
    """A line that was said in passing."""
    message, level = line.removeprefix(_PREFIX), Level.INFO
    if message.startswith(_WARNING):
        message, level = message.removeprefix(_WARNING), Level.WARNING
    return line_of(message, event="note", level=level, **_Log.about)
