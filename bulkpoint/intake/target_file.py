"""Reads a file of targets as a stream: memory does not grow with the file, except 8 bytes a row.

A file is read twice: once to check it all, once to load it. So a bad file costs the database nothing, and the campaign
is created with the figures of a file that is known to be good.

A row's number is its line in a text file (a row over several lines has the number of its first), its row in a sheet, or
its position in a Parquet file (the first row is 1).
"""

from array import array
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from bulkpoint.errors import RefusedError, UsageError
from bulkpoint.files import name_of
from bulkpoint.intake.cells import as_amount, as_text, cell_rule
from bulkpoint.intake.delimited import TextTable, describe_width
from bulkpoint.intake.form import PLAIN_FORM, UTF_8, ListForm, delimiter_name
from bulkpoint.intake.header import TITLE_ROWS_MAX, place_columns
from bulkpoint.intake.list_looks import BLOCK_ROWS, ListLooks
from bulkpoint.intake.problems import Problems, shorten
from bulkpoint.intake.source import Kind, open_source
from bulkpoint.intake.workbook import open_sheet
from bulkpoint.rules.damage import begins_like_total, names_total
from bulkpoint.rules.findings import FileFindings, FindingName
from bulkpoint.rules.outliers import OTHERS_MIN
from bulkpoint.rules.refusals import Refusal
from bulkpoint.rules.targets import check_row

COLUMNS = ("member_id", "amount", "reason")
PARQUET_BATCH_ROWS = 16_384
HEADER_AGAIN = "The row is the header again: were two files put together?"
# The forms that need no word: what the name says, in UTF-8.
_PLAIN_TEXT = {(".csv", UTF_8, ","), (".tsv", UTF_8, "\t")}

# What a file of each kind is called, and the options that say something about it.
_OPTIONS = {
    Kind.TEXT: ("IS_TEXT", {"encoding", "delimiter", "columns"}),
    Kind.WORKBOOK: ("IS_A_WORKBOOK", {"columns", "sheet"}),
    Kind.PARQUET: ("IS_PARQUET", {"columns"}),
}

# Row, then the values as the file has them: text from text, text and whole numbers from Parquet.
RawRow = tuple[int, Any, Any, Any]


class TargetFile:
    """A file of targets, with what a person said about its form. It may be read again and again.

    inform: gets a part of the language files for people, once: what the file is read as where its name or the plain
    form do not say it, and how many empty rows were skipped.
    """

    def __init__(
        self, path: Path, form: ListForm = PLAIN_FORM, inform: Callable[[Refusal], None] = lambda _: None
    ) -> None:
        self.path = path
        self.name = name_of(path)
        self._form = form
        self._inform = inform
        self._informed: set[str] = set()

    def rows(self, problems: Problems, findings: FileFindings | None = None) -> Iterator[RawRow]:
        """The rows, unchecked; a row that does not have three values goes to `problems` instead.

        findings: what is noticed about the file on the way; None where that was done in an earlier reading.

        Raises RefusedError for a file that is no list, or that cannot be read as what it is: encoding, header, types,
        no rows.
        """
        with open_source(self.path, COLUMNS) as (stream, kind):
            self._refuse_options_of_others(kind)
            if kind == Kind.TEXT:
                yield from self._text(stream, problems, findings or FileFindings())
            elif kind == Kind.PARQUET:
                yield from self._parquet(problems)
            else:
                yield from self._workbook(stream, problems, findings or FileFindings())

    def _refuse_options_of_others(self, kind: Kind) -> None:
        """Raise UsageError for an option that says nothing about this kind of file: it was meant for another file."""
        what, options = _OPTIONS[kind]
        for name in self._form.given():
            if name not in options:
                raise UsageError("OPTION_OF_ANOTHER_KIND", option=f"--{name}", file=self.name, what=Refusal(what))

    def _text(self, stream: IO[bytes], problems: Problems, findings: FileFindings) -> Iterator[RawRow]:
        theirs = [self._form.name_of(name) for name in COLUMNS]
        try:
            table = TextTable(self.path, stream, self._form, theirs, problems, findings=findings)
        except RefusedError as refused:
            raise self._with_columns(refused, stream, theirs) from None
        if (self.path.suffix.lower(), table.encoding, table.delimiter) not in _PLAIN_TEXT:
            form = {"encoding": table.encoding.upper(), "delimiter": delimiter_name(table.delimiter)}
            self._say(Refusal("READ_AS_TEXT", {"file": self.name, **form}))
        names = table.names()
        member, amount, reason = place_columns(
            self.name, table.header_row, names, self._form, COLUMNS, below=table.next_rows(TITLE_ROWS_MAX)
        )
        width = len(names)
        rows = 0
        for row, values in table.rows():
            rows += 1
            if len(values) == width:
                if values[amount] == names[amount]:
                    problems.add(row, "", HEADER_AGAIN)
                else:
                    yield row, values[member], values[amount], values[reason]
            else:
                rule = describe_width(values, width, table.delimiter)
                if word := next(filter(_names_total, values), None):
                    rule = f"{rule} It looks like a total row ({shorten(word)}): delete it."
                problems.add(row, "", rule, table.delimiter.join(values))
        self._say_blank_rows(table.blank_rows)
        if not rows and not problems.count:
            raise RefusedError("FILE_WITHOUT_ROWS", file=self.name)

    def _with_columns(self, refused: RefusedError, stream: IO[bytes], theirs: list[str]) -> RefusedError:
        """A refusal that proposes an encoding, with what else this header then needs: one more try is enough."""
        first = refused.refusal
        if "name_encoding" not in first.remedies:
            return refused
        form = replace(self._form, encoding=first.facts["option"])
        stream.seek(0)
        try:
            table = TextTable(self.path, stream, form, theirs, Problems())
            place_columns(self.name, table.header_row, table.names(), form, COLUMNS)
        except RefusedError as error:
            then = error.refusal
            if "proposed" in then.facts:
                facts = {**then.facts, **first.facts}
                return RefusedError(Refusal(first.code, facts, ("name_encoding_and_columns", *then.remedies[1:])))
        return refused

    def _workbook(self, stream: IO[bytes], problems: Problems, findings: FileFindings) -> Iterator[RawRow]:
        with open_sheet(self.path, stream, self._form, COLUMNS, problems) as sheet:
            read_as = {"file": self.name, "sheet": sheet.name}
            if sheet.others:
                self._say(Refusal("READ_AS_ONE_SHEET", {**read_as, "others": tuple(sheet.others)}))
            else:
                self._say(Refusal("READ_AS_SHEET", read_as))
            names = sheet.names()
            places = place_columns(
                self.name, sheet.header_row, names, self._form, COLUMNS, below=sheet.next_rows(TITLE_ROWS_MAX)
            )
            rows = 0
            for row, cells in sheet.rows():
                rows += 1
                values = [cells[place] for place in places]
                if values[1] == names[places[1]]:
                    problems.add(row, "", HEADER_AGAIN)
                    continue
                if row in sheet.hidden_rows:
                    why = Refusal("ROW_IS_HIDDEN")
                    findings.note(FindingName.HIDDEN_ROWS, why=why, row=row, value=as_text(values[0]))
                if type(values[0]) is int:
                    findings.note(
                        FindingName.NUMBERS_AS_IDS, why=Refusal("ID_IS_A_NUMBER"), row=row, value=str(values[0])
                    )
                wrong = [
                    (column, rule, value)
                    for column, place, value in zip(COLUMNS, places, values, strict=True)
                    if (rule := cell_rule(column, value, merged=value is None and sheet.is_merged(row, place)))
                ]
                for column, rule, value in wrong:
                    problems.add(row, column, rule, value[1] if type(value) is list else value)
                if not wrong:
                    member_id, amount, reason = values
                    yield row, as_text(member_id), as_amount(amount), as_text(reason)
            self._say_blank_rows(sheet.blank_rows)
            if not rows and not problems.count:
                raise RefusedError("FILE_WITHOUT_ROWS", file=self.name)

    def _parquet(self, problems: Problems) -> Iterator[RawRow]:
        import pyarrow as pa
        from pyarrow import parquet

        if self.path.suffix.lower() != ".parquet":
            self._say(Refusal("READ_AS_PARQUET", {"file": self.name}))
        try:
            file = parquet.ParquetFile(self.path, pre_buffer=False)  # else the whole file, compressed, is in memory
        except (pa.ArrowException, OSError) as error:
            raise RefusedError("PARQUET_UNREADABLE", file=self.name, why=_first_line(error)) from error
        with file:
            places = place_columns(self.name, 1, file.schema_arrow.names, self._form, COLUMNS)
            theirs = [file.schema_arrow.names[place] for place in places]
            _refuse_other_types(self.name, file.schema_arrow, theirs)
            if file.metadata.num_rows == 0:
                raise RefusedError("PARQUET_WITHOUT_ROWS", file=self.name)
            row = 0
            try:
                for batch in file.iter_batches(PARQUET_BATCH_ROWS, columns=theirs):
                    columns = batch.to_pydict()
                    for values in zip(*(columns[name] for name in theirs), strict=True):
                        row += 1
                        if None in values:
                            missing = [name for name, value in zip(COLUMNS, values, strict=True) if value is None]
                            problems.add(row, missing[0], f"{missing[0]} is null.")
                        else:
                            member_id, amount, reason = values
                            yield row, member_id, int(amount), reason
            except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
                raise RefusedError("PARQUET_BROKEN", file=self.name, row=row, why=_first_line(error)) from error

    def _say_blank_rows(self, number: int) -> None:
        if number:
            self._say(Refusal("BLANK_ROWS_SKIPPED", {"file": self.name, "number": number}))

    def _say(self, what: Refusal) -> None:
        if what.code not in self._informed:
            self._informed.add(what.code)
            self._inform(what)


def check_rows(
    file: TargetFile, problems: Problems, findings: FileFindings, hashes: "array[int]", *, amount_max: int
) -> Iterator[tuple[int, str, int, str]]:
    """The good rows of a file as (row, member_id, points, reason); what is wrong with the others goes to `problems`.

    What makes a list look wrong although no row breaks a rule goes to `findings`.

    `hashes` gets hash(member_id) of every row that has three values, for report_duplicates after the last one.
    """
    looks = ListLooks(findings)
    block: list[tuple[int, str, int, str]] = []
    total = 0
    for row, member_id, amount, reason in file.rows(problems, findings):
        hashes.append(hash(member_id))
        if violations := check_row(member_id, amount, reason, amount_max=amount_max):
            values = dict(zip(COLUMNS, (member_id, amount, reason), strict=True))
            if total_words := _total_words(member_id, amount, reason, total, len(hashes)):
                rule = " ".join(violation.sentence for violation in violations)
                problems.add(row, "", f"{rule} {total_words}", member_id or amount)
                continue
            for violation in violations:
                column = next(name for name in COLUMNS if violation.rule.startswith(name))
                problems.add(row, column, violation.sentence, values[column])
        else:
            points = int(amount)
            total += points
            good = (row, member_id, points, reason)
            block.append(good)
            if len(block) == BLOCK_ROWS:
                looks.look_at(*zip(*block, strict=True))
                block = []
            yield good
    if block:
        looks.look_at(*zip(*block, strict=True))
    looks.finish(hashes, lambda: ((row, member_id) for row, member_id, _, _ in file.rows(Problems())))


def _total_words(member_id: object, amount: object, reason: object, total: int, count: int) -> str:
    """What is said of a bad row that looks like a total of others: by a word, or as the sum of all before it.

    total, count: the points before it, and how many rows there are with it. Empty where it does not look so.
    """
    named = [text for text in (member_id, reason) if isinstance(text, str) and _names_total(text)]
    digits = str(amount)
    of_others = digits.isascii() and digits.isdigit() and 0 < total == int(digits[:20]) and count > OTHERS_MIN
    if not (named or of_others):
        return ""
    shown = ", ".join(each for each in (shorten(named[0]) if named else "", shorten(amount).strip("'")) if each)
    return f"It looks like a total row ({shown}): delete it."


def _names_total(text: str) -> bool:
    return names_total(text.strip()) or begins_like_total(text.strip())


def report_duplicates(file: TargetFile, hashes: "array[int]", problems: Problems) -> int:
    """Report every row whose member an earlier row has, and return their number."""
    count = 0
    for member_id, rows in duplicate_rows(file, hashes).items():
        sentence = f"member_id {shorten(member_id)} is in row {rows[0]:,} already."
        for again in rows[1:]:
            problems.add(again, "member_id", sentence, member_id)
            count += 1
    return count


def duplicate_rows(file: TargetFile, hashes: "array[int]") -> dict[str, list[int]]:
    """Member ids that more than one row has, with their rows, found by hashes: 8 bytes a row instead of the ids.

    `hashes` has hash(member_id) of each row in the file's order. Only if two hashes are equal, the file is read a third
    time to compare the ids.
    """
    import numpy as np

    ordered = np.sort(np.frombuffer(hashes, dtype=np.int64))
    suspects = set(ordered[1:][ordered[1:] == ordered[:-1]].tolist())
    rows_of: dict[str, list[int]] = {}
    if suspects:
        for row, member_id, _, _ in file.rows(Problems()):
            if hash(member_id) in suspects:
                rows_of.setdefault(member_id, []).append(row)
    return {member_id: rows for member_id, rows in rows_of.items() if len(rows) > 1}


def _refuse_other_types(file: str, schema: Any, theirs: list[str]) -> None:
    from pyarrow import types

    for ours, name in zip(COLUMNS, theirs, strict=True):
        kind = schema.field(name).type
        if types.is_dictionary(kind):
            kind = kind.value_type
        if ours == "amount":
            good = types.is_integer(kind) or (types.is_decimal(kind) and kind.scale == 0)
            code = "AMOUNT_COLUMN_OF_ANOTHER_TYPE"
        else:
            good = types.is_string(kind) or types.is_large_string(kind)
            code = "TEXT_COLUMN_OF_ANOTHER_TYPE"
        if not good:
            raise RefusedError(code, file=file, column=name, type=str(kind))


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
