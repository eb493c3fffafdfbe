"""A campaign's payments as .xlsx: the sums on the first sheet, then the rows, on as many sheets as they need.

XlsxWriter makes the workbook, with a first row on each sheet of rows that says how the columns look; the rows are put
into these sheets as they come, straight into the ZIP. So there are no temporary files, whose size would be that of the
unpacked sheets (some 600 MB for a million rows), memory does not grow, and it takes a quarter of the time.
"""

import io
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import IO, Any, BinaryIO, Self
from zipfile import ZIP_DEFLATED, ZipFile
from zoneinfo import ZoneInfo

from xlsxwriter.utility import xl_col_to_name

from bulkpoint.rules.invariants import invariant
from bulkpoint.store.export import PaymentRow
from bulkpoint.views.export import COLUMNS, Totals, names_of
from bulkpoint.views.format import state_words, utc_time
from bulkpoint.views.languages import phrase
from bulkpoint.views.sheets import (
    HEAD_LOOK,
    POINTS,
    TEXT,
    TIME,
    TIME_WIDTH,
    NewWorkbook,
    Sheet,
    outcomes_of,
    print_wide,
    text_xml,
)
from bulkpoint.views.sums import CampaignSums

# What a sheet of Excel can have; the first two rows are the head.
SHEET_ROWS_MAX = 1_048_576
HEAD_ROWS = 2
# From 2 GiB on a ZIP's entry has another form, which not every program reads.
SHEET_BYTES_MAX = 2_000_000_000
# Compressed a third less than by the fastest level, at a tenth more time; the levels after it take far longer.
COMPRESSION = 5
_TIMES = [number for number, column in enumerate(COLUMNS) if column.kind is datetime]
# The columns are those of the other formats; then the times once more, in the time zone.
NAMES = (*(column.name for column in COLUMNS), *(f"{COLUMNS[number].name}_local" for number in _TIMES))
_FORMS = {column.name: POINTS for column in COLUMNS if column.kind is int} | {
    name: TIME for number in _TIMES for name in (COLUMNS[number].name, f"{COLUMNS[number].name}_local")
}
_WIDTHS = {"member_id": 22, "reason": 28, "transaction_id": 38, "failure_message": 28, "attempts": 9, "state": 12}
_WIDTH = 16
_DAY_S = 86_400
QUARTER_S = 900
# 1970-01-01 in the days that a spreadsheet counts.
_EPOCH_DAY = 25_569
_MADE_AT = datetime(2000, 1, 1)


@dataclass(frozen=True)
class Exported:
    """Whom a workbook is for: the claimed name, the database's own word for it, and the reason that was given.

    masked_ids: the rows are masked ones.
    """

    actor: str
    login: str
    reason: str | None
    failed_only: bool
    masked_ids: bool = False


def write_xlsx(
    batches: Iterable[list[PaymentRow]], stream: BinaryIO, sums: CampaignSums, exported: Exported, *, language: str
) -> Totals:
    """Ids and all other texts as texts, amounts as whole numbers, times in UTC and in the time zone of the sums."""
    totals = Totals()
    with ZipFile(stream, "w", ZIP_DEFLATED, compresslevel=COMPRESSION) as archive:
        with _Sheets(archive, _made(sums, exported, totals, sheets=1, language=language), sums.timezone) as sheets:
            for batch in batches:
                sheets.write(batch)
                totals.add(batch)
        totals.sheets = sheets.count
        made = _made(sums, exported, totals, sheets=sheets.count, language=language)
        for name in set(made.namelist()) - set(archive.namelist()):
            archive.writestr(name, made.read(name))
    return totals


class _Sheets:
    """The sheets of rows, one after the other, as entries of the archive; a context, in which rows are written."""

    def __init__(self, archive: ZipFile, example: ZipFile, timezone: str) -> None:
        self.count = 0
        self._archive = archive
        self._entry: IO[bytes] | None = None
        self._row = self._bytes = 0
        before, columns, self._after = _parts(example.read(_name(1)).decode())
        self._before = before.encode()
        self._cells = _Cells(columns, timezone)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            if self._entry is not None:
                self._entry.close()
            return
        if self.count == 0:
            self._begin()
        self._finish()

    def write(self, rows: list[PaymentRow]) -> None:
        while rows:
            entry = self._entry or self._begin()
            room = SHEET_ROWS_MAX - self._row
            part = "".join([self._cells.row(row, self._row + n) for n, row in enumerate(rows[:room], 1)]).encode()
            entry.write(part)
            self._bytes += len(part)
            self._row += len(rows[:room])
            rows = rows[room:]
            if self._row >= SHEET_ROWS_MAX or self._bytes >= SHEET_BYTES_MAX:
                self._finish()

    def _begin(self) -> IO[bytes]:
        self.count += 1
        self._row, self._bytes = HEAD_ROWS, 0
        self._entry = self._archive.open(_name(self.count), "w")
        self._entry.write(self._before)
        return self._entry

    def _finish(self) -> None:
        if self._entry is not None:
            self._entry.write(self._after.encode())
            self._entry.close()
            self._entry = None


def _name(number: int) -> str:
    """Of a sheet of rows; the sums are sheet 1."""
    return f"xl/worksheets/sheet{number + 1}.xml"


def _parts(sheet: str) -> tuple[str, list[tuple[str, str]], str]:
    """What stands before the rows, letter and style of each column, and what stands after the rows.

    The dimension is left out, which nobody knows before the last row, and which readers do not need.
    """
    begin, end = sheet.index(f'<row r="{HEAD_ROWS + 1}"'), sheet.index("</sheetData>")
    columns = re.findall(r'<c r="([A-Z]+)[0-9]+" s="([0-9]+)"', sheet[begin:end])
    invariant(len(columns) == len(NAMES), "a column of the example row has no style of its own")
    return re.sub("<dimension[^>]*>", "", sheet[:begin]), columns, sheet[end:]


class _Cells:
    """Rows as XML, all texts inside them: a table of shared texts would grow with the rows."""

    def __init__(self, columns: list[tuple[str, str]], timezone: str) -> None:
        self._opened = [(f'<c r="{letter}', f'" s="{style}"') for letter, style in columns]
        self._zone = ZoneInfo(timezone)
        self._ahead_of = lru_cache(maxsize=1_000)(self._ahead_s)

    def row(self, row: PaymentRow, number: int) -> str:
        cells: list[Any] = list(row)
        for column in _TIMES:
            if cells[column] is None:
                cells.append(None)
                continue
            second = cells[column].timestamp()
            cells[column] = _days(second)
            cells.append(_days(second + self._ahead_of(second // QUARTER_S)))
        xml = [f'<row r="{number}">']
        for (before, style), cell in zip(self._opened, cells, strict=True):
            if cell is None:
                continue
            if isinstance(cell, str):
                xml.append(f'{before}{number}{style} t="inlineStr"><is>{text_xml(cell)}</is></c>')
            else:
                xml.append(f"{before}{number}{style}><v>{cell}</v></c>")
        xml.append("</row>")
        return "".join(xml)

    def _ahead_s(self, quarter: float) -> float:
        """How far local time is ahead of UTC; clocks change at full quarters of an hour only."""
        offset = datetime.fromtimestamp(quarter * QUARTER_S, self._zone).utcoffset()
        return 0.0 if offset is None else offset.total_seconds()


def _days(second: float) -> float:
    """A moment as spreadsheets count, exact to a tenth of a millisecond."""
    return round(second / _DAY_S + _EPOCH_DAY, 9)


def _made(sums: CampaignSums, exported: Exported, totals: Totals, *, sheets: int, language: str) -> ZipFile:
    """The workbook with everything but the rows: in their place, one empty row that says how each column looks."""
    new = NewWorkbook()
    workbook = new.workbook
    workbook.set_properties({"created": _MADE_AT})
    first = workbook.add_worksheet(phrase(language, "workbook.totals"))
    forms = {form: workbook.add_format({"num_format": form}) for form in (TEXT, POINTS, TIME)}
    strong = workbook.add_format(HEAD_LOOK)
    shown_names = names_of(NAMES, masked_ids=exported.masked_ids)
    for number in range(1, sheets + 1):
        path = "workbook.payments" if number == 1 else "workbook.payments_no"
        sheet = workbook.add_worksheet(phrase(language, path, number=number))
        for column, (name, shown_name) in enumerate(zip(NAMES, shown_names, strict=True)):
            kind = _FORMS.get(name, TEXT)
            form = forms[kind]
            sheet.set_column(column, column, TIME_WIDTH if kind == TIME else _WIDTHS.get(name, _WIDTH), form)
            label = phrase(language, f"workbook.columns.{shown_name}", timezone=sums.timezone)
            sheet.write_string(0, column, label, strong)
            sheet.write_string(1, column, shown_name, strong)
            sheet.write_blank(2, column, None, form)
        print_wide(sheet)
        sheet.repeat_rows(0, HEAD_ROWS - 1)
        sheet.freeze_panes(HEAD_ROWS, 0)
        sheet.autofilter(1, 0, SHEET_ROWS_MAX - 1, len(NAMES) - 1)
        sheet.ignore_errors({"number_stored_as_text": f"A1:{xl_col_to_name(len(NAMES) - 1)}{SHEET_ROWS_MAX}"})
    _write_sums(Sheet(workbook, first, language=language, timezone=sums.timezone), sums, exported, totals)
    return ZipFile(io.BytesIO(new.finish()))


def _write_sums(sheet: Sheet, sums: CampaignSums, exported: Exported, totals: Totals) -> None:
    say, campaign, zone = sheet.say, sums.campaign, sums.timezone
    sheet.title(say("title"))
    sheet.facts(
        [
            (say("campaign_id"), str(campaign.campaign_id)),
            (say("name"), campaign.name),
            (say("state"), state_words(campaign.state)),
            (say("rows"), say("rows_of", rows=sum(totals.counts.values()), sheets=totals.sheets)),
            (say("made_at", timezone=zone), sums.at),
            (say("made_at_utc"), utc_time(sums.at)),
            (say("actor"), exported.actor),
            (say("login"), exported.login),
            (say("reason"), exported.reason or "-"),
            (say("digest"), campaign.digest.hex() if campaign.digest else "-"),
        ]
    )
    if exported.masked_ids:
        sheet.note(say("masked_ids", login=exported.login))
    if exported.failed_only:
        sheet.note(say("failed_only"))
    sheet.table(
        [say("by_state"), say("count"), say("points")],
        [
            (say(name), getattr(sums.total, name), getattr(sums.total, f"{name}_amount"))
            for name in outcomes_of(sums.total)
        ],
        (say("total"), sums.total.count, sums.total.amount),
    )
    if sums.by_hand.count:
        sheet.note(sheet.phrase("page.by_hand", count=sums.by_hand.count, amount=sums.by_hand.amount))
    if sums.kinds:
        kinds = [
            (f"{sheet.phrase(f'failure_kinds.{each.kind}.name')} {each.kind}", each.count, each.amount)
            for each in sums.kinds
        ]
        sheet.table([say("by_kind"), say("count"), say("points")], kinds)
    sheet.sums_table(say("by_day", timezone=zone), sums.days)
    sheet.sums_table(say("by_day", timezone="UTC"), sums.utc_days)
    others = [] if sums.other_reasons is None else [(say("other_reasons"), sums.other_reasons)]
    sheet.sums_table(say("by_reason"), [*sums.reasons, *others])
    sheet.table(
        [say("by_run"), say("kind"), say("state"), say("started", timezone=zone), say("finished", timezone=zone)],
        [
            (
                str(run.run_no),
                sheet.phrase(f"run_kinds.{run.kind}"),
                state_words(run.state),
                run.started_at,
                run.finished_at,
            )
            for run in sums.runs
        ],
    )
    sheet.end()
