"""Small sheets of a workbook: what is written cell by cell, with sums, days and times as a spreadsheet has them.

Texts are always texts, never formulas, links or numbers. Everything is kept in memory: for many rows see workbook.py.
"""

import io
import re
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from functools import lru_cache
from zipfile import ZIP_DEFLATED, ZipFile
from zoneinfo import ZoneInfo

from xlsxwriter import Workbook
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

from bulkpoint.store.sums import Sums
from bulkpoint.views.languages import phrase

# A spreadsheet has 15 digits of a number: a greater one would be shown as another.
EXACT_MAX = 10**15 - 1
Cell = str | int | date | None

# Fields of Sums, each with its points, as people see them; together they are all payments.
OUTCOMES = ("success", "failed", "unknown", "waiting", "processing")
POINTS = "#,##0"
TIME = "yyyy-mm-dd hh:mm:ss"
TEXT = "@"
# Widths in characters: of a time, of the first column, of a sum as large as can be.
TIME_WIDTH = 22
_NAME_WIDTH = 34
_SUM_WIDTH = 27
HEAD_LOOK = {"bold": True, "bg_color": "#E8EEF4"}


_ESCAPED = re.compile(r"[&<>\r\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]|_(?=x[0-9A-Fa-f]{4}_)")
_SPECIAL = re.compile(rf"^\s|\s$|[\t\n]|{_ESCAPED.pattern}")
_TEXTS = "xl/sharedStrings.xml"
_NAMESPACE = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


@lru_cache(maxsize=10_000)
def text_xml(text: str) -> str:
    """A text as XML can have it. `_x0001_` is how Excel writes, and reads, a character that XML does not have."""
    if not _SPECIAL.search(text):
        return f"<t>{text}</t>"
    written = _ESCAPED.sub(lambda found: _ENTITIES.get(found[0]) or f"_x{ord(found[0]):04X}_", text)
    return f'<t xml:space="preserve">{written}</t>'


class NewWorkbook:
    """A workbook without temporary files, in which a text is nothing but a text; `finish` gives its bytes.

    Its table of texts is written here: XlsxWriter takes a text between `<r>` and `</r>` for XML, and does not escape a
    text that already looks escaped in a way that is read back.
    """

    def __init__(self) -> None:
        self._stream = io.BytesIO()
        as_text = {"strings_to_formulas": False, "strings_to_numbers": False, "strings_to_urls": False}
        self.workbook = Workbook(self._stream, {"in_memory": True, "default_date_format": TIME, **as_text})

    def finish(self) -> bytes:
        self.workbook.close()
        finished = io.BytesIO()
        with ZipFile(self._stream) as made, ZipFile(finished, "w", ZIP_DEFLATED) as archive:
            for name in made.namelist():
                archive.writestr(name, self._texts() if name == _TEXTS else made.read(name))
        return finished.getvalue()

    def _texts(self) -> str:
        texts = "".join(f"<si>{text_xml(text)}</si>" for text in self.workbook.str_table.string_array)
        return f'<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n<sst xmlns="{_NAMESPACE}">{texts}</sst>'


def print_wide(sheet: Worksheet) -> None:
    """On paper: A4, across, as wide as the page."""
    sheet.set_landscape()
    sheet.set_paper(9)
    sheet.fit_to_pages(1, 0)


class Sheet:
    """A sheet that is written from top to bottom. language: of its words, ko or en."""

    def __init__(self, workbook: Workbook, sheet: Worksheet, *, language: str, timezone: str) -> None:
        self.sheet = sheet
        self.row = 0
        self._language = language
        self._zone = ZoneInfo(timezone)
        self._beyond = False
        sheet.set_column(0, 0, _NAME_WIDTH)
        sheet.set_column(1, 2 * len(OUTCOMES), _SUM_WIDTH)
        print_wide(sheet)
        self._strong = workbook.add_format(
            {"bold": True, "bg_color": "#E8EEF4", "num_format": POINTS, "text_wrap": True}
        )
        self._title = workbook.add_format({"bold": True, "font_size": 14})
        self._points = workbook.add_format({"num_format": POINTS})
        self._right = workbook.add_format({"align": "right", "num_format": TEXT})
        self._text = workbook.add_format({"num_format": TEXT})
        self._day = workbook.add_format({"num_format": "yyyy-mm-dd", "align": "left"})
        self._time = workbook.add_format({"num_format": TIME, "align": "left"})

    def say(self, path: str, **facts: object) -> str:
        """A text of the table [workbook]."""
        return phrase(self._language, f"workbook.{path}", **facts)

    def phrase(self, path: str, **facts: object) -> str:
        """Any other text of the language."""
        return phrase(self._language, path, **facts)

    def title(self, text: str) -> None:
        self._write(0, text, self._title)
        self.row += 2

    def facts(self, facts: Iterable[tuple[str, Cell]]) -> None:
        """A name and a value a line."""
        for name, value in facts:
            self.sheet.write_string(self.row, 0, name, self._strong)
            self._write(1, value)
            self.row += 1
        self.row += 1

    def note(self, text: str) -> None:
        self.sheet.write_string(self.row, 0, text)
        self.row += 2

    def table(self, heads: Sequence[str], rows: Iterable[Sequence[Cell]], total: Sequence[Cell] = ()) -> None:
        """A head, its rows, and what they add up to."""
        self.cells(heads, self._strong)
        for row in rows:
            self.cells(row)
        if total:
            self.cells(total, self._strong)
        self.row += 1

    def head(self, names: Sequence[str]) -> None:
        """One line that looks like a head."""
        self.cells(names, self._strong)

    def cells(self, values: Sequence[Cell], form: Format | None = None) -> None:
        """One line."""
        for column, value in enumerate(values):
            self._write(column, value, form)
        self.row += 1

    def sums_table(self, head: str, rows: Iterable[tuple[str | date, Sums]]) -> None:
        """A line for each day or reason, and the total."""
        listed = list(rows)
        if not listed:
            return
        total = sum((sums for _, sums in listed), Sums())
        outcomes = outcomes_of(total)
        heads = [f"{self.say(name)} {self.say(of)}" for name in outcomes for of in ("count", "points")]
        lines = [(name, *_figures(sums, outcomes)) for name, sums in listed]
        self.table([head, *heads], lines, (self.say("total"), *_figures(total, outcomes)))

    def end(self) -> None:
        """Say, where it was needed, why a sum is a text."""
        if self._beyond:
            self.note(self.say("beyond"))

    def _write(self, column: int, value: Cell, form: Format | None = None) -> None:
        match value:
            case str():
                self.sheet.write_string(self.row, column, value, form or self._text)
            case int() if abs(value) > EXACT_MAX:
                self._beyond = True
                self.sheet.write_string(self.row, column, f"{value:,}", form or self._right)
            case int():
                self.sheet.write_number(self.row, column, value, form or self._points)
            case datetime():
                local = value.astimezone(self._zone).replace(tzinfo=None)
                self.sheet.write_datetime(self.row, column, local, form or self._time)
            case date():
                self.sheet.write_datetime(self.row, column, value, form or self._day)


def outcomes_of(total: Sums) -> tuple[str, ...]:
    """OUTCOMES; what was perhaps sent only where there is any."""
    return OUTCOMES if total.processing else OUTCOMES[:-1]


def _figures(sums: Sums, outcomes: Iterable[str]) -> list[int]:
    return [getattr(sums, name) for outcome in outcomes for name in (outcome, f"{outcome}_amount")]
