"""How our programs end when they did not do what was asked: one error with a code, whatever was raised.

A job hands that error over to the command that started it as a line of JSON in its log, before the sentence.
"""

import errno
import json
from collections.abc import Sequence
from typing import Any

import click

from bulkpoint import log
from bulkpoint.errors import BulkpointError, FailedError, UnreachableError, UsageError
from bulkpoint.rules.invariants import DefectError
from bulkpoint.rules.refusals import Refusal, from_json, to_json
from bulkpoint.streams import StdoutFailedError, say_on_stderr, say_traceback

# What a path can be, and no defect: nothing we may use, or nothing that is there.
_OF_A_FILE = frozenset(
    (errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO, errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR, errno.EISDIR)
)
HANDED_OVER = "bulkpoint-refusal: "
ENDED_WITHOUT = "not_done"  # the same as an event, of a log in JSON


def error_of(raised: Exception) -> BulkpointError:
    """The error that ends the program: ours as it is, click's as USAGE; anything else is a defect.

    A defect's traceback is printed to stderr, for the log.
    """
    match raised:
        case BulkpointError():
            return raised
        case click.ClickException():
            context = getattr(raised, "ctx", None)
            command = "bulkpoint" if context is None else context.command_path
            why = " ".join(raised.format_message().split())
            return UsageError("USAGE", "see_help", why=why if why.endswith((".", "?")) else f"{why}.", command=command)
        case StdoutFailedError():
            return result_not_written(raised)
        case OSError(errno=errno.ENOSPC | errno.EDQUOT | errno.EFBIG):
            return UnreachableError("DISK_FULL", why=raised.strerror, file=str(raised.filename or "A file"))
        case OSError(errno=number) if number in _OF_A_FILE and raised.filename is not None:
            return UnreachableError("FILE_NOT_ACCESSIBLE", why=raised.strerror, file=str(raised.filename))
    say_traceback(raised)
    lines = str(raised).splitlines() or [""]
    what = lines[0] if isinstance(raised, DefectError) else f"{type(raised).__name__}: {lines[0]}"
    return FailedError("DEFECT", "keep_log", what=what.rstrip(".: "))


def result_not_written(failed: StdoutFailedError) -> UnreachableError:
    """The error of a program that has done what it was asked for and cannot say it on stdout."""
    return UnreachableError("RESULT_NOT_WRITTEN", why=failed.why.strerror)


def end_of_job(error: BulkpointError, *, followed: bool) -> int:
    """Print why a job ends, also for the command that follows it if one does; returns the exit code."""
    from bulkpoint.rules.findings import refusal_without_members  # the command line starts without these
    from bulkpoint.views.sentences import sentence

    refusal = refusal_without_members(error.refusal)  # a log names no member
    packed = to_json(refusal)
    if followed and not log.is_json():
        say_on_stderr(f"{HANDED_OVER}{packed}")
    said = sentence(refusal, timezone=_zone())
    more = {"exit_code": int(error.exit_code), "refusal": packed}
    log.say(said, event=ENDED_WITHOUT, level=log.Level.ERROR, text=f"bulkpoint: {said}", more=more)
    return error.exit_code


def _zone() -> str:
    """The time zone of the settings; UTC if the settings are wrong."""
    from bulkpoint.settings import load_settings

    try:
        return load_settings().timezone
    except BulkpointError:
        return "UTC"


def handed_over(lines: Sequence[str]) -> Refusal | None:
    """The last refusal in a job's log; None if the job ended without one."""
    texts = [line.removeprefix(HANDED_OVER) for line in lines if line.startswith(HANDED_OVER)]
    texts += [event["refusal"] for event in map(_event_of, lines) if event.get("event") == ENDED_WITHOUT]
    return from_json(texts[-1]) if texts else None


def _event_of(line: str) -> dict[str, Any]:
    """A line of a log in JSON; nothing of any other line."""
    try:
        found = json.loads(line) if line.startswith(log.OURS) else {}
    except ValueError:  # cut off
        return {}
    return found if isinstance(found, dict) else {}
