"""What our programs read and write at a terminal, in a pipe or in a scheduler's log: stdin, stdout, stderr.

A stream may be closed, full, or its reader gone. A line for people that cannot be written is dropped, because it must
not end a run: what it said is in the database too (`campaign history`), and in Slack. A result that cannot be written
is an error, because the program that asked for it must know.
"""

import errno
import io
import os
import select
import stat
import sys
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

# How long a line for people waits for a reader that takes nothing now (a stream that does not block).
_READER_S_MAX = 1.0


class _Lines:
    form: Callable[[str], str] | None = None


class StdoutFailedError(Exception):
    """The result could not be written; `why` is the system's reason. Later writes to stdout are dropped."""

    def __init__(self, why: OSError) -> None:
        super().__init__(why.errno, why.strerror)
        self.why = why
        self.reader_is_gone = why.errno == errno.EPIPE


def take_streams() -> None:
    """To be called first in a program: stdin, stdout and stderr are open from now on, and stderr never fails.

    A closed stdout or stderr becomes one that refuses every write, so that no file or socket of ours gets its number.
    stdout raises StdoutFailedError at the first write that fails. A character that the encoding of a stream lacks is
    written as an escape, `\\uc9c0`. A stream that a test has put there stays as it is.
    """
    for number in (0, 1, 2):
        if not _is_open(number):
            _open_null(number)
    if sys.stdin is None:
        sys.stdin = os.fdopen(0, closefd=False)
    if sys.stdout is sys.__stdout__:
        sys.stdout = _text(_Stdout(1, "wb", closefd=False), sys.stdout)
    if sys.stderr is sys.__stderr__:
        sys.stderr = _text(_Stderr(2, "wb", closefd=False), sys.stderr)


def write_utf8() -> None:
    """From now on stdout is UTF-8, whatever the terminal's encoding: JSON is always UTF-8 (RFC 8259, section 8.1)."""
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.encoding.lower() != "utf-8":
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")


def form_lines(form: Callable[[str], str] | None) -> None:
    """From now on what is said on stderr is written as `form` gives it (log.py); None: as it is."""
    _Lines.form = form


def say_on_stderr(line: str) -> None:
    """One line for people or a log; dropped where it cannot be written. Also for processes that others started."""
    write_on_stderr(line if _Lines.form is None else _Lines.form(line))


def write_on_stderr(line: str) -> None:
    """The same, in whatever form it is."""
    try:
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()
    except (OSError, ValueError, AttributeError):  # full, closed, never open
        return


def regular_files_written() -> list[tuple[str, os.stat_result]]:
    """stdout and stderr where they are files, with what identifies them."""
    found = [(name, os.fstat(number)) for name, number in (("stdout", 1), ("stderr", 2)) if _is_open(number)]
    return [(name, status) for name, status in found if stat.S_ISREG(status.st_mode)]


def say_traceback(error: BaseException) -> None:
    """Where a defect is, for whoever corrects it; dropped as a line is."""
    say_on_stderr("".join(traceback.format_exception(error)).rstrip("\n"))


class _Stdout(io.FileIO):
    _failed = False

    def write(self, data: "ReadableBuffer") -> int:
        if self._failed:
            return _length(data)
        try:
            while (written := super().write(data)) is None:
                select.select([], [self], [])  # a pipe that does not block, and is full
        except OSError as error:
            self._failed = True
            raise StdoutFailedError(error) from error
        return written


class _Stderr(io.FileIO):
    def write(self, data: "ReadableBuffer") -> int:
        try:
            written = super().write(data)
            if written is None and select.select([], [self], [], _READER_S_MAX)[1]:
                written = super().write(data)
        except OSError:
            written = None
        return _length(data) if written is None else written


def _length(data: "ReadableBuffer") -> int:
    return memoryview(data).nbytes


def _text(raw: io.FileIO, before: TextIO | None) -> TextIO:
    encoding = "utf-8" if before is None else before.encoding
    by_line = raw.isatty() or isinstance(raw, _Stderr)
    return io.TextIOWrapper(
        io.BufferedWriter(raw), encoding=encoding, errors="backslashreplace", line_buffering=by_line
    )


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def _open_null(number: int) -> None:
    """Also for what we start. Read only: what is written there fails instead of getting lost without a word."""
    opened = os.open(os.devnull, os.O_RDONLY)
    if opened == number:
        os.set_inheritable(opened, True)
    else:
        os.dup2(opened, number)
        os.close(opened)
