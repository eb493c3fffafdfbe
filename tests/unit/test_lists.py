"""Every list of tests/lists/ gives what is written there; any other file gives rows or a refusal, and nothing else."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from bulkpoint.campaigns.create import check_targets
from bulkpoint.errors import BulkpointError, RefusedError, UsageError
from bulkpoint.intake.form import ListForm
from bulkpoint.intake.problems import Problems
from bulkpoint.intake.target_file import COLUMNS, TargetFile
from bulkpoint.rules.findings import FileFindings
from bulkpoint.rules.readiness import NO_LIMITS
from bulkpoint.views.sentences import sentence
from tests.world.lists import make_list, workbook

LISTS = Path(__file__).parents[1] / "lists"


@pytest.mark.timeout(20)  # a list that is no file must not make anybody wait
@pytest.mark.parametrize("described", sorted(LISTS.glob("*.toml")), ids=lambda path: path.stem)
def test_a_list_gives_what_is_written(described: Path, tmp_path: Path) -> None:
    wanted = tomllib.loads(described.read_text(encoding="utf-8"))
    gives = wanted["gives"]
    path = make_list(wanted, tmp_path)
    said: list[str] = []
    form = ListForm.of_options(ours=COLUMNS, **wanted.get("options", {}))
    file = TargetFile(path, form, lambda read: said.append(sentence(read)))
    findings = FileFindings()
    korean = ""
    try:
        check_targets(file, NO_LIMITS, None, findings)
        rows: list[Any] = [list(row) for row in file.rows(Problems())]
        refusal = ""
    except BulkpointError as error:
        rows, refusal = [], sentence(error)
        korean = sentence(error, language="ko")
    assert [words for words in gives.get("refused", ()) if words not in refusal] == [], refusal
    assert rows == gives.get("rows", []), refusal
    assert said == gives.get("said", said)
    assert bool(korean) == bool(refusal), "every refusal has its Korean words"
    assert "not_said" not in gives or gives["not_said"] not in refusal
    if rows:
        found = {str(each.name): [each.examples[0].row, each.examples[0].value] for each in findings.found()}
        assert found == {name: [row, repr(value)] for name, (row, value) in gives.get("findings", {}).items()}


def refusal_of(file: TargetFile) -> BulkpointError | None:
    """Why a file is refused; None where it is not. Anything else than rows or a refusal comes through."""
    try:
        check_targets(file, NO_LIMITS, None, FileFindings())
    except (RefusedError, UsageError) as error:
        return error
    return None


HEADER = b"member_id,amount,reason\n"
# What decides how a file is read, and what breaks rows, so that a few bytes reach far.
PIECES = st.sampled_from(
    [HEADER, b"m1,100,gift\n", b'"', b",", b";", b"\t", b"\r", b"\n", b"\0", b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf",
     b"PAR1", b"PK\x03\x04", b"PK\x05\x06", b"\x1f\x8b", bytes.fromhex("d0cf11e0a1b11ae1"), b"<html>", b"{\"",
     "봄".encode(), "봄".encode("cp949"), "가,1,나\n".encode("utf-16-le"), b"\xed\xa0\x80", b"\xf4\x90\x80\x80"]
)  # fmt: skip
BYTES = st.binary(max_size=200) | st.lists(PIECES | st.binary(max_size=8), max_size=30).map(b"".join)
FORMS = st.builds(
    ListForm,
    encoding=st.sampled_from([None, "utf-8", "cp949", "utf-16"]),
    delimiter=st.sampled_from([None, ",", "\t", ";", "|", "^", " "]),
)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=BYTES, form=FORMS)
@example(content=HEADER + b'm1,1,"' + b"x\n" * 100_000, form=ListForm())
@example(content=b"x" * 300_000, form=ListForm())
@example(content=("x" * 300_000).encode("utf-16"), form=ListForm())
@example(content=b"\xff\xfe\x00\xd8", form=ListForm())
def test_any_bytes_give_rows_or_a_refusal(content: bytes, form: ListForm, tmp_path: Path) -> None:
    path = tmp_path / "members.csv"
    path.write_bytes(content)
    refusal = refusal_of(TargetFile(path, form))
    assert refusal is None or sentence(refusal)


WORKBOOK = workbook([{"rows": [["member_id", "amount", "reason"], ["m1", 100, "gift"], [7, 1.5, True]]}])
CHANGES = st.lists(st.tuples(st.integers(0, len(WORKBOOK) - 1), st.integers(0, 255)), max_size=6)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=CHANGES, length=st.integers(0, len(WORKBOOK)) | st.just(len(WORKBOOK)))
def test_a_damaged_workbook_gives_rows_or_a_refusal(
    changes: list[tuple[int, int]], length: int, tmp_path: Path
) -> None:
    damaged = bytearray(WORKBOOK)
    for place, byte in changes:
        damaged[place] = byte
    path = tmp_path / "members.xlsx"
    path.write_bytes(damaged[:length])
    refusal = refusal_of(TargetFile(path))
    assert refusal is None or sentence(refusal)
