"""Reads a text table as a stream of numbered rows: its encoding, delimiter, header, quotes and blank rows.

For lists of targets and for settlement files. Rows are numbered by the lines that an editor shows, from 1: a row over
several lines has the number of its first. What was found is said (TextTable.encoding, .delimiter); what could be two
things is refused.
"""

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import IO
from unicodedata import normalize

from bulkpoint.errors import RefusedError
from bulkpoint.intake.decoding import Text
from bulkpoint.intake.form import DELIMITER_NAMES, ListForm, delimiter_name
from bulkpoint.intake.problems import Problems
from bulkpoint.rules.findings import FileFindings, FindingName
from bulkpoint.rules.refusals import Refusal

# What Excel reads, and some programs write, as a first line: the character that stands between values.
_DELIMITER_LINE = re.compile(r'"?sep=([^\w"\r\n])"?\s*', re.IGNORECASE)
_QUOTED = re.compile(r'"[^"]*"?')


class TextTable:
    """One file, read once: the header is read at once, then rows() gives the others.

    header: its names; header_row: its line. encoding, delimiter: what the file is read with. blank_rows: how many rows
    without any value were skipped, when rows() has ended.
    """

    def __init__(
        self,
        path: Path,
        stream: IO[bytes],
        form: ListForm,
        columns: Sequence[str],
        problems: Problems,
        *,
        findings: FileFindings | None = None,
        is_record: Callable[[int, str], bool] = lambda _number, _line: False,
    ) -> None:
        """`columns`: the names of the file's columns that are needed; they decide between delimiters. `findings` gets
        fields that may hide a row, and a last line that may be cut.

        is_record: whether a line before the header, with its number, is none of the table; such a line is skipped.

        Raises RefusedError for a file without a header, and for one that is not in its encoding.
        """
        self._path, self._problems = path, problems
        self._findings = FileFindings() if findings is None else findings
        self._text = Text(path, stream, form.encoding, problems)
        self.encoding = self._text.encoding
        self.blank_rows = 0
        lines = self._text.lines()
        named: list[str] = []

        def is_no_header(number: int, line: str) -> bool:
            if said := _DELIMITER_LINE.fullmatch(line):
                named.append(said[1])
            return said is not None or is_record(number, line)

        skipped, first = _first_line(lines, is_no_header)
        self.header_row = skipped + 1
        if any(problem.row <= self.header_row for problem in problems.first):  # lines that could not be decoded
            facts = {"file": path.name, "found": self.encoding.upper()}
            raise RefusedError("ENCODING_NOT_THAT", "leave_out_encoding", **facts)
        if first is None:
            raise RefusedError("HEADER_ABSENT", "first_line_names_columns", file=path.name, columns=",".join(columns))
        self.delimiter = form.delimiter or next(iter(named), None) or self._find_delimiter(first, columns)
        self._reader = csv.reader(chain([first], lines), delimiter=self.delimiter, strict=True)
        self._lines_skipped = skipped
        self.header = self._read_header()

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Every other row that has a value: its number and its values, as many as it has.

        A row that cannot be read is a problem; after a quote that is not closed nothing more can be read.
        """
        reader, skipped = self._reader, self._lines_skipped
        unnamed = [at for at, name in enumerate(self.header) if not name.strip()]
        row, at, values = skipped + reader.line_num + 1, 0, list[str]()
        while True:
            try:
                for values in reader:
                    at, row = row, skipped + reader.line_num + 1
                    if row - at > 1:
                        self._look_for_hidden_row(at, values)
                    if not (values and values[0].strip()) and not "".join(values).strip():
                        self.blank_rows += 1
                    elif unnamed:
                        named = self._named(at, values, unnamed)
                        if named:
                            yield at, named
                    else:
                        yield at, values
            except csv.Error as error:
                end = skipped + reader.line_num
                if self._report(row, end, error):
                    return
                row, values = end + 1, []
            else:
                if self._text.line_cut is not None and "".join(values).strip():
                    line = self.delimiter.join(values)
                    self._findings.note(FindingName.LAST_LINE_CUT, why=Refusal("NO_LINE_END"), row=at, value=line)
                return

    def next_rows(self, last: int) -> Iterator[tuple[int, list[str]]]:
        """The rows up to line `last` as they are, where the first one turned out to be no header; not with rows()."""
        try:
            for values in self._reader:
                if (row := self._lines_skipped + self._reader.line_num) > last:
                    return
                others = (_split(values[0], each) for each in DELIMITER_NAMES.values()) if len(values) == 1 else ()
                yield row, max((values, *others), key=len)
        except csv.Error:
            return

    def names(self) -> list[str]:
        """The header's names, without columns that have none."""
        return [name for name in self.header if name.strip()]

    def _look_for_hidden_row(self, row: int, values: list[str]) -> None:
        """Note a row that may be hidden in a field of `row`, where a quote was forgotten or is one too many."""
        fields = (lines for value in values if len(lines := value.splitlines()) > 1)
        for line in (line for lines in fields for line in lines):
            parts = line.split(self.delimiter)
            if len(parts) >= len(self.header) or (len(parts) > 1 and any(part.strip().isdigit() for part in parts)):
                self._findings.note(FindingName.FIELD_OVER_LINES, why=Refusal("HIDES_A_ROW"), row=row, value=line)
                return

    def _named(self, row: int, values: list[str], unnamed: list[int]) -> list[str]:
        """The row without the columns that have no name, which spreadsheets leave behind; they must be empty."""
        width = len(self.header)
        trailing = unnamed[0] == width - len(unnamed)
        if len(values) > width or (len(values) < width and not trailing):
            self._problems.add(row, "", describe_width(values, width, self.delimiter), self.delimiter.join(values))
            return []
        for at in unnamed:
            if at < len(values) and values[at].strip():
                rule = f"There is a value in column {at + 1}, which has no name in the header."
                self._problems.add(row, "", rule, values[at])
                return []
        return [value for at, value in enumerate(values) if at not in unnamed]

    def _report(self, row: int, end: int, error: csv.Error) -> bool:
        """Report a row that ends in line `end`; whether reading cannot go on, for a quote of it is not closed."""
        if row == end and "end of data" not in str(error) and "field limit" not in str(error):
            rule = "The row cannot be read as CSV: a quote inside a quoted value must be written twice."
            self._problems.add(row, "", rule)
            return False
        rule = (
            "The row cannot be read as CSV: a quote opens in this row and is not closed in it. "
            "Close it, or write it twice inside a quoted value. The rows after it were not read."
        )
        self._problems.add(row, "", rule)
        return True

    def _find_delimiter(self, line: str, columns: Sequence[str]) -> str:
        """The delimiter of the header; refused where two would do."""
        bare = _QUOTED.sub("", line)
        present = [each for each in DELIMITER_NAMES.values() if each in bare]
        if len(present) <= 1:
            return present[0] if present else ","
        composed = normalize("NFC", line)
        needed = {normalize("NFC", name) for name in columns}
        fit = [each for each in present if needed <= set(_split(composed, each))]
        if len(fit) > 1:
            shown = [delimiter_name(each) for each in fit]
            raise RefusedError("DELIMITER_UNCLEAR", "name_delimiter", file=self._path.name, delimiters=tuple(shown))
        # Where none does, the header will be refused: shown as the delimiter that stands in it most often parts it.
        return fit[0] if fit else max(present, key=bare.count)

    def _read_header(self) -> list[str]:
        try:
            return next(self._reader)
        except csv.Error as error:
            raise RefusedError("HEADER_UNREADABLE", "close_quote", file=self._path.name, row=self.header_row) from error


def describe_width(values: Sequence[str], width: int, delimiter: str) -> str:
    """The sentence for a row with another number of values than the header has names."""
    many = f"The row has {len(values)} value{'' if len(values) == 1 else 's'}, not {width}"
    if len(values) > width:
        name = {",": "comma", "\t": "tab", ";": "semicolon"}.get(delimiter, delimiter_name(delimiter))
        return f"{many}. Is there a {name} inside a value? Put that value in quotes; write amounts without separators."
    return f"{many}."


def _first_line(lines: Iterator[str], is_record: Callable[[int, str], bool]) -> tuple[int, str | None]:
    """The first line with anything in it but a record, and how many are before it; None where there is none."""
    number = 0
    for number, line in enumerate(lines):
        if line.strip(' \t\r\n,;|"') and not is_record(number + 1, line):
            return number, line
    return number, None


def _split(line: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:
        return []
