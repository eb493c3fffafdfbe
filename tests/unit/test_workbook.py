"""A report as .xlsx: what a spreadsheet reads is what the payments are, whatever people wrote."""

import errno
import io
import re
import tempfile
import zipfile
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from xml.etree import ElementTree
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from python_calamine import CalamineWorkbook

from bulkpoint.rules.lifecycle import RunKind, RunState
from bulkpoint.store.export import PaymentRow, ReportedRun
from bulkpoint.store.settle import SettledByHand
from bulkpoint.store.sums import KindCount, Sums
from bulkpoint.views import workbook
from bulkpoint.views.export import Totals
from bulkpoint.views.sums import CampaignSums
from bulkpoint.views.workbook import NAMES, Exported, write_xlsx
from tests.unit.test_page import CAMPAIGN

SENT_AT = datetime(2026, 1, 31, 15, 0, 0, 250_000, tzinfo=UTC)
ROW = PaymentRow(
    12, "00123", 1_500, "설날", "SUCCESS", "t-1", None, None, None, 1, SENT_AT, SENT_AT + timedelta(seconds=1)
)
SUMS = CampaignSums(
    at=SENT_AT,
    timezone="Asia/Seoul",
    campaign=replace(CAMPAIGN, name="=1+1"),
    total=Sums(1, 10**15 - 1, 2, 200, 3, 2**63 - 1, 4, 400),
    kinds=(KindCount("UNKNOWN", 3, 300),),
    reasons=(("=HYPERLINK(1)", Sums(1, 1_500)),),
    other_reasons=Sums(0, 0, 2, 200),
    days=((date(2026, 2, 1), Sums(1, 1_500)),),
    utc_days=((date(2026, 1, 31), Sums(1, 1_500)),),
    runs=(ReportedRun(1, RunKind.INITIAL, RunState.COMPLETED, None, "kim", SENT_AT, None, 0, 1),),
    by_hand=SettledByHand(1, 700),
)
EXPORTED = Exported("김정산", "kim", "@감사", failed_only=False)
HEADS = 2
TEXTS = st.text(
    st.one_of(
        st.characters(codec="utf-8", exclude_characters="\0"), st.sampled_from("=+-@\t\r\n\x01\x1f<&>_x05FD'\" ")
    ),
    min_size=1,
    max_size=40,
)


def written(
    *batches: list[PaymentRow], language: str = "ko", sums: CampaignSums = SUMS, exported: Exported = EXPORTED
) -> tuple[bytes, Totals]:
    stream = io.BytesIO()
    totals = write_xlsx(batches, stream, sums, exported, language=language)
    return stream.getvalue(), totals


def sheets_of(content: bytes) -> dict[str, list[list[Any]]]:
    book = CalamineWorkbook.from_filelike(io.BytesIO(content))
    return {name: book.get_sheet_by_name(name).to_python(skip_empty_area=False) for name in book.sheet_names}


def rows_of(content: bytes) -> list[dict[str, Any]]:
    found = sheets_of(content)
    return [dict(zip(NAMES, row, strict=True)) for name in list(found)[1:] for row in found[name][HEADS:]]


def decoded(text: str) -> str:
    """calamine leaves two of the characters that XML does not have as they are written."""
    return re.sub("_xFFF([EF])_", lambda found: chr(int(f"FFF{found[1]}", 16)), text)


@settings(deadline=None)
@example(member="<r>a & b</r>", reason="<r><t>1</t></r>", name="_x005F_x0041_")
@example(member="a\x01", reason="\ufffe", name=" <b>\r\n")
@given(member=TEXTS, reason=TEXTS, name=TEXTS)
def test_any_text_is_read_as_it_was_written(member: str, reason: str, name: str) -> None:
    sums = replace(SUMS, campaign=replace(CAMPAIGN, name=name), reasons=((reason, Sums(1, 1_500)),))
    exported = Exported(member, name, reason, failed_only=True)
    content, _ = written(
        [ROW._replace(member_id=member, reason=reason, failure_code=name)], sums=sums, exported=exported
    )
    [row] = rows_of(content)
    read = [decoded(row[of]) for of in ("member_id", "reason", "failure_code")]
    assert read == [decoded(text) for text in (member, reason, name)]
    first = [decoded(str(cell)) for line in sheets_of(content)["합계"] for cell in line]
    assert {decoded(text) for text in (member, reason, name)} <= set(first)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for name in archive.namelist():
            ElementTree.fromstring(archive.read(name))


@pytest.mark.parametrize(
    "text",
    [
        "00123",
        "123456789012345678",
        "1E5",
        "=x",
        "-001",
        "https://a.b",
        "TRUE",
        "2026-01-01",
        "_x0041_",
        "_x005F_x0041_",
    ],
)
def test_an_id_stays_the_text_that_it_is(text: str) -> None:
    content, _ = written([ROW._replace(member_id=text, transaction_id=text)])
    [row] = rows_of(content)
    assert (row["member_id"], row["transaction_id"]) == (text, text)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert [name for name in archive.namelist() if b"<f>" in archive.read(name)] == [], "no formula anywhere"


@pytest.mark.parametrize("text", [" a", "a ", "\n=1+1", "a\tb"])
def test_space_in_a_text_is_said_to_be_kept(text: str) -> None:
    content, _ = written([ROW._replace(reason=text)])
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert f'<t xml:space="preserve">{text}</t>' in archive.read("xl/worksheets/sheet2.xml").decode()


def test_amounts_and_times_are_what_a_spreadsheet_computes_with() -> None:
    content, _ = written([ROW._replace(amount=10**12)])
    [row] = rows_of(content)
    assert row["amount"] == 10**12
    for name, moment in (("first_sent_at", ROW.first_sent_at), ("finished_at", ROW.finished_at)):
        assert moment is not None
        assert abs(row[name].replace(tzinfo=UTC) - moment) < timedelta(milliseconds=1)
        local = row[f"{name}_local"].replace(tzinfo=ZoneInfo("Asia/Seoul"))
        assert abs(local - moment) < timedelta(milliseconds=1)
    assert (row["failure_kind"], row["settled_by_hand"]) == ("", "")


@pytest.mark.parametrize(
    ("language", "sheets", "label"), [("ko", ["합계", "내역"], "회원 번호"), ("en", ["Totals", "Payments"], "Member")]
)
def test_labels_are_of_the_language_and_names_below_them_of_none(language: str, sheets: list[str], label: str) -> None:
    content, _ = written([ROW], language=language)
    found = sheets_of(content)
    assert list(found) == sheets
    labels, names = found[sheets[1]][:HEADS]
    assert labels[1] == label
    assert tuple(names) == NAMES
    assert NAMES[: len(PaymentRow._fields)] == PaymentRow._fields


def test_the_sums_come_first_and_say_whose_list_they_are_of_and_who_took_it_out() -> None:
    content, _ = written([ROW])
    lines = ["|".join(str(cell) for cell in row if cell != "") for row in sheets_of(content)["합계"]]
    for line in (
        "캠페인|=1+1", "상태|STOPPED 중단", "이 파일의 내역|1건 (1개 시트)",
        "기준 시각 (UTC)|2026-01-31T15:00:00.250Z",
        "내보낸 사람|김정산", "데이터베이스 로그인|kim", "내보낸 사유|@감사",
        f"명단 지문(SHA-256)|{bytes(32).hex()}",
        "성공|1.0|999999999999999.0", "실패|2.0|200.0", "확인 필요|3.0|9,223,372,036,854,775,807", "미처리|4.0|400.0",
        "확인 필요 UNKNOWN|3.0|300.0",
    ):  # fmt: skip
        assert line in lines, line
    assert any(re.search("손으로|수기|사람", line) and "700" in line for line in lines), "those settled by hand"
    assert any(line.startswith("15자리를 넘는 수는") for line in lines)
    assert any(line.startswith("=HYPERLINK(1)|1.0|1500.0") for line in lines)
    assert any(line.startswith("2026-02-01|1.0|1500.0") for line in lines), "by the day in Seoul"
    assert any(line.startswith("2026-01-31|1.0|1500.0") for line in lines), "by the day in UTC"


def test_rows_that_do_not_fit_go_on_on_another_sheet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workbook, "SHEET_ROWS_MAX", 5)
    rows = [ROW._replace(member_id=f"m{n}") for n in range(7)]
    content, totals = written(rows[:4], rows[4:])
    found = sheets_of(content)
    assert {name: len(lines) for name, lines in list(found.items())[1:]} == {"내역": 5, "내역 2": 5, "내역 3": 3}
    assert [row["member_id"] for row in rows_of(content)] == [row.member_id for row in rows]
    assert totals.sheets == 3
    assert any("7건 (3개 시트)" in row for row in found["합계"])


def test_a_sheet_is_no_larger_than_every_reader_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workbook, "SHEET_BYTES_MAX", 1)
    content, totals = written([ROW], [ROW])
    assert totals.sheets == 2
    assert len(rows_of(content)) == 2


def test_a_report_without_a_row_has_its_sums_and_a_head() -> None:
    content, totals = written()
    assert list(sheets_of(content)) == ["합계", "내역"]
    assert rows_of(content) == []
    assert totals.sheets == 1


def test_the_head_stays_in_sight_and_can_be_filtered() -> None:
    content, _ = written([ROW])
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        sheet = archive.read("xl/worksheets/sheet2.xml").decode()
    assert '<pane ySplit="2"' in sheet
    assert '<autoFilter ref="A2:' in sheet
    assert 'numberStoredAsText="1"' in sheet, "no green corner at each id"


def test_no_file_is_made_beside_the_report(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a temporary file")

    for name in ("mkstemp", "mkdtemp", "TemporaryFile", "NamedTemporaryFile"):
        monkeypatch.setattr(tempfile, name, refuse)
    content, _ = written([ROW._replace(member_id=f"m{n}") for n in range(500)])
    assert len(rows_of(content)) == 500


class Full(io.RawIOBase):
    """A disk with so much room."""

    def __init__(self, room: int) -> None:
        self.room = room

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.room -= len(data)
        if self.room < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return len(data)


@pytest.mark.parametrize("room", [0, 100, 1_000, 3_000, 8_000])
def test_a_full_disk_is_named_wherever_it_is_met(room: int) -> None:
    rows = [ROW._replace(member_id=f"{n * 7919 % 104729:x}") for n in range(2_000)]
    with pytest.raises(OSError, match="No space left"):
        write_xlsx([rows], Full(room), SUMS, EXPORTED, language="ko")  # type: ignore[arg-type]
