"""What is wrong with the rows of a file: counted, summed up for people, all of it written to a file."""

import csv
import re
from bisect import insort
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from bulkpoint.errors import UsageError
from bulkpoint.rules.member_names import masked_value
from bulkpoint.rules.refusals import Refusal
from bulkpoint.text import quoted

PROBLEMS_SHOWN = 20
VALUE_CHARACTERS_SHOWN = 60
# Of more rows than these with the same rule, one line says it, where not every problem has a line of its own.
ROWS_ALIKE_MAX = 5
_KINDS_MAX = 1_000  # a bound for the memory of a hostile file
_SORTED_MAX = 100_000  # lines of a file of errors that are put in order when it is whole
_VALUES = re.compile(r"""'[^']*'|"[^"]*"|[0-9][0-9.,]*""")


@dataclass(frozen=True)
class Problem:
    """One thing wrong: the row, the column (empty: the row as a whole), the rule in a sentence, the value, short."""

    row: int
    column: str
    rule: str
    value: str

    def __str__(self) -> str:
        return f"row {self.row:,}: {self.rule}"

    def as_refusal(self) -> Refusal:
        """As a line of a refusal."""
        return Refusal("ROW_WRONG", {"row": self.row, "rule": self.rule})

    def without_member(self) -> str:
        """The line for somebody who may not see member ids."""
        return _without_values(str(self), [self])


@dataclass
class Alike:
    """Problems of the same rule: how many, and the first of them by row."""

    count: int = 0
    first: list[Problem] = field(default_factory=list)

    @property
    def row(self) -> int:
        """The first row of them."""
        return self.first[0].row

    def __str__(self) -> str:
        return f"{self.count:,} rows ({self._rows()}, ...), such as row {self.row:,}: {self._rule()}"

    def as_refusal(self) -> Refusal:
        """As a line of a refusal."""
        facts = {"number": self.count, "rows": self._rows(), "row": self.row, "rule": self._rule()}
        return Refusal("ROWS_WRONG", facts)

    def without_member(self) -> str:
        """The line for somebody who may not see member ids."""
        return _without_values(str(self), self.first)

    def _rows(self) -> str:
        return ", ".join(f"{each.row:,}" for each in self.first)

    def _rule(self) -> str:
        """The rule, with the value of the first row."""
        first = self.first[0]
        shown = not first.value or first.value in first.rule
        return first.rule if shown else f"{first.rule} Row {first.row:,} has {first.value}."


class Problems:
    """Counts what is wrong, sums it up in at most 20 lines, and writes all of it to a CSV file if one is named."""

    def __init__(self, file: Path | None = None) -> None:
        self.count = 0
        self.rows = 0  # with at least one problem, where a row's problems come one after another
        self.first: list[Problem] = []  # by row
        self._kinds: dict[tuple[str, str], Alike] = {}
        self._last_written = 0
        self._in_order = True
        self._last_row: int | None = None
        self._file = file
        self._stream: IO[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._stream is not None:
            with self._written():
                self._stream.close()
                if not self._in_order and self.count <= _SORTED_MAX and self._is_regular():
                    self._sort_file()

    def add(self, row: int, column: str, rule: str, value: object = "") -> None:
        problem = Problem(row, column, rule, shorten(value))
        self.count += 1
        self.rows += row != self._last_row
        self._last_row = row
        _keep(self.first, problem, PROBLEMS_SHOWN)
        if (kind := (column, _kind_of(rule))) in self._kinds or len(self._kinds) < _KINDS_MAX:
            alike = self._kinds.setdefault(kind, Alike())
            alike.count += 1
            _keep(alike.first, problem, ROWS_ALIKE_MAX)
        if self._file is not None:
            self._in_order = self._in_order and row >= self._last_written
            self._last_written = row
            if self._stream is None:
                self._stream = _open_for_writing(self._file)
                csv.writer(self._stream).writerow(["row", "column", "rule", "value"])
            with self._written():
                csv.writer(self._stream).writerow([row, column, rule, problem.value])

    def _is_regular(self) -> bool:
        return self._file is not None and self._file.is_file()

    def _sort_file(self) -> None:
        """Put the lines in the order of their rows: members who appear twice are known last."""
        assert self._file is not None, "it is what was written"
        with self._file.open(encoding="utf-8", newline="") as stream:
            header, *lines = csv.reader(stream)
        with self._file.open("w", encoding="utf-8", newline="") as stream:
            csv.writer(stream).writerows([header, *sorted(lines, key=lambda line: int(line[0]))])

    @contextmanager
    def _written(self) -> Iterator[None]:
        """Raises UsageError where the disk has no more room: the file would look complete."""
        try:
            yield
        except OSError as error:
            assert self._file is not None, "it is what cannot be written"
            raise _unwritable(self._file, error) from error

    def refusal(self, path: Path) -> Refusal:
        """The refusal of a bad file of targets."""
        lines = self.lines()
        if self._file is not None:
            lines.append(Refusal("ALL_IN_FILE", {"errors_file": str(self._file)}))
        elif more := self.unsaid():
            lines.append(Refusal("MORE_ERRORS_OF_FILE", {"more": more}))
        elif self.count > len(lines):
            lines.append(Refusal("ERRORS_OPTION"))
        return Refusal("TARGETS_FILE_WRONG", {"file": path.name, "error_count": self.count, "lines": tuple(lines)})

    def lines(self) -> list[Refusal]:
        """At most 20 lines, as summed_up() gives them."""
        return [each.as_refusal() for each in self.summed_up()]

    def summed_up(self) -> list[Problem | Alike]:
        """At most 20 lines in the order of the rows: each problem, or one line for many rows with the same rule."""
        if self.count <= PROBLEMS_SHOWN:
            return list(self.first)
        lines: list[Problem | Alike] = []
        for alike in self._kinds.values():
            lines += [alike] if alike.count > ROWS_ALIKE_MAX else alike.first
        lines.sort(key=lambda each: (isinstance(each, Problem), each.row))
        return sorted(lines[:PROBLEMS_SHOWN], key=lambda each: each.row)

    def unsaid(self) -> int:
        """How many problems are in none of these lines."""
        return self.count - sum(each.count if isinstance(each, Alike) else 1 for each in self.summed_up())


def _without_values(line: str, problems: list[Problem]) -> str:
    """A line whose values, of the member's column and of whole rows, are masked."""
    for each in problems:
        if each.value and each.column in ("member_id", ""):
            line = line.replace(each.value, masked_value(each.value))
    return line


def _keep(first: list[Problem], problem: Problem, number: int) -> None:
    """Keep the first problems by row; of one row in the order in which they came."""
    if len(first) < number or problem.row < first[-1].row:
        insort(first, problem, key=lambda each: each.row)
        del first[number:]


@lru_cache(maxsize=_KINDS_MAX)
def _kind_of(rule: str) -> str:
    """A rule without the values that its sentence shows."""
    return _VALUES.sub("#", rule)


def shorten(value: object) -> str:
    """A value as it may be printed: quoted, control characters escaped, 60 characters at most."""
    if value == "":
        return ""
    return quoted(value if isinstance(value, str) else str(value), VALUE_CHARACTERS_SHOWN)


def _open_for_writing(path: Path) -> IO[str]:
    try:
        return path.open("w", encoding="utf-8", newline="")
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> UsageError:
    facts = {"file": str(path), "why": error.strerror or str(error)}
    return UsageError("ERRORS_FILE_UNWRITABLE", "name_another_errors_file", **facts)
