"""Reads a file of targets, CSV or Parquet, as a stream: memory does not grow with the file, except 8 bytes a row.

A file is read twice: once to check it all, once to load it. So a bad file costs the database nothing, and the campaign
is created with the figures of a file that is known to be good.

A row's number is its line in a CSV file (the header is line 1; a row over several lines has the number of its first) or
its position in a Parquet file (the first row is 1).
"""

import csv
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from bulkpoint.errors import RefusedError, UsageError
from bulkpoint.rules.findings import FileFindings
from bulkpoint.rules.refusals import Refusal
from bulkpoint.rules.targets import check_row
from bulkpoint.text import quoted

COLUMNS = ("member_id", "amount", "reason")
# The longest good line has some 2,600 bytes, quoted; this stops a file without line ends from being read as one line.
LINE_BYTES_MAX = 65_536
PROBLEMS_SHOWN = 20
VALUE_CHARACTERS_SHOWN = 60
PARQUET_BATCH_ROWS = 16_384

# Row, then the values as the file has them: text from CSV, text and whole numbers from Parquet.
RawRow = tuple[int, Any, Any, Any]


@dataclass(frozen=True)
class Problem:
    """One thing wrong: the row, the column (empty: the row as a whole), the rule in a sentence, the value, short."""

    row: int
    column: str
    rule: str
    value: str

    def __str__(self) -> str:
        return f"row {self.row:,}: {self.rule}"


class Problems:
    """Counts what is wrong, keeps the first 20, and writes all of them to a CSV file if one is named."""

    def __init__(self, file: Path | None = None) -> None:
        self.count = 0
        self.rows = 0  # with at least one problem, where a row's problems come one after another
        self.first: list[Problem] = []
        self._last_row: int | None = None
        self._file = file
        self._stream: IO[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._stream is not None:
            self._stream.close()

    def add(self, row: int, column: str, rule: str, value: object = "") -> None:
        problem = Problem(row, column, rule, shorten(value))
        self.count += 1
        self.rows += row != self._last_row
        self._last_row = row
        if len(self.first) < PROBLEMS_SHOWN:
            self.first.append(problem)
        if self._file is not None:
            if self._stream is None:
                self._stream = _open_for_writing(self._file)
                csv.writer(self._stream).writerow(["row", "column", "rule", "value"])
            csv.writer(self._stream).writerow([row, column, rule, problem.value])

    def refusal(self, path: Path) -> Refusal:
        """The refusal of a bad file of targets."""
        lines = self.lines()
        if self._file is not None:
            lines.append(Refusal("ALL_IN_FILE", {"errors_file": str(self._file)}))
        elif self.count > len(self.first):
            lines.append(Refusal("MORE_ERRORS_OF_FILE", {"more": self.count - len(self.first)}))
        return Refusal("TARGETS_FILE_WRONG", {"file": path.name, "error_count": self.count, "lines": tuple(lines)})

    def lines(self) -> list[Refusal]:
        """The first 20 problems, a line each."""
        return [Refusal("ROW_WRONG", {"row": problem.row, "rule": problem.rule}) for problem in self.first]


def shorten(value: object) -> str:
    """A value as it may be printed: quoted, control characters escaped, 60 characters at most."""
    if value == "":
        return ""
    return quoted(value if isinstance(value, str) else str(value), VALUE_CHARACTERS_SHOWN)


def check_rows(
    path: Path, problems: Problems, findings: FileFindings, hashes: "array[int]", *, amount_max: int
) -> Iterator[tuple[int, str, int, str]]:
    """The good rows of a file as (row, member_id, points, reason); what is wrong with the others goes to `problems`.

    What makes a list look wrong although no row breaks a rule goes to `findings`.

    `hashes` gets hash(member_id) of every row that has three values, for report_duplicates after the last one.
    """
    for row, member_id, amount, reason in read_rows(path, problems, findings):
        hashes.append(hash(member_id))
        if violations := check_row(member_id, amount, reason, amount_max=amount_max):
            values = dict(zip(COLUMNS, (member_id, amount, reason), strict=True))
            for violation in violations:
                column = next(name for name in COLUMNS if violation.rule.startswith(name))
                problems.add(row, column, violation.sentence, values[column])
        else:
            yield row, member_id, int(amount), reason


def report_duplicates(path: Path, hashes: "array[int]", problems: Problems) -> int:
    """Report every row whose member an earlier row has, and return their number."""
    count = 0
    for member_id, rows in duplicate_rows(path, hashes).items():
        sentence = f"member_id {shorten(member_id)} is in row {rows[0]:,} already."
        for again in rows[1:]:
            problems.add(again, "member_id", sentence, member_id)
            count += 1
    return count


def read_rows(path: Path, problems: Problems, findings: FileFindings | None = None) -> Iterator[RawRow]:
    """The rows of a file, unchecked; a row that does not have three values goes to `problems` instead.

    findings: what is noticed about the file on the way; None where that was done in an earlier reading.

    Raises RefusedError for a file that cannot be read as what its name says: encoding, header, types, no rows.
    """
    reader = {".csv": _read_csv, ".parquet": _read_parquet}.get(path.suffix.lower())
    if reader is None:
        raise UsageError("FILE_KIND_UNKNOWN", "name_file_by_contents", file=str(path))
    try:
        yield from reader(path, problems, findings or FileFindings())
    except OSError as error:
        raise RefusedError("FILE_UNREADABLE", file=str(path), why=error.strerror or str(error)) from error


def _read_csv(path: Path, problems: Problems, _findings: FileFindings) -> Iterator[RawRow]:
    with path.open("rb") as stream:
        refuse_other_encodings(path, stream.read(4))
        stream.seek(0)
        header, numbered = open_csv(path, stream, problems)
        order = _order_of_columns(path, header)
        rows = 0
        for row, values in numbered:
            if len(values) == len(COLUMNS):
                rows += 1
                yield row, values[order[0]], values[order[1]], values[order[2]]
            elif values:  # an empty line has no target
                rows += 1
                problems.add(row, "", f"The row has {len(values)} values, not {len(COLUMNS)}.", ",".join(values))
        if not rows and not problems.count:
            raise RefusedError("FILE_WITHOUT_ROWS", file=path.name)


def open_csv(
    path: Path, stream: IO[bytes], problems: Problems
) -> tuple[list[str] | None, Iterator[tuple[int, list[str]]]]:
    """The header of a CSV file, None without one, and its rows, each with the number of its first line.

    A row that cannot be read goes to `problems` and is empty, as an empty line is. Raises RefusedError for a header
    that cannot be read, and what text_lines raises.
    """
    reader = csv.reader(text_lines(path, stream, problems), strict=True)
    try:
        header = next(reader, None)
    except csv.Error as error:
        raise RefusedError("HEADER_UNREADABLE", file=path.name, why=str(error)) from error

    def numbered() -> Iterator[tuple[int, list[str]]]:
        row = reader.line_num + 1
        while True:
            try:
                values = next(reader, None)
            except csv.Error as error:
                problems.add(row, "", f"The row cannot be read as CSV: {error}.")
                values = []
            if values is None:
                return
            yield row, values
            row = reader.line_num + 1

    return header, numbered()


def text_lines(path: Path, stream: IO[bytes], problems: Problems) -> Iterator[str]:
    """The lines of a CSV file as text; one that is not UTF-8 is a problem, one without end is refused."""
    number = 0
    while line := stream.readline(LINE_BYTES_MAX):
        number += 1
        if len(line) == LINE_BYTES_MAX:
            facts = {"file": path.name, "row": number, "bytes_max": LINE_BYTES_MAX}
            raise RefusedError("LINE_TOO_LONG", "check_line_ends", **facts)
        try:
            text = line.decode()
        except UnicodeDecodeError as error:
            problems.add(number, "", f"The line is not UTF-8 from its byte {error.start + 1} on.")
            text = "\n"  # reported; an empty line has no target
        yield text.removeprefix("\ufeff") if number == 1 else text


def refuse_other_encodings(path: Path, start: bytes) -> None:
    """Raises RefusedError for a file whose beginning cannot be UTF-8, or that is empty."""
    if start.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in start:
        raise RefusedError("FILE_NOT_UTF_8", "save_as_utf_8", file=path.name)
    if not start:
        raise RefusedError("FILE_EMPTY", "first_line", file=path.name, columns=",".join(COLUMNS))


def _order_of_columns(path: Path, header: list[str] | None) -> tuple[int, int, int]:
    """Where each of our three columns is; refuses any other set of them."""
    names = header or []
    for code, found in (
        ("COLUMN_MISSING", [name for name in COLUMNS if name not in names]),
        ("COLUMN_TWICE", sorted({name for name in names if names.count(name) > 1})),
        ("COLUMN_NOT_OURS", [name for name in names if name not in COLUMNS]),
    ):
        if found:
            facts = {"file": path.name, "column": shorten(found[0]), "columns": ",".join(COLUMNS)}
            raise RefusedError(code, "exactly_these_columns", **facts)
    return names.index("member_id"), names.index("amount"), names.index("reason")


def _read_parquet(path: Path, problems: Problems, _findings: FileFindings) -> Iterator[RawRow]:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(path)
    except pa.ArrowInvalid as error:
        raise RefusedError("PARQUET_UNREADABLE", file=path.name, why=_first_line(error)) from error
    with file:
        _order_of_columns(path, file.schema_arrow.names)
        _refuse_other_types(path, file.schema_arrow)
        if file.metadata.num_rows == 0:
            raise RefusedError("PARQUET_WITHOUT_ROWS", file=path.name)
        row = 0
        try:
            for batch in file.iter_batches(PARQUET_BATCH_ROWS, columns=list(COLUMNS)):
                columns = batch.to_pydict()
                for values in zip(columns["member_id"], columns["amount"], columns["reason"], strict=True):
                    row += 1
                    if None in values:
                        missing = [name for name, value in zip(COLUMNS, values, strict=True) if value is None]
                        problems.add(row, missing[0], f"{missing[0]} is null.")
                    else:
                        member_id, amount, reason = values
                        yield row, member_id, int(amount), reason
        except (pa.ArrowInvalid, UnicodeDecodeError) as error:
            raise RefusedError("PARQUET_BROKEN", file=path.name, row=row, why=_first_line(error)) from error


def _refuse_other_types(path: Path, schema: Any) -> None:
    from pyarrow import types

    for name in COLUMNS:
        kind = schema.field(name).type
        if types.is_dictionary(kind):
            kind = kind.value_type
        if name == "amount":
            good = types.is_integer(kind) or (types.is_decimal(kind) and kind.scale == 0)
            code = "AMOUNT_COLUMN_OF_ANOTHER_TYPE"
        else:
            good = types.is_string(kind) or types.is_large_string(kind)
            code = "TEXT_COLUMN_OF_ANOTHER_TYPE"
        if not good:
            raise RefusedError(code, file=path.name, column=name, type=str(kind))


def duplicate_rows(path: Path, hashes: "array[int]") -> dict[str, list[int]]:
    """Member ids that more than one row has, with their rows, found by hashes: 8 bytes a row instead of the ids.

    `hashes` has hash(member_id) of each row in the file's order. Only if two hashes are equal, the file is read a third
    time to compare the ids.
    """
    import numpy as np

    ordered = np.sort(np.frombuffer(hashes, dtype=np.int64))
    suspects = set(ordered[1:][ordered[1:] == ordered[:-1]].tolist())
    rows_of: dict[str, list[int]] = {}
    if suspects:
        for row, member_id, _, _ in read_rows(path, Problems()):
            if hash(member_id) in suspects:
                rows_of.setdefault(member_id, []).append(row)
    return {member_id: rows for member_id, rows in rows_of.items() if len(rows) > 1}


def _open_for_writing(path: Path) -> IO[str]:
    try:
        return path.open("w", encoding="utf-8", newline="")
    except OSError as error:
        facts = {"file": str(path), "why": error.strerror}
        raise UsageError("ERRORS_FILE_UNWRITABLE", "name_another_errors_file", **facts) from error


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0].rstrip(".")
