"""A settlement as rows of texts, whatever it is: a text table, or a sheet of a workbook; and what it is read as."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from bulkpoint.errors import RefusedError
from bulkpoint.intake.delimited import TextTable
from bulkpoint.intake.form import delimiter_name
from bulkpoint.intake.problems import Problems, shorten
from bulkpoint.intake.settlement_form import COLUMNS, KEY, OUR_COLUMNS, SettlementForm
from bulkpoint.intake.settlement_marks import Mark, find_record
from bulkpoint.intake.source import Kind, open_source
from bulkpoint.intake.workbook import Sheet, open_sheet
from bulkpoint.rules.findings import FileFindings, FindingName
from bulkpoint.rules.refusals import Refusal

# A number in one of these cells may be another id than the one that was typed.
_IDS = (*COLUMNS[::2], KEY)


@dataclass(frozen=True)
class Dialect:
    """What a file is read as. columns: our names to the file's; others: its columns that say nothing about credits.

    delimiter: of a text table, else empty; sheet: of a workbook, else None.
    """

    encoding: str = ""
    delimiter: str = ""
    sheet: str | None = None
    header_row: int = 0
    columns: Mapping[str, str] = field(default_factory=dict)
    others: tuple[str, ...] = ()

    def described(self, file: str) -> list[Refusal]:
        """For people, a sentence each."""
        columns = tuple(f"{ours} = {shorten(theirs)}" for ours, theirs in self.columns.items())
        facts = {"file": file, "row": self.header_row, "columns": columns}
        if self.sheet is not None:
            said = [Refusal("SETTLEMENT_READ_AS_SHEET", {**facts, "sheet": shorten(self.sheet)})]
        else:
            how = {"encoding": self.encoding, "delimiter": self.delimiter}
            said = [Refusal("SETTLEMENT_READ_AS", {**facts, **how})]
        if self.others:
            said.append(Refusal("SETTLEMENT_OTHER_COLUMNS", {"others": tuple(map(shorten, self.others))}))
        return said


@dataclass(frozen=True)
class Table:
    """The header of a settlement and the rows below it, each with its number. records: rows before the header."""

    dialect: Dialect
    header: list[str]
    rows: Iterator[tuple[int, list[str]]]
    records: Sequence[Mark] = ()


@contextmanager
def open_table(path: Path, form: SettlementForm, problems: Problems, noticed: FileFindings) -> Iterator[Table]:
    """The file as a table. `problems` gets what is wrong with a row, `noticed` what looks wrong, as rows are read.

    Raises RefusedError for what is no text table and no workbook, and for one that cannot be read.
    """
    needed = [form.file.name_of(name) for name in COLUMNS]
    with open_source(path, COLUMNS) as (stream, kind):
        if kind == Kind.TEXT:
            yield _text_table(path, stream, form, needed, problems, noticed=noticed)
        elif kind == Kind.WORKBOOK:
            with open_sheet(path, stream, form.file, needed, problems) as sheet:
                header = sheet.names()
                dialect = _dialect(form, header, sheet.header_row, encoding="XLSX", sheet=sheet.name)
                yield Table(dialect, header, _texts(sheet, dialect, header, problems, noticed))
        else:
            raise RefusedError("SETTLEMENT_NO_TABLE", "save_as_csv", file=str(path))


def _text_table(
    path: Path,
    stream: IO[bytes],
    form: SettlementForm,
    needed: Sequence[str],
    problems: Problems,
    *,
    noticed: FileFindings,
) -> Table:
    records: list[Mark] = []

    def is_record(number: int, line: str) -> bool:
        """Whether this line before the header is a record or a comment."""
        mark = None if all(name in line for name in needed) else find_record(number, line)
        if mark is not None:
            records.append(mark)
        return mark is not None

    table = TextTable(path, stream, form.file, needed, problems, findings=noticed, is_record=is_record)
    encoding, delimiter = table.encoding.upper(), delimiter_name(table.delimiter)
    dialect = _dialect(form, table.names(), table.header_row, encoding=encoding, delimiter=delimiter)
    return Table(dialect, table.names(), table.rows(), records)


def _dialect(form: SettlementForm, header: Sequence[str], row: int, **how: str) -> Dialect:
    theirs = {ours: form.file.name_of(ours) for ours in OUR_COLUMNS}
    columns = {ours: name for ours, name in theirs.items() if name in header}
    others = tuple(name for name in header if name not in theirs.values())
    return Dialect(header_row=row, columns=columns, others=others, **how)


def _texts(
    sheet: Sheet, dialect: Dialect, header: Sequence[str], problems: Problems, noticed: FileFindings
) -> Iterator[tuple[int, list[str]]]:
    """The rows of a sheet as a text table has them; a row with a cell that can be no text of ours is a problem."""
    ours = {theirs: name for name, theirs in dialect.columns.items()}
    names = [ours.get(name, "") for name in header]
    for row, cells in sheet.rows():
        wrong = [(name, rule) for name, cell in zip(names, cells, strict=True) if name and (rule := _rule(name, cell))]
        for name, rule in wrong:
            problems.add(row, name, rule)
        if any(type(cell) is int for name, cell in zip(names, cells, strict=True) if name in _IDS):
            noticed.note(FindingName.NUMBERS_AS_IDS, why=Refusal("ID_IS_A_NUMBER"), row=row)
        if not wrong:
            yield row, [_text(cell) for cell in cells]


def _rule(column: str, cell: Any) -> str | None:
    """What is wrong with a cell of one of our columns that the rules of a line cannot say; None: nothing."""
    match cell:
        case ["padded", shown, number] if column in _IDS:
            return f"{column} is the number {number}, which the sheet shows as {shown}: have it exported as text."
        case ["error", shown]:
            return f"{column} is {shown}, an error of the spreadsheet: correct it."
        case [_, shown]:
            return f"{column} is a date ({shown}): have it exported as text."
        case bool():
            return f"{column} is {str(cell).upper()}, neither a text nor a number."
        case float() if column in _IDS:
            return f"{column} is a number that is not whole, or has more than 15 digits: have it exported as text."
    return None


def _text(cell: Any) -> str:
    match cell:
        case None:
            return ""
        case ["padded", _, number]:
            return str(number)
        case [_, shown]:
            return str(shown)
    return str(cell)
