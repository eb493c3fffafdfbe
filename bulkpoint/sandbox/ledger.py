"""The durable record of who was credited: an append-only file of JSON lines, and a small index over it in memory."""

import asyncio
import fcntl
import json
import os
import re
import secrets
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from json.encoder import encode_basestring_ascii
from pathlib import Path
from typing import Final, NamedTuple

from bulkpoint.sandbox.orders import Order, key_text, read_key
from bulkpoint.sandbox.refusals import LedgerError

LINE_BYTES_MAX: Final = 16_384  # the longest line: 128 + 500 characters of at most 12 escaped bytes, and the rest
READ_BYTES: Final = 262_144
SHARDS: Final = 256  # growing one big dict stops the loop for 50 ms and more; growing a 256th of it does not

# The last field of a line is not public. Quotes inside a JSON string are escaped, so this finds that field only.
_REASON = re.compile(rb',"reason":[^\n]*\n')


class Credit(NamedTuple):
    """One credit as written."""

    key: int
    order: Order
    transaction_id: str
    credited_at: str

    def line(self) -> bytes:
        """One line of the file, at most LINE_BYTES_MAX long; the order of the fields matters to public_lines."""
        key, order, transaction_id, credited_at = self
        campaign_id, member_id, amount, reason = order
        return (
            f'{{"key":"{key_text(key)}","campaign_id":{campaign_id},"member_id":{encode_basestring_ascii(member_id)},'
            f'"amount":{amount},"transaction_id":"{transaction_id}","credited_at":"{credited_at}",'
            f'"reason":{encode_basestring_ascii(reason)}}}\n'
        ).encode()

    @classmethod
    def read(cls, line: bytes) -> "Credit":
        """The credit in a line that line() wrote. Raises ValueError or KeyError."""
        fields = json.loads(line)
        order = Order(fields["campaign_id"], fields["member_id"], fields["amount"], fields["reason"])
        return cls(read_key(fields["key"]), order, fields["transaction_id"], fields["credited_at"])


OnDurable = Callable[[str], None]  # takes the transaction id


class Ledger:
    """Every credit once, found by its key; a credit counts from the moment it is on the disk.

    Credits requested while one write is under way go together into the next one (group commit). path: None means a
    temporary file that is never synced and is gone with the process. Memory: about 240 bytes a credit.
    All methods belong to the event loop's thread.
    """

    def __init__(self, path: Path | None, *, on_failure: Callable[[OSError], None]) -> None:
        """Open or create the file and read it. on_failure is called once if the disk fails; no credit is made after.

        Raises LedgerError if the file cannot be used, is in use, or has a line that is not a credit. An unfinished
        last line was never acknowledged: it is cut off.
        """
        self.credits = 0
        self.amount = 0
        self.paid_twice = 0  # credits beyond the first of their campaign and member
        self._offsets: list[dict[int, int]] = [{} for _ in range(SHARDS)]
        self._paid: list[set[str]] = [set() for _ in range(SHARDS)]
        self._size = 0  # bytes that are durable and indexed
        self._waiting: list[tuple[int, Order, OnDurable]] = []
        self._writing: asyncio.Future[None] | None = None
        self._failed = False
        self._on_failure = on_failure
        self._series = secrets.token_hex(5)  # two ledgers, or two openings of one, never give the same transaction id
        self._transactions = 0
        self._synced = path is not None
        self._file = _open(path)
        self._disk = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        self._load(path)

    def find(self, key: int) -> Credit | None:
        """The credit made with this key, if it is durable."""
        offset = self._offsets[key % SHARDS].get(key)
        if offset is None:
            return None
        line, _, _ = os.pread(self._file, LINE_BYTES_MAX, offset).partition(b"\n")
        return Credit.read(line)

    def credit(self, key: int, order: Order, on_durable: OnDurable) -> None:
        """Make a credit with a key that has no credit, nor a waiting one; on_durable gets its id when it is durable."""
        if key in self._offsets[key % SHARDS]:  # no assert: this must hold under `python -O` too
            raise RuntimeError("a second credit with a key that has one")
        self._waiting.append((key, order, on_durable))
        if self._writing is None and len(self._waiting) == 1:
            # Not at once: what arrived in the same turn of the loop shares the sync.
            asyncio.get_running_loop().call_soon(self._write)

    def public_lines(self) -> Iterator[bytes]:
        """Chunks of whole JSON lines without the reason, up to what was durable when this was called."""
        offset, end = 0, self._size
        while offset < end:
            chunk = os.pread(self._file, min(READ_BYTES, end - offset), offset)
            whole = chunk[: chunk.rindex(b"\n") + 1]
            offset += len(whole)
            yield _REASON.sub(b"}\n", whole)

    async def close(self) -> None:
        """Write and sync what waits, then close the file."""
        while (self._waiting or self._writing) and not self._failed:
            if self._writing is None:
                self._write()
            assert self._writing is not None
            await asyncio.wait([self._writing])
            await asyncio.sleep(0)  # lets _written run
        self._disk.shutdown()
        os.close(self._file)

    def _load(self, path: Path | None) -> None:
        if path is None:
            return
        with path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if not line.endswith(b"\n"):
                    os.ftruncate(self._file, self._size)
                    os.fsync(self._file)
                    return
                try:
                    credit = Credit.read(line)
                    known = credit.key in self._offsets[credit.key % SHARDS]
                except (ValueError, KeyError, TypeError) as error:
                    raise LedgerError(f"{path} line {number} is no credit: is this a sandbox ledger?") from error
                if known:
                    raise LedgerError(f"{path} line {number} repeats a key: the ledger was tampered with")
                self._index(credit, len(line))

    def _index(self, credit: Credit, line_bytes: int) -> None:
        key, (campaign_id, member_id, amount, _), _, _ = credit
        self._offsets[key % SHARDS][key] = self._size
        self._size += line_bytes
        self.credits += 1
        self.amount += amount
        payee = f"{campaign_id}:{member_id}"
        paid = self._paid[hash(payee) % SHARDS]
        if payee in paid:
            self.paid_twice += 1
        paid.add(payee)

    def _write(self) -> None:
        if self._writing is not None or self._failed or not self._waiting:
            return
        waiting, self._waiting = self._waiting, []
        now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        batch = []
        for number, (key, order, on_durable) in enumerate(waiting, self._transactions + 1):
            credit = Credit(key, order, f"tx-{self._series}-{number:09d}", now)
            batch.append((credit, credit.line(), on_durable))
        self._transactions += len(batch)
        data = b"".join([line for _, line, _ in batch])
        self._writing = asyncio.get_running_loop().run_in_executor(self._disk, self._append, data)
        self._writing.add_done_callback(partial(self._written, batch))

    def _append(self, data: bytes) -> None:
        """Runs in the disk's thread."""
        unwritten = memoryview(data)
        while unwritten:
            unwritten = unwritten[os.write(self._file, unwritten) :]
        if self._synced:
            os.fdatasync(self._file)

    def _written(self, batch: list[tuple[Credit, bytes, OnDurable]], writing: asyncio.Future[None]) -> None:
        self._writing = None
        error = writing.exception()
        if error is not None:
            # After a failed write or sync it is unknown what is on the disk: answer nothing more.
            self._failed = True
            assert isinstance(error, OSError), "only the disk can fail here"
            self._on_failure(error)
            return
        for credit, line, on_durable in batch:
            self._index(credit, len(line))
            on_durable(credit.transaction_id)
        self._write()


def _open(path: Path | None) -> int:
    """The file for reading and appending, locked for this process; its directory entry is durable."""
    if path is None:
        with tempfile.TemporaryFile() as file:
            return os.dup(file.fileno())
    try:
        file_descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        directory = os.open(path.parent, os.O_RDONLY)
        os.fsync(directory)
        os.close(directory)
    except OSError as error:
        raise LedgerError(
            f"the ledger {path} cannot be opened: {error.strerror}; name another with --ledger"
        ) from error
    try:
        fcntl.flock(file_descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(file_descriptor)
        raise LedgerError(f"the ledger {path} is in use by another sandbox: stop it or name another file") from error
    return file_descriptor
