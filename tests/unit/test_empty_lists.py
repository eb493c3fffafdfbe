"""Lists that are given out to be filled in are read back as they are, in each language and form."""

from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import pytest

from bulkpoint.intake.problems import Problems
from bulkpoint.intake.target_file import TargetFile
from bulkpoint.views.empty_lists import empty_csv, empty_workbook
from bulkpoint.views.languages import LANGUAGES
from tests.world.refusals import refused

FILLED = [("00123", 1_000, "설 이벤트"), ("m-2", 25_000, "사과")]


def fill_workbook(empty: bytes) -> bytes:
    """As a person does it in a spreadsheet: the cells keep the format of their column, and text stays text."""
    rows = "".join(
        f'<row r="{row}"><c r="A{row}" t="inlineStr"><is><t>{member}</t></is></c><c r="B{row}"><v>{points}</v></c>'
        f'<c r="C{row}" t="inlineStr"><is><t>{why}</t></is></c></row>'
        for row, (member, points, why) in enumerate(FILLED, 2)
    )
    filled = BytesIO()
    with ZipFile(BytesIO(empty)) as given, ZipFile(filled, "w") as made:
        for name in given.namelist():
            part = given.read(name).decode()
            made.writestr(name, part.replace("</sheetData>", f"{rows}</sheetData>"))
    return filled.getvalue()


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("ending", ["csv", "xlsx"])
def test_a_list_that_was_given_out_and_filled_in_is_read(tmp_path: Path, language: str, ending: str) -> None:
    file = tmp_path / f"list.{ending}"
    if ending == "csv":
        given = empty_csv(language)
        assert given.startswith(b"\xef\xbb\xbf"), "Excel would not know that it is UTF-8"
        file.write_bytes(given + "".join(f"{m},{points},{why}\r\n" for m, points, why in FILLED).encode())
    else:
        file.write_bytes(fill_workbook(empty_workbook(language)))
    problems = Problems()
    rows = [(member, int(points), why) for _, member, points, why in TargetFile(file).rows(problems)]
    assert (rows, problems.count) == (FILLED, 0)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("ending", ["csv", "xlsx"])
def test_one_that_nobody_filled_in_has_no_rows(tmp_path: Path, language: str, ending: str) -> None:
    file = tmp_path / f"list.{ending}"
    file.write_bytes(empty_csv(language) if ending == "csv" else empty_workbook(language))
    with refused("", code="FILE_WITHOUT_ROWS"):
        list(TargetFile(file).rows(Problems()))


def test_the_names_of_another_language_are_taken_all_together_or_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "list.csv"
    file.write_text("회원 번호,지급 포인트,reason\nm1,1,r\n")
    with refused("the column 'member_id' is missing"):
        list(TargetFile(file).rows(Problems()))
