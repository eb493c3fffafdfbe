"""A workbook is read by a child process: whatever happens to that, the command has one sentence and leaves nothing."""

import io
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bulkpoint.errors import RefusedError
from bulkpoint.intake import workbook, workbook_child
from bulkpoint.intake.form import PLAIN_FORM
from bulkpoint.intake.problems import Problems
from bulkpoint.intake.workbook import open_sheet
from bulkpoint.views.sentences import sentence
from tests.world.lists import make_list
from tests.world.refusals import refused

ABOUT = '{"sheet":"S","others":[],"column":0,"merged":[],"far":null,"errors":[],"hidden":[],"more":0}'
LIST = {"name": "m.xlsx", "sheets": [{"rows": [["member_id", "amount", "reason"], ["m1", 100, "gift"]] * 2}]}


@pytest.fixture
def book(tmp_path: Path) -> Path:
    return make_list(LIST, tmp_path)


def read(path: Path) -> list[object]:
    with path.open("rb") as stream, open_sheet(path, stream, PLAIN_FORM, ("member_id",), Problems()) as sheet:
        return list(sheet.rows())


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("import os; os.abort()", "needs more than 1,024 MB of memory"),
        ("import sys; sys.exit(3)", "needs more than 1,024 MB of memory"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "needs more than 1,024 MB of memory"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGXCPU)", "needs more than 60 s"),
        ("import sys; sys.exit(1)", "cannot be read as a workbook: its reader ended with 1"),
        (f"print('{ABOUT}')", "cannot be read as a workbook: its reader ended with 0"),
        (f"print('{ABOUT}\\n[[\"a\"]]')", "cannot be read as a workbook: its reader ended with 0"),
        ("import time; time.sleep(60)", "needs more than 1 s"),
    ],
)
def test_a_child_that_ends_too_early_is_one_sentence(
    book: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, words: str
) -> None:
    child = tmp_path / "child.py"
    child.write_text(program)
    monkeypatch.setattr(workbook_child, "__file__", str(child))
    if "sleep" in program:
        monkeypatch.setattr(workbook, "WAIT_S_MAX", 1)
    with refused(words):
        read(book)


def test_a_reader_that_stops_early_leaves_no_process(book: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[subprocess.Popen[bytes]] = []

    class Recorded(subprocess.Popen[bytes]):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            begun.append(self)

    monkeypatch.setattr(subprocess, "Popen", Recorded)
    with book.open("rb") as stream, open_sheet(book, stream, PLAIN_FORM, ("member_id",), Problems()) as sheet:
        rows: Iterator[object] = sheet.rows()
        assert next(rows) == (2, ["m1", 100, "gift"])
    assert [child.returncode is not None for child in begun] == [True]


def test_what_unpacks_to_too_much_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workbook_child, "PART_BYTES_MAX", 2**20)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet1.xml", " " * (2**20 + 1))
    with pytest.raises(MemoryError):
        workbook_child._refuse_bomb(stream)


def test_a_module_in_the_persons_folder_is_not_taken_for_one_of_ours(
    book: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit(9)")
    monkeypatch.chdir(tmp_path)
    assert len(read(book)) == 3


def test_a_sheet_that_is_marked_as_full_of_errors_is_refused(
    book: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = tmp_path / "child.py"
    child.write_text(f"""print('{ABOUT.replace('"more":0', '"more":7')}\\n[["a"]]\\nnull')""")
    monkeypatch.setattr(workbook_child, "__file__", str(child))
    with pytest.raises(RefusedError) as caught:
        read(book)
    assert "more cells with an error" in sentence(caught.value)
