"""Reads one sheet of a workbook in a process of its own, bounded in memory and CPU time; run by intake/workbook.py.

A workbook is an archive that may unpack to any size, and one far cell makes its sheet as large as a sheet can be. So
what it costs is bounded from outside: this process ends, and nothing else. It knows only the standard library and
python-calamine, takes the file as stdin, and writes JSON lines: first what the sheet is, then some rows a line, then
`null`. A cell is a text, a number, true or false, null for an empty one, ["date", text], ["error", text],
or ["padded", text, number].
"""

import json
import math
import re
import resource
import signal
import sys
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from typing import IO, Any
from xml.etree import ElementTree

MEMORY_BYTES_MAX = 2**30  # of address space; a full sheet of three columns needs less than half of it
CPU_S_MAX = 60
MEMORY_EXIT = 3
LINE_CHARACTERS = 2**18  # rows are put together to lines of about this length
CELL_CHARACTERS_MAX = 32_767  # Excel's own; a longer one is cut to one more, and breaks every rule of ours
INTEGER_MAX = 10**15  # below this a number of Excel's (a double with 15 digits) is the one that was entered
MARKS_MAX = 10_000  # error cells and hidden rows that are named; more are only counted
SCAN_BYTES = 2**20
PART_BYTES_MAX = 2**30  # the sheet of a list with as many rows as a sheet can have takes a fifth of it
_ROW_END = b"row>"
_ERROR_CELL = re.compile(rb"(<(?:\w+:)?c\s[^>]*\bt=[\"']e[\"'][^>]*>)(.*?)</(?:\w+:)?c>", re.DOTALL)
_VALUE = re.compile(rb"v>([^<]{1,40})<")
_HIDDEN_ROW = re.compile(rb"<(?:\w+:)?row\s[^>]*\bhidden=[\"'](?:1|true)[\"'][^>]*>")
_PLACE = re.compile(rb"\sr=[\"']([A-Z]{0,3}[0-9]{1,7})[\"']")
# A cell with something in it in a column of three letters: the sheet is read as a whole up to there.
_FAR_CELL = re.compile(rb"<(?:\w+:)?c\s[^>]*\br=[\"']([A-Z]{3}[0-9]{1,7})[\"'][^>/]*>")


def main() -> None:
    """Read the sheet that is named in the first argument, or the first one that is visible, from stdin to stdout."""
    signal.signal(signal.SIGXCPU, signal.SIG_DFL)
    for bound, soft, hard in (
        (resource.RLIMIT_AS, MEMORY_BYTES_MAX, MEMORY_BYTES_MAX),
        (resource.RLIMIT_CPU, CPU_S_MAX, CPU_S_MAX + 5),
        (resource.RLIMIT_CORE, 0, 0),
    ):
        with suppress(ValueError, OSError):  # the system knows no such bound, or has a lower one already
            resource.setrlimit(bound, (soft, hard))
    try:
        for line in _read(sys.stdin.buffer, sys.argv[1] if len(sys.argv) > 1 else None):
            sys.stdout.write(json.dumps(line, ensure_ascii=True) + "\n")
    except MemoryError:
        sys.exit(MEMORY_EXIT)


def _read(stream: IO[bytes], asked: str | None) -> Iterator[Any]:
    from python_calamine import CalamineError, CalamineWorkbook, PasswordError, SheetTypeEnum, SheetVisibleEnum

    try:
        _refuse_bomb(stream)
        book = CalamineWorkbook.from_filelike(stream)
        sheets = [sheet for sheet in book.sheets_metadata if sheet.typ == SheetTypeEnum.WorkSheet]
        visible = [sheet.name for sheet in sheets if sheet.visible == SheetVisibleEnum.Visible]
        names = [sheet.name for sheet in sheets]
        chosen = asked or next(iter(visible or names), None)
        if chosen is None or chosen not in names:
            yield {"refused": "no_sheet", "sheets": names}
            return
        marks, padded = _marks(stream, chosen)
        if marks["far"]:
            yield {"refused": "far", "sheet": chosen, "cell": marks["far"]}
            return
        sheet = book.get_sheet_by_name(chosen)
    except PasswordError:
        yield {"refused": "password"}
        return
    except (CalamineError, zipfile.BadZipFile, ElementTree.ParseError, LookupError, ValueError, OSError) as error:
        yield {"refused": "broken", "why": str(error) or type(error).__name__}
        return
    yield {
        "sheet": chosen,
        "others": [name for name in visible if name != chosen],
        "column": 0 if sheet.start is None else sheet.start[1],
        "merged": [[*first, *last] for first, last in (sheet.merged_cell_ranges or [])[:MARKS_MAX]],
        **marks,
    }
    if sheet.start is not None:
        rows, characters = [], 0
        for number, row in enumerate(sheet.iter_rows(), 1):
            rows.append([_cell(value) for value in row])
            if number in padded:
                _pad(rows[-1], padded[number], sheet.start[1])
            characters += sum(len(cell) if type(cell) is str else 8 for cell in rows[-1])
            if characters > LINE_CHARACTERS:
                yield rows
                rows, characters = [], 0
        yield rows
    yield None


def _refuse_bomb(stream: IO[bytes]) -> None:
    """Raise MemoryError for a workbook with a part that unpacks to more than any list has, before it is unpacked."""
    with zipfile.ZipFile(stream) as archive:
        if any(part.file_size > PART_BYTES_MAX for part in archive.infolist()):
            raise MemoryError
    stream.seek(0)


def _pad(cells: list[Any], widths: list[tuple[int, int]], first: int) -> None:
    """Mark the numbers that are shown with zeros before them; widths: columns, counted from 0, with their digits."""
    for column, width in widths:
        at = column - first
        if 0 <= at < len(cells) and type(cells[at]) is int and len(str(cells[at])) < width:
            cells[at] = ["padded", f"{cells[at]:0{width}}", cells[at]]


def _marks(stream: IO[bytes], sheet: str) -> tuple[dict[str, Any], dict[int, list[tuple[int, int]]]]:
    """What calamine does not say of a sheet: its error cells, its hidden rows, a cell far from all others.

    And, by row, the columns of numbers that are shown with zeros before them, with their digits.
    """
    padded: dict[int, list[tuple[int, int]]] = {}
    errors: list[list[str]] = []
    hidden: list[int] = []
    more = 0
    with zipfile.ZipFile(stream) as archive, archive.open(_part_of(archive, sheet)) as part:
        widths = _padding_styles(archive)
        styled = b"|".join(b"%d" % style for style in widths)
        padded_cell = re.compile(rb"<(?:\w+:)?c\s[^>]*\bs=[\"'](" + styled + rb")[\"'][^>]*>")
        rest = b""
        while chunk := part.read(SCAN_BYTES):
            rest += chunk
            cut = rest.rfind(_ROW_END) + len(_ROW_END) if _ROW_END in rest else 0
            piece, rest = (rest[:cut], rest[cut:]) if cut or len(rest) < 4 * SCAN_BYTES else (rest, b"")
            if far := _FAR_CELL.search(piece):
                return {"far": far[1].decode()}, {}
            for cell in padded_cell.finditer(piece) if widths else ():
                if place := _PLACE.search(cell[0]):
                    row, column = row_and_column(place[1].decode())
                    padded.setdefault(row, []).append((column, widths[int(cell[1])]))
            for tag, inside in _ERROR_CELL.findall(piece) if b'"e"' in piece or b"'e'" in piece else ():
                place, value = _PLACE.search(tag), _VALUE.search(inside)
                if place and len(errors) < MARKS_MAX:
                    errors.append([place[1].decode(), value[1].decode("utf-8", "replace") if value else ""])
                else:
                    more += 1
            for row in _HIDDEN_ROW.findall(piece) if b"hidden" in piece else ():
                place = _PLACE.search(row)
                if place and len(hidden) < MARKS_MAX:
                    hidden.append(int(place[1]))
    return {"far": None, "errors": errors, "hidden": hidden, "more": more}, padded


def _padding_styles(archive: zipfile.ZipFile) -> dict[int, int]:
    """The cell styles that show a number with zeros before it, such as 00000 or 000-0000, with their digits."""
    if "xl/styles.xml" not in archive.namelist():
        return {}
    elements = list(ElementTree.parse(archive.open("xl/styles.xml")).iter())  # noqa: S314
    codes = {
        element.get("numFmtId"): element.get("formatCode", "")
        for element in elements
        if element.tag.endswith("}numFmt") and re.fullmatch(r'[0 "\\()/.-]+', element.get("formatCode", ""))
    }
    digits = {name: code.count("0") for name, code in codes.items() if "." not in code and code.count("0") > 1}
    styles = next((element for element in elements if element.tag.endswith("}cellXfs")), ())
    return {at: digits[name] for at, style in enumerate(styles) if (name := style.get("numFmtId")) in digits}


def row_and_column(place: str) -> tuple[int, int]:
    """Row, counted from 1, and column, counted from 0, of a cell: C2 is (2, 2)."""
    letters = place.rstrip("0123456789")
    column = 0
    for letter in letters:
        column = column * 26 + ord(letter) - ord("A") + 1
    return int(place[len(letters) :]), column - 1


def _part_of(archive: zipfile.ZipFile, sheet: str) -> str:
    """The part of the archive that has a sheet ([ECMA-376] part 1, 18.2.19; strict and transitional namespaces)."""
    # Bounded like all else here, and expat itself bounds what entities expand to.
    book = ElementTree.parse(archive.open("xl/workbook.xml")).iter()  # noqa: S314
    references = [
        value
        for element in book
        if element.tag.endswith("}sheet") and element.get("name") == sheet
        for name, value in element.items()
        if name.endswith("}id")
    ]
    parts = ElementTree.parse(archive.open("xl/_rels/workbook.xml.rels")).iter()  # noqa: S314
    [target, *_] = [part.get("Target", "") for part in parts if part.get("Id") in references[:1]]
    return target[1:] if target.startswith("/") else f"xl/{target}"


def _cell(value: Any) -> Any:
    if type(value) is str:
        return value[: CELL_CHARACTERS_MAX + 1] or None
    if type(value) is float:
        if value.is_integer() and abs(value) < INTEGER_MAX:
            return int(value)
        return value if math.isfinite(value) else str(value)
    if type(value) is bool:
        return value
    if type(value) is int:
        return value if abs(value) < INTEGER_MAX else float(value)
    return ["date", str(value)]


if __name__ == "__main__":
    main()
