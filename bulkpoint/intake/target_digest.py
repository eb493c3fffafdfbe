"""The digest of a file of targets: its rows are sorted in memory that does not grow with the file.

Rows that do not fit are sorted in parts, kept on disk in files without a name, and merged.
"""

import heapq
import struct
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from types import TracebackType
from typing import IO, Self

from bulkpoint.rules.digest import digest_rows, member_bytes, row_bytes
from bulkpoint.rules.refusals import Refusal

# Rows in memory at a time; with Python's overhead some 50 MB. More is not faster: measured up to 64 MB. Each part is an
# open file, so a process that may have a thousand of these can sort 16 GB of rows.
HELD_BYTES_MAX = 16 * 2**20
BUFFER_BYTES = 64 * 2**10
_LENGTH = struct.Struct(">I")


class TargetDigest:
    """Takes the good rows of a file in any order, and gives their digest at the end."""

    def __init__(self, held_bytes_max: int = HELD_BYTES_MAX) -> None:
        self._held_bytes_max = held_bytes_max
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._parts: list[IO[bytes]] = []
        self._files = ExitStack()
        self.trouble: Refusal | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._files.close()

    def add(self, member_id: str, amount: int, reason: str) -> None:
        """Add a row that breaks no rule, of a member with no other row."""
        if self.trouble is not None:
            return
        row = row_bytes(member_id, amount, reason)
        self._held.append(row)
        self._held_bytes += len(row)
        if self._held_bytes > self._held_bytes_max:
            self._write_part()

    def digest(self) -> bytes | None:
        """The digest; None if there was no room to sort so many rows, as `trouble` then says."""
        if self.trouble is not None:
            return None
        self._held.sort(key=member_bytes)
        parts = [_read_part(part) for part in self._parts]
        return digest_rows(heapq.merge(*parts, self._held, key=member_bytes))

    def _write_part(self) -> None:
        self._held.sort(key=member_bytes)
        try:
            file = tempfile.TemporaryFile(buffering=BUFFER_BYTES)  # noqa: SIM115 (the stack closes it)
            part = self._files.enter_context(file)
            for row in self._held:
                part.write(_LENGTH.pack(len(row)))
                part.write(row)
            part.flush()
        except OSError as error:
            # The digest is one of many figures: the others are worth having without it.
            self._files.close()
            why = {"folder": tempfile.gettempdir(), "why": error.strerror}
            self.trouble = Refusal("TOO_MANY_ROWS_TO_SORT", why, ("name_larger_folder",))
        else:
            part.seek(0)
            self._parts.append(part)
        self._held = []
        self._held_bytes = 0


def _read_part(part: IO[bytes]) -> Iterator[bytes]:
    while head := part.read(_LENGTH.size):
        yield part.read(_LENGTH.unpack(head)[0])
