"""docs/json.md says what the commands print with --json, and every command with a result prints it."""

import json
from collections.abc import Iterator
from typing import Any

import click
import pytest

from bulkpoint.cli.main import bulkpoint
from bulkpoint.errors import RefusedError
from bulkpoint.views.json_docs import DOCS, ErrorView, document, printed, schema, schema_text
from bulkpoint.views.sentences import error_fields
from bulkpoint.views.view import Line, View

# These print no result: they stay, or what they write is itself a file or a page.
WITHOUT = {"agent", "demo", "metrics", "notify", "sandbox serve", "web"}


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield " ".join((*path, name)), command


def test_the_documents_are_those_that_the_views_make() -> None:
    remedy = "run `python -m bulkpoint.views.json_docs`"
    assert (DOCS / "json.md").read_text(encoding="utf-8") == document(), remedy
    assert (DOCS / "json.schema.json").read_text(encoding="utf-8") == schema_text(), remedy


def test_every_command_that_has_a_result_prints_it_as_json() -> None:
    with_json = {name for name, command in commands(bulkpoint) if any("--json" in one.opts for one in command.params)}
    assert with_json == printed().keys()
    assert {name for name, _ in commands(bulkpoint)} - with_json == WITHOUT


def test_every_view_that_a_command_prints_has_lines_for_people() -> None:
    for command, views in printed().items():
        for view in views if command != "campaign watch" else ():  # its text is drawn over the last one
            missing = view.as_line is Line.as_line if issubclass(view, Line) else view.as_text is View.as_text
            assert not missing, f"{command}: {view.__name__} has no text"


def test_there_is_one_option_json_and_no_command_takes_an_argument_for_it() -> None:
    for name, command in commands(bulkpoint):
        for one in command.params:
            assert "--json" not in one.opts or not one.expose_value, name


@pytest.mark.parametrize(
    ("view", "fields"),
    [
        ("CampaignDetail", "campaign_id name state target_count target_amount counts amounts failure_kinds runs"),
        ("RunView", "run kind state reason actor started_at finished_at"),
        ("LimitView", "tps shares in_use reason until set_by"),
        ("CampaignCreated", "campaign_id"),
    ],
)
def test_what_other_programs_rely_on_has_these_fields_and_no_others(view: str, fields: str) -> None:
    found: dict[str, Any] = schema()["$defs"][view]
    assert list(found["properties"]) == fields.split()
    assert found["required"] == fields.split(), "each is there, as null where there is nothing to say"


def test_a_refusal_is_as_the_document_says() -> None:
    printed = error_fields(RefusedError("CAMPAIGN_UNKNOWN", "list_campaigns", campaign_id=3))
    assert ErrorView.model_validate(printed).as_object() == json.loads(json.dumps(printed))
