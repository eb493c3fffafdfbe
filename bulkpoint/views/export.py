"""A campaign's payments as a file for finance: CSV or Parquet, row by row, and what they add up to.

Batches of rows in, bytes out: memory does not grow with the campaign. Knows no SQL and no command line.
"""

import csv
import io
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, get_args, get_type_hints

from bulkpoint.errors import RefusedError, UsageError
from bulkpoint.rules.lifecycle import CampaignState, FailureKind
from bulkpoint.store.campaign import Campaign
from bulkpoint.store.export import PaymentRow
from bulkpoint.text import defused
from bulkpoint.views.format import utc_time

if TYPE_CHECKING:
    import pyarrow


class Column(NamedTuple):
    """A column of the report: what PaymentRow says of it. kind: int, str or datetime."""

    name: str
    kind: type
    nullable: bool


def _columns() -> list[Column]:
    columns = []
    for name, hint in get_type_hints(PaymentRow).items():
        kinds = get_args(hint) or (hint,)
        columns.append(Column(name, kinds[0], NoneType in kinds))
    return columns


# Every column follows from PaymentRow: a new one is written there and in its statement, and nowhere else.
COLUMNS = _columns()
_TEXTS = [number for number, column in enumerate(COLUMNS) if column.kind is str]
_TIMES = [number for number, column in enumerate(COLUMNS) if column.kind is datetime]
# A row group of Parquet: some 10 MB, so that readers can skip and this process stays small.
ROW_GROUP_ROWS = 100_000


@dataclass
class Totals:
    """Payments and points written so far, by state; UNKNOWN ones apart from the FAILED ones."""

    counts: Counter[str] = field(default_factory=Counter)
    amounts: Counter[str] = field(default_factory=Counter)

    def add(self, batch: list[PaymentRow]) -> None:
        counts, amounts = self.counts, self.amounts
        for row in batch:
            state = FailureKind.UNKNOWN if row.failure_kind == FailureKind.UNKNOWN else row.state
            counts[state] += 1
            amounts[state] += row.amount

    def __str__(self) -> str:
        parts = [f"success {self.counts['SUCCESS']:,} ({self.amounts['SUCCESS']:,} points)"]
        parts += [f"failed {self.counts['FAILED']:,} ({self.amounts['FAILED']:,} points)"]
        if unknown := self.counts["UNKNOWN"]:
            parts += [f"unknown {unknown:,} ({self.amounts['UNKNOWN']:,} points)"]
        if still_open := self.counts["PENDING"] + self.counts["PROCESSING"]:
            parts += [f"open {still_open:,} ({self.amounts['PENDING'] + self.amounts['PROCESSING']:,} points)"]
        payments, points = sum(self.counts.values()), sum(self.amounts.values())
        return f"{payments:,} payment{'' if payments == 1 else 's'}, {points:,} points: {', '.join(parts)}"


def refuse_unstarted(campaign: Campaign) -> None:
    """Raises RefusedError, with what to do instead, for a campaign that has no payments yet."""
    if campaign.frozen_at is not None:
        return
    if campaign.state == CampaignState.WITHDRAWN:
        raise RefusedError("REPORT_OF_WITHDRAWN", "show_what_it_was", campaign_id=campaign.campaign_id)
    raise RefusedError("REPORT_BEFORE_START", "preview_instead", campaign_id=campaign.campaign_id, state=campaign.state)


def write_csv(batches: Iterable[list[PaymentRow]], stream: BinaryIO) -> Totals:
    """UTF-8 with a header, quoted and with line ends as RFC 4180 has them; times RFC 3339 in UTC, None is empty.

    Text that begins like a formula gets a leading apostrophe.
    """
    totals = Totals()
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(PaymentRow._fields)
    for batch in batches:
        writer.writerows(map(_csv_row, batch))
        totals.add(batch)
        _move(text, stream)
    _move(text, stream)
    return totals


def _move(text: io.StringIO, stream: BinaryIO) -> None:
    stream.write(text.getvalue().encode())
    text.seek(0)
    text.truncate()


def _csv_row(row: PaymentRow) -> list[Any]:
    cells: list[Any] = list(row)
    for number in _TEXTS:
        cells[number] = defused(cells[number])
    for number in _TIMES:
        cells[number] = utc_time(cells[number])
    return cells


def write_parquet(batches: Iterable[list[PaymentRow]], stream: BinaryIO) -> Totals:
    """The same columns with their types, values as they are; timestamps in UTC, to the microsecond."""
    import pyarrow as pa
    from pyarrow import parquet

    totals = Totals()
    schema = _schema()
    waiting: list[pa.RecordBatch] = []
    with parquet.ParquetWriter(stream, schema, compression="zstd") as writer:
        for batch in batches:
            arrays = [
                pa.array(column, kind) for column, kind in zip(zip(*batch, strict=True), schema.types, strict=True)
            ]
            waiting.append(pa.RecordBatch.from_arrays(arrays, schema=schema))
            totals.add(batch)
            if sum(len(part) for part in waiting) >= ROW_GROUP_ROWS:
                writer.write_table(pa.Table.from_batches(waiting, schema))
                waiting.clear()
        if waiting:
            writer.write_table(pa.Table.from_batches(waiting, schema))
    return totals


def _schema() -> "pyarrow.Schema":
    import pyarrow as pa

    types = {str: pa.string(), int: pa.int64(), datetime: pa.timestamp("us", tz="UTC")}
    narrow = {"attempts": pa.int32()}
    return pa.schema(
        [pa.field(column.name, narrow.get(column.name, types[column.kind]), column.nullable) for column in COLUMNS]
    )


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A stream whose bytes become the file `path` when the block ends without an error; else the old file stays.

    Until then they are in `path`.part. Raises UsageError if nothing can be written there.
    """
    target = path.resolve()
    if target.exists() and not target.is_file():
        raise UsageError("OUT_NOT_A_FILE", file=str(path))
    part = target.with_name(f"{target.name}.part")
    try:
        stream = part.open("wb")
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        with stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(target)
    except BaseException as error:
        part.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise _unwritable(path, error) from error
        raise


def _unwritable(path: Path, error: OSError) -> UsageError:
    return UsageError("OUT_UNWRITABLE", "name_another_file", file=str(path), why=error.strerror or str(error))
