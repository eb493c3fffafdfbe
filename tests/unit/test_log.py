"""The log of a program that runs by itself: lines for people, or one JSON object for each event."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from bulkpoint import log
from bulkpoint.errors import RefusedError
from bulkpoint.launch.ends import end_of_job, handed_over
from bulkpoint.streams import say_on_stderr, say_traceback

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    yield
    log.use("text")
    log.about()


def events(written: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in written.splitlines()]


def test_text_is_as_it_was(capsys: Capture) -> None:
    log.use("text")
    log.say("published 3 events", event="published", more={"published": 3})
    log.say("x", event="y", text="bulkpoint: x")
    assert capsys.readouterr().err == "published 3 events\nbulkpoint: x\n"


def test_json_is_one_object_a_line_with_what_it_is_about(capsys: Capture) -> None:
    log.use("json")
    log.about(campaign=5, run=2)
    log.say("사과\n\u2028", event="published", level=log.Level.WARNING, more={"published": 3})
    log.say("of another", event="taken", campaign=6)
    written = capsys.readouterr().err
    first, second = events(written)
    assert list(first)[:5] == ["time", "level", "event", "campaign", "run"]
    assert first["time"].endswith("Z")
    told = {"level": "warning", "event": "published", "campaign": 5, "run": 2, "published": 3}
    assert first.items() >= (told | {"message": "사과\n\u2028"}).items()
    assert (second["campaign"], second["run"]) == (6, None)
    assert written.startswith(log.OURS)


def test_what_is_said_in_passing_is_an_event_too(capsys: Capture) -> None:
    log.use("json")
    say_on_stderr("bulkpoint: warning: the disk is old")
    say_traceback(ValueError("two\nlines"))
    warning, trace = events(capsys.readouterr().err)
    assert (warning["event"], warning["level"], warning["message"]) == ("note", "warning", "the disk is old")
    assert "two\nlines" in trace["message"]


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_job_hands_its_refusal_over_in_either_form(capsys: Capture, form: log.LogFormat) -> None:
    log.use(form)
    error = RefusedError("CAMPAIGN_UNKNOWN", "list_campaigns", campaign_id=3)
    assert end_of_job(error, followed=True) == 3
    written = ["chatter", *capsys.readouterr().err.splitlines(), log.OURS + "cut off"]
    assert handed_over(written) == error.refusal
