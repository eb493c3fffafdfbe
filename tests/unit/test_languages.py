"""Both languages say the same things: every key, every field, every state and kind that there is."""

import ast
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from string import Formatter
from typing import Any

import pytest

from bulkpoint import files
from bulkpoint.events.message import NOTIFIED_TYPES
from bulkpoint.launch.py_files import build_py_files
from bulkpoint.rules.causes import Cause
from bulkpoint.rules.lifecycle import RUN_ENDS, CampaignState, FailureKind, PaymentState, RunKind
from bulkpoint.rules.troubles import TroubleKind
from bulkpoint.store.reconcile import Kind
from bulkpoint.views.format import duration, state_words
from bulkpoint.views.languages import LANGUAGES, words
from bulkpoint.web.words import web_words


def sentences(table: dict[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    """Each text of a language with the path to it: `failure_kinds.REJECTED.name`."""
    for key, value in table.items():
        if isinstance(value, dict):
            yield from sentences(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value


def fields(sentence: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(sentence) if name is not None}


KOREAN, ENGLISH = (dict(sentences(words(language))) for language in ("ko", "en"))


def test_there_are_as_many_languages_as_files() -> None:
    names = {path.stem for path in Path(files.__file__).parent.glob("views/languages/*.toml")}
    assert names == set(LANGUAGES)


def test_both_languages_have_every_key() -> None:
    assert KOREAN.keys() - ENGLISH.keys() == set(), "only in ko.toml"
    assert ENGLISH.keys() - KOREAN.keys() == set(), "only in en.toml"
    figures = [list(words(language)["message"]["figures"]) for language in LANGUAGES]
    assert figures[0] == figures[1], "their order is that of a message"


def test_the_page_says_the_same_things_in_both_languages() -> None:
    korean, english = (dict(sentences(web_words(language))) for language in LANGUAGES)
    assert korean.keys() - english.keys() == set(), "only in ko.toml"
    assert english.keys() - korean.keys() == set(), "only in en.toml"
    assert {key: fields(korean[key]) for key in korean} == {key: fields(english[key]) for key in korean}
    texts = [*korean.items(), *english.items()]
    assert [key for key, text in texts if not text.strip() or "" in fields(text)] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_says_in_other_words_only_what_the_command_line_says_too(language: str) -> None:
    ours, theirs = web_words(language), words(language)
    for table, said in (("refusals", theirs["errors"] | theirs["parts"]), ("remedies", theirs["remedies"])):
        assert ours[table].keys() - said.keys() == set()
        known = {"cause_words": "cause", "login": "login"}
        added = {key: fields(text) - fields(said[key]) - known.keys() for key, text in ours[table].items()}
        assert {key: names for key, names in added.items() if names} == {}


def test_a_text_has_the_same_fields_in_both_languages() -> None:
    assert {key: fields(KOREAN[key]) for key in KOREAN} == {key: fields(ENGLISH[key]) for key in KOREAN}


def test_every_field_has_a_name_and_every_text_has_words() -> None:
    assert [key for key, text in [*KOREAN.items(), *ENGLISH.items()] if not text.strip() or "" in fields(text)] == []


def test_every_korean_text_is_korean() -> None:
    said = {key: re.sub(r"`[^`]*`|{[^}]*}|TPS", "", text) for key, text in KOREAN.items()}
    latin = {key for key, text in said.items() if re.search("[A-Za-z]{2}", text)}
    assert {key for key in latin if not re.search("[가-힣]", said[key])} == set()


def test_no_text_is_left_that_nothing_shows() -> None:
    package = Path(files.__file__).parent
    sources = " ".join(path.read_text() for suffix in ("py", "j2") for path in package.rglob(f"*.{suffix}"))
    shown = set(re.findall(r"\w+", sources))
    tried = {key for key in ENGLISH if key.startswith("row_rules.")}  # each in turn: views/row_rules.py
    assert {key for key in ENGLISH.keys() - tried if key.rpartition(".")[2] not in shown} == set()


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_state_and_kind_has_its_words(language: str) -> None:
    told = words(language)
    assert told["states"].keys() == set(CampaignState)
    assert told["payment_states"].keys() == set(PaymentState)
    assert told["run_kinds"].keys() == set(RunKind)
    assert told["failure_kinds"].keys() == set(FailureKind)
    assert all(kind.keys() == {"name", "means", "explained"} for kind in told["failure_kinds"].values())
    assert set(PaymentState) - {PaymentState.FAILED} <= told["explanations"].keys(), "a failure kind explains FAILED"
    assert set(RUN_ENDS) <= told["headline"].keys()
    assert set(FailureKind) - {FailureKind.UNKNOWN} <= told["message"]["next"].keys(), "UNKNOWN is reconciled"
    headlines = told["message"].keys() | told["headline"].keys()
    assert {kind.removeprefix("campaign.").upper() for kind in NOTIFIED_TYPES} <= headlines
    assert set(TroubleKind) <= told["alerts"].keys()
    assert told["differences"].keys() == set(Kind)
    assert told["causes"].keys() == set(Cause)


# Words that once stood for a payment without a result, next to "not processed" and 미처리 (docs/glossary.md).
RETIRED = {
    "en": r"\bunpaid\b|\b[Pp]ending\b|payments? (are |is |still )*open\b|\bstill open\b|\bunprocessed\b|left to pay",
    "ko": "남은 지급|남은 건|남아 있는 지급|미지불|미결",
}


def test_there_is_one_word_for_what_is_not_processed_yet() -> None:
    assert {key: text for key, text in ENGLISH.items() if re.search(RETIRED["en"], text)} == {}
    assert {key: text for key, text in KOREAN.items() if re.search(RETIRED["ko"], text)} == {}
    assert [KOREAN[key] for key in ("page.tiles.open", "payment_states.PENDING")] == ["미처리"] * 2, "대기: a campaign"
    assert [ENGLISH[key] for key in ("page.tiles.open", "payment_states.PENDING")] == ["Not processed"] * 2


@pytest.mark.parametrize("room", ["views", "cli"])
def test_commands_print_none_of_the_retired_words(room: str) -> None:
    found: list[tuple[str, str]] = []
    for path in (Path(files.__file__).parent / room).glob("*.py"):
        texts = [node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)]
        found += [(path.name, text) for text in texts if isinstance(text, str) and re.search(RETIRED["en"], text)]
    of_json = "A campaign was stopped; unpaid: payments that are not processed."  # the field is others' contract
    assert [text for _, text in found if not text.startswith(of_json)] == []


def test_what_may_have_been_credited_and_what_was_not_paid_have_one_word_each() -> None:
    unknown = ("failure_kinds.UNKNOWN.name", "page.tiles.unknown")
    assert {KOREAN[key] for key in unknown} == {"확인 필요"}
    assert {ENGLISH[key].lower() for key in unknown} == {"unknown"}
    told = {key: text for key, text in KOREAN.items() if "미지급" in text}
    assert set(told) == {"message.points.not_paid"}, "미지급 is the points of the failed ones, and nothing else"


def test_a_state_is_shown_with_its_korean_word() -> None:
    assert (state_words("RUNNING"), state_words("STOPPED")) == ("RUNNING 진행", "STOPPED 중단")


def test_a_duration_is_the_same_two_units_in_both_languages() -> None:
    assert [duration(seconds, "ko") for seconds in (0.4, 59.6, 1_002, 7_503)] == [
        "0초", "1분 0초", "16분 42초", "2시간 5분",
    ]  # fmt: skip
    assert duration(7_503) == "2 h 5 min"


def test_the_words_are_found_inside_the_zip_that_spark_carries(tmp_path: Path) -> None:
    archive = build_py_files(tmp_path / "bulkpoint.zip")
    inside = zipfile.ZipFile(archive).namelist()
    assert {f"bulkpoint/views/languages/{language}.toml" for language in LANGUAGES} <= set(inside)
    assert [name for name in inside if "__pycache__" in name] == []
    program = f"""
import sys
sys.path.insert(0, {str(archive)!r})
from bulkpoint.views.languages import words
print(words("ko")["states"]["RUNNING"])
"""
    said = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert said.stdout == "진행\n"
