"""What the driver and a partition send to each other: plain values, no secrets."""

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import UUID

from bulkpoint.settings import Settings
from bulkpoint.store.share import RunToken

if TYPE_CHECKING:
    import pyarrow as pa

# What a partition reports when it ends; the results are in the database. trouble: why it ended before its rows, for
# people; null where it did not, or where the reason is written on the run (a halt, a stop).
REPORT_SCHEMA = "taken bigint, sent bigint, trouble string"


def report_batch(taken: int, sent: int, trouble: str | None) -> "pa.RecordBatch":
    """One row of REPORT_SCHEMA, made of its bytes: to make it of Python's values, pyarrow would import pandas, which
    nothing else here needs (0.3 s of CPU).
    """
    import pyarrow as pa

    def number(value: int) -> pa.Array:
        return pa.Array.from_buffers(pa.int64(), 1, [None, pa.py_buffer(struct.pack("=q", value))])

    said = pa.nulls(1, pa.string())
    if trouble is not None:
        text = trouble.encode()
        from_to = pa.py_buffer(struct.pack("=ii", 0, len(text)))
        said = pa.Array.from_buffers(pa.string(), 1, [None, from_to, pa.py_buffer(text)])
    return pa.RecordBatch.from_arrays([number(taken), number(sent), said], ["taken", "sent", "trouble"])


@dataclass(frozen=True, slots=True)
class PartitionTask:
    """One run's part of a task. `settings` name the files that hold secrets; executors read them themselves."""

    run: RunToken
    key_namespace: UUID
    conninfo: str
    settings: Settings


@dataclass(slots=True)
class Payment:
    """A claimed payment on its way through a partition; changed only by the thread that has it.

    first_sent_at, last_sent_at: instants of this worker's boot_clock, also for sends by others; None: never sent.
    failure_code: the result of its last try; refused: that was the money API's own refusal of this payment. lost:
    whether its last call from here left and got no answer. uncounted: calls that were refused for want of room, and so
    are no tries. refusals: calls from here that were refused for want of a right (401, 403); refused_since: when the
    first of them left.
    """

    seq: int
    member_id: str
    amount: int
    reason: str
    key: UUID
    tries: int
    maybe_credited: bool
    failure_code: str | None
    first_sent_at: float | None
    last_sent_at: float | None
    refused: bool = field(default=False, kw_only=True)
    lost: bool = field(default=False, kw_only=True)
    uncounted: int = field(default=0, kw_only=True)
    refusals: int = field(default=0, kw_only=True)
    refused_since: float = field(default=0.0, kw_only=True)
