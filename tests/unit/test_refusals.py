"""Every code that the program refuses by has its words in both languages, its facts, its line in docs/errors.md."""

import json
import re
import sys
from collections.abc import Iterator
from typing import Any

import click
import pytest

from bulkpoint.cli.main import bulkpoint, main
from bulkpoint.errors import ExitCode
from bulkpoint.views.error_docs import DOCS, EXITS, Site, document, fields, sites, texts
from bulkpoint.views.languages import LANGUAGES, words

SITES = list(sites())
TEXTS = texts()
PARTS = words("en")["parts"]
ERRORS = words("en")["errors"]
REMEDIES = words("en")["remedies"]


@pytest.fixture(scope="module")
def made() -> str:
    return document()


def test_the_document_is_the_one_that_the_code_makes(made: str) -> None:
    told = (DOCS / "errors.md").read_text(encoding="utf-8")
    assert told == made, "run `python -m bulkpoint.views.error_docs`"


def test_the_document_lists_every_code_once_with_its_exit_code(made: str) -> None:
    listed = re.findall(r"^\| `([A-Z0-9_]+)` \| ([2-6](?:, [2-6])*) \|", made, re.M)
    assert [code for code, _ in listed] == sorted(ERRORS)


def wrong_with(site: Site) -> str | None:
    """What a place that refuses lacks; none where it lacks nothing."""
    if site.code not in ERRORS.keys() | PARTS.keys():
        return "the code has no sentence"
    if site.kind != "Refusal" and site.code not in ERRORS:
        return "a part is raised as an error"
    if unknown := [name for name in site.remedies or () if name not in REMEDIES]:
        return f"there is no remedy {', '.join(unknown)}"
    if site.facts is None:  # they come by way of a variable: tests/conftest.py has each error said that a test meets
        return None
    said = [
        text
        for tables in map(words, LANGUAGES)
        for text in (
            tables["errors"].get(site.code) or tables["parts"][site.code],
            *(tables["remedies"][name] for name in site.remedies or ()),
        )
    ]
    missing = set().union(*map(fields, said)) - site.facts
    return f"not among the facts: {', '.join(sorted(missing))}" if missing else None


def test_every_place_that_refuses_has_its_words_and_gives_their_facts() -> None:
    assert len(SITES) > 100, "they are found"
    assert {f"{site.place} {site.code}": wrong for site in SITES if (wrong := wrong_with(site))} == {}


def test_every_code_and_remedy_of_the_languages_is_used_somewhere() -> None:
    assert [code for code in [*ERRORS, *PARTS] if code not in TEXTS] == []
    assert [name for name in REMEDIES if name not in TEXTS] == []


def test_no_code_is_an_error_and_a_part() -> None:
    assert not ERRORS.keys() & PARTS.keys()
    assert all(re.fullmatch("[A-Z][A-Z0-9]*(_[A-Z0-9]+)*", code) for code in [*ERRORS, *PARTS])


def test_no_error_is_made_of_a_sentence() -> None:
    """Of a code that stands there, of a variable, or of another refusal: never of text made on the spot."""
    assert [site for site in SITES if not re.fullmatch("[A-Z0-9_]+", site.code)] == []
    assert all(EXITS[site.kind] != ExitCode.DONE for site in SITES)


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name)


@pytest.mark.parametrize("command", list(commands(bulkpoint)), ids=" ".join)
def test_a_command_line_that_cannot_be_is_one_object_a_code_and_exit_2(
    command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["bulkpoint", *command, "--no-such-option", "--json"])
    monkeypatch.setattr("bulkpoint.cli.main.raise_on_signals", lambda: None)
    with pytest.raises(SystemExit) as ended:
        main()
    stdout, stderr = capsys.readouterr()
    printed: dict[str, Any] = json.loads(stdout)
    assert (ended.value.code, list(printed)) == (ExitCode.USAGE, ["error"])
    assert printed["error"]["code"] == "USAGE"
    assert printed["error"]["facts"]["command"] == " ".join(("bulkpoint", *command))
    assert stderr == f"bulkpoint: {printed['error']['message']}\n"
    assert "--no-such-option" in stderr
