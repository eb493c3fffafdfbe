"""Reads a sheet of a workbook (.xlsx) as a stream of numbered rows, from a process that is bounded in memory and time.

A row has the number that the spreadsheet shows. What opens the workbook is intake/workbook_child.py; why there, and
what was measured: docs/decisions/0014.
"""

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from bulkpoint.errors import RefusedError
from bulkpoint.intake import workbook_child
from bulkpoint.intake.form import ListForm
from bulkpoint.intake.problems import Problems, shorten
from bulkpoint.intake.workbook_child import CPU_S_MAX, MEMORY_BYTES_MAX, MEMORY_EXIT, row_and_column

WAIT_S_MAX = 120  # for all lines of the child together
LINE_BYTES_MAX = 2**28
READ_BYTES = 2**20
MERGED_MAX = 200  # ranges of merged cells that are looked at to explain an empty cell
_ASCII = 26  # letters of a column's name


class Sheet:
    """One sheet, read once. header: its names, from the first row with any value; header_row: the number of that row.

    others: further visible sheets, which are not read. blank_rows: skipped rows without any value, when rows() ended.
    """

    def __init__(self, path: Path, lines: Iterator[Any], columns: Sequence[str], problems: Problems) -> None:
        """`columns`: what the header must name, for the message of an empty sheet."""
        self._path, self._lines, self._problems = path, lines, problems
        about = next(lines)
        if code := about.get("refused"):
            raise self._refusal(code, about)
        self.name: str = about["sheet"]
        self.others: list[str] = about["others"]
        self.hidden_rows: frozenset[int] = frozenset(about["hidden"])
        self.blank_rows = 0
        self._column = about["column"]
        self._merged = about["merged"][:MERGED_MAX]
        self._errors = {row_and_column(name): value for name, value in about["errors"]}
        self._rows = self._numbered()
        self.header_row, header = next(self._rows, (0, None))
        if header is None:
            facts = {"file": path.name, "sheet": self.name, "columns": ",".join(columns)}
            if self.others:
                raise RefusedError("SHEET_EMPTY", "name_sheet", sheets=tuple(map(shorten, self.others)), **facts)
            raise RefusedError("SHEET_EMPTY", "first_row_names_columns", **facts)
        if about["more"]:
            raise RefusedError("SHEET_FULL_OF_ERRORS", "correct_formulas", file=path.name, sheet=self.name)
        self.header = _as_names(header)

    def names(self) -> list[str]:
        """The header's names, without columns that have none."""
        return [name for name in self.header if name.strip()]

    def rows(self) -> Iterator[tuple[int, list[Any]]]:
        """Every row below the header that has a value: its number and the cells of the columns that have a name.

        A cell is a text, a number, true or false, None for an empty one, ["date", text], ["error", text], or
        ["padded", text, number] for a number that the sheet shows as that text, with zeros before it.
        """
        named = [at for at, name in enumerate(self.header) if name.strip()]
        unnamed = [at for at, name in enumerate(self.header) if not name.strip()]
        for row, cells in self._rows:
            if not unnamed:
                yield row, cells
                continue
            at = next((at for at in unnamed if cells[at] is not None), None)
            if at is None:
                yield row, [cells[at] for at in named]
            else:
                rule = f"There is a value in column {self._letters(at)}, which has no name in the header."
                self._problems.add(row, "", rule, cells[at])

    def next_rows(self, last: int) -> Iterator[tuple[int, list[str]]]:
        """The rows up to row `last` as texts, where the first one turned out to be no header; not with rows()."""
        for row, cells in self._rows:
            if row > last:
                return
            yield row, _as_names(cells)

    def is_merged(self, row: int, at: int) -> bool:
        """Whether a cell of the row, by its place among those with a name, is covered by one it is merged with."""
        named = [place for place, name in enumerate(self.header) if name.strip()]
        column = self._column + named[at]
        return any(top <= row - 1 <= end and left <= column <= right for top, left, end, right in self._merged)

    def _numbered(self) -> Iterator[tuple[int, list[Any]]]:
        row = 0
        for rows in self._lines:
            for cells in rows:
                row += 1
                if self._errors:
                    for at in range(len(cells)):
                        if (value := self._errors.get((row, self._column + at))) is not None:
                            cells[at] = ["error", value]
                if cells.count(None) == len(cells) or not any(_has_value(cell) for cell in cells):
                    self.blank_rows += 1
                else:
                    yield row, cells

    def _letters(self, at: int) -> str:
        """A column's name in the spreadsheet: A, B, ..., AA."""
        number, letters = self._column + at + 1, ""
        while number:
            number, rest = divmod(number - 1, _ASCII)
            letters = chr(ord("A") + rest) + letters
        return letters

    def _refusal(self, code: str, about: dict[str, Any]) -> RefusedError:
        file = self._path.name
        match code:
            case "no_sheet" if about["sheets"]:
                return RefusedError("SHEET_UNKNOWN", file=file, sheets=tuple(map(shorten, about["sheets"])))
            case "far":
                facts = {"sheet": about["sheet"], "cell": about["cell"]}
                return RefusedError("CELL_FAR_AWAY", "copy_list_to_new_workbook", file=file, **facts)
            case "password":
                return RefusedError("WORKBOOK_WITH_PASSWORD", "remove_password", file=file)
        return RefusedError("WORKBOOK_BROKEN", "save_workbook_again", file=file, why=about.get("why", "no sheet"))


@contextmanager
def open_sheet(
    path: Path, stream: IO[bytes], form: ListForm, columns: Sequence[str], problems: Problems
) -> Iterator[Sheet]:
    """The sheet that the form names, or the first visible one. `stream`: the file, open.

    Raises RefusedError for a workbook that cannot be read, has no such sheet, or takes too much memory or time.
    """
    os.lseek(stream.fileno(), 0, os.SEEK_SET)
    program = [sys.executable, "-P", workbook_child.__file__, *([form.sheet] if form.sheet else [])]
    child = subprocess.Popen(program, stdin=stream, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        yield Sheet(path, _lines(path, child), columns, problems)
    finally:
        child.kill()
        child.wait()
        if child.stdout is not None:
            child.stdout.close()


def _lines(path: Path, child: subprocess.Popen[bytes]) -> Iterator[Any]:
    """What the child writes, up to its last line."""
    if child.stdout is None:
        raise ValueError("the child has no pipe")
    rest, left_s = b"", float(WAIT_S_MAX)
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)
        while True:
            begun = time.monotonic()
            ready = selector.select(max(0.0, left_s))
            left_s -= time.monotonic() - begun
            if not ready or len(rest) > LINE_BYTES_MAX:
                raise RefusedError("WORKBOOK_TAKES_TOO_LONG", "copy_list_to_new_workbook", file=path.name, s=WAIT_S_MAX)
            chunk = os.read(child.stdout.fileno(), READ_BYTES)
            if not chunk:
                raise _end(path, child.wait())
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                said = json.loads(line)
                if said is None:
                    return
                yield said


def _end(path: Path, code: int) -> RefusedError:
    """Why the child ended before its last line."""
    if code in (MEMORY_EXIT, -signal.SIGABRT, -signal.SIGKILL, -signal.SIGSEGV):
        megabytes = MEMORY_BYTES_MAX // 2**20
        return RefusedError("WORKBOOK_TOO_LARGE", "copy_list_to_new_workbook", file=path.name, megabytes=megabytes)
    if code == -signal.SIGXCPU:
        return RefusedError("WORKBOOK_TAKES_TOO_LONG", "copy_list_to_new_workbook", file=path.name, s=CPU_S_MAX)
    return RefusedError("WORKBOOK_BROKEN", "save_workbook_again", file=path.name, why=f"its reader ended with {code}")


def _as_names(cells: Sequence[Any]) -> list[str]:
    return ["" if cell is None else str(cell[1] if type(cell) is list else cell) for cell in cells]


def _has_value(cell: Any) -> bool:
    return bool(cell.strip()) if type(cell) is str else cell is not None
