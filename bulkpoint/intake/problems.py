"""What is wrong with the rows of a file: counted, the first ones kept for people, all of them written to a file."""

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from bulkpoint.errors import UsageError
from bulkpoint.rules.refusals import Refusal
from bulkpoint.text import quoted

PROBLEMS_SHOWN = 20
VALUE_CHARACTERS_SHOWN = 60


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
            with self._written():
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
            with self._written():
                csv.writer(self._stream).writerow([row, column, rule, problem.value])

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


def _open_for_writing(path: Path) -> IO[str]:
    try:
        return path.open("w", encoding="utf-8", newline="")
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> UsageError:
    facts = {"file": str(path), "why": error.strerror or str(error)}
    return UsageError("ERRORS_FILE_UNWRITABLE", "name_another_errors_file", **facts)
