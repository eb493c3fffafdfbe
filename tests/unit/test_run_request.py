"""A run that is asked for is one value, whose options are the same on every command line of a start."""

from typing import Any

import click
import pytest

from bulkpoint.campaigns.run_request import RunRequest, StartOption
from bulkpoint.cli.running import start
from bulkpoint.errors import UsageError
from bulkpoint.launch.command_line import read_request, submit
from bulkpoint.rules.lifecycle import FailureKind, RunKind
from bulkpoint.store.progress import RetrySelection
from tests.world.refusals import refused

DIGEST = "3f9a0c21b7de"
LINE = ["--digest", DIGEST, "--force", "--same-as", "7", "--reason", '사과, "오늘"\n지금']
READ: dict[str, Any] = {"digest": DIGEST, "force": True, "same_as": 7, "reason": '사과, "오늘"\n지금'}


def test_the_options_of_a_start_are_the_marked_fields_on_each_of_its_command_lines() -> None:
    marked = {
        f"--{name.replace('_', '-')}": field.description
        for name, field in RunRequest.model_fields.items()
        if any(isinstance(mark, StartOption) for mark in field.metadata)
    }
    assert marked.keys() == {"--accept", "--digest", "--force", "--same-as", "--reason"}
    for command in (start, submit):
        context = click.Context(command)
        helps = {option.opts[0]: getattr(option, "help", None) for option in command.get_params(context)}
        assert marked.items() <= helps.items(), command.name


def test_both_command_lines_of_a_start_read_the_same() -> None:
    by_start = start.make_context("start", ["5", *LINE]).params
    by_submit = read_request(["5", *LINE])
    assert {name: by_start[name] for name in READ} == READ
    assert {name: getattr(by_submit, name) for name in READ} == READ
    assert by_start["campaign"] == by_submit.campaign == 5


@pytest.mark.parametrize(
    "request_",
    [
        RunRequest(campaign="next", actor="kim"),
        RunRequest(campaign=5, actor="김\u2028", followed=True, **READ),
        RunRequest(
            campaign=5,
            actor="kim",
            kind=RunKind.RETRY,
            reason="r",
            selection=RetrySelection((FailureKind.UNKNOWN, FailureKind.REJECTED), "CODE_5", beyond_limit=True),
        ),
    ],
    ids=["next", "start", "retry"],
)
def test_a_request_is_the_same_after_its_way_as_json(request_: RunRequest) -> None:
    document = request_.to_json()
    assert document.isascii(), "whatever the locale of the JVM that hands it on"
    assert "\n" not in document
    assert RunRequest.from_json(document) == request_
    assert read_request(["--request", document]) == request_


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ("{", "Invalid JSON"),
        ('{"campaign": 3}', "actor: Field required"),
        ('{"campaign": "last", "actor": "kim"}', "campaign"),
        ('{"campaign": 3, "actor": "kim", "forced": true}', "forced: Extra inputs"),
        ('{"campaign": 3, "actor": "kim", "force": true}', "--force needs --reason"),
    ],
)
def test_another_document_is_refused(document: str, why: str) -> None:
    with refused(why, UsageError):
        RunRequest.from_json(document)


def test_a_line_without_a_campaign_is_wrong_usage() -> None:
    with refused(r"Missing argument 'ID\|next'", UsageError):
        read_request(["--yes"])
    with refused("'x' is no campaign", UsageError):
        read_request(["x"])
    with refused("cannot detach", UsageError):
        read_request(["3", "--detach"])
