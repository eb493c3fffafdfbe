"""A campaign's payments as a file for finance: CSV or Parquet, row by row, and what they add up to.

Batches of rows in, bytes out: memory does not grow with the campaign. Knows no SQL and no command line.
"""

import csv
import io
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, get_args, get_type_hints
from zoneinfo import ZoneInfo

from bulkpoint.errors import RefusedError, UsageError
from bulkpoint.rules.lifecycle import CampaignState, FailureKind
from bulkpoint.rules.member_names import masked, masked_in
from bulkpoint.store.campaign import Campaign
from bulkpoint.store.export import PaymentRow
from bulkpoint.text import defused

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
MEMBER = PaymentRow._fields.index("member_id")
# Texts of others; states and kinds are our own words.
_TEXTS = [
    number
    for number, column in enumerate(COLUMNS)
    if column.kind is str and column.name not in ("state", "failure_kind")
]
_TIMES = [number for number, column in enumerate(COLUMNS) if column.kind is datetime]
# Columns of CSV that follow the others; names are never changed, programs rely on them.
CSV_COLUMNS = (*PaymentRow._fields, "first_sent_at_local", "finished_at_local", "member_id_raw")
# The name of the column with masked ids: a program that looks for ids must not find these.
MASKED = "member_id_masked"
# A row group of Parquet: some 10 MB, so that readers can skip and this process stays small.
ROW_GROUP_ROWS = 100_000


@dataclass
class Totals:
    """Payments and points written so far, by state; UNKNOWN ones apart from the FAILED ones.

    defused_ids: member ids that have an apostrophe in front of them. sheets: of rows, of a workbook. masked_ids: the
    file has no id whole.
    """

    defused_ids: int = 0
    sheets: int = 0
    masked_ids: bool = False
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
        if waiting := self.counts["PENDING"]:
            parts += [f"not processed {waiting:,} ({self.amounts['PENDING']:,} points)"]
        if processing := self.counts["PROCESSING"]:
            parts += [f"perhaps sent {processing:,} ({self.amounts['PROCESSING']:,} points)"]
        payments, points = sum(self.counts.values()), sum(self.amounts.values())
        return f"{payments:,} payment{'' if payments == 1 else 's'}, {points:,} points: {', '.join(parts)}"


def refuse_unstarted(campaign: Campaign) -> None:
    """Raises RefusedError, with what to do instead, for a campaign that has no payments yet."""
    if campaign.frozen_at is not None:
        return
    if campaign.state == CampaignState.WITHDRAWN:
        raise RefusedError("REPORT_OF_WITHDRAWN", "show_what_it_was", campaign_id=campaign.campaign_id)
    raise RefusedError("REPORT_BEFORE_START", "preview_instead", campaign_id=campaign.campaign_id, state=campaign.state)


def masked_batches(batches: Iterable[list[PaymentRow]]) -> Iterator[list[PaymentRow]]:
    """The rows for whoever may not see member ids; texts in which the id may stand are masked too."""
    for batch in batches:
        yield [_masked_row(row) for row in batch]


def _masked_row(row: PaymentRow) -> PaymentRow:
    member_id = row.member_id
    return row._replace(
        member_id=masked(member_id),
        reason=masked_in(row.reason, member_id),
        transaction_id=row.transaction_id and masked_in(row.transaction_id, member_id),
        failure_code=row.failure_code and masked_in(row.failure_code, member_id),
        failure_message=row.failure_message and masked_in(row.failure_message, member_id),
    )


def names_of(columns: Iterable[str], *, masked_ids: bool) -> list[str]:
    """The names of columns in a file with masked ids, or with the ids."""
    return [MASKED if masked_ids and name == "member_id" else name for name in columns]


def write_csv(
    batches: Iterable[list[PaymentRow]], stream: BinaryIO, *, timezone: str, masked_ids: bool = False
) -> Totals:
    """UTF-8 with a BOM, without which Korean Excel takes it for CP949; a header; quotes and line ends of RFC 4180.

    Times are RFC 3339 in UTC, and once more in `timezone` as spreadsheets read them; None is empty. A text that a
    spreadsheet would take for a formula gets a leading apostrophe; where that is the member id, `member_id_raw` has
    the id as a JSON string, which begins with a quote and so is no formula. masked_ids: the batches are masked ones.
    """
    totals = Totals()
    text = io.StringIO(newline="")
    text.write("\N{ZERO WIDTH NO-BREAK SPACE}")
    writer = csv.writer(text)
    writer.writerow(names_of(CSV_COLUMNS, masked_ids=masked_ids))
    times = Times(timezone)
    for batch in batches:
        writer.writerows(_csv_row(row, times, totals) for row in batch)
        totals.add(batch)
        _move(text, stream)
    _move(text, stream)
    return totals


def _move(text: io.StringIO, stream: BinaryIO) -> None:
    stream.write(text.getvalue().encode())
    text.seek(0)
    text.truncate()


def _csv_row(row: PaymentRow, times: "Times", totals: Totals) -> list[Any]:
    cells: list[Any] = list(row)
    for number in _TEXTS:
        cells[number] = defused(cells[number])
    for number in _TIMES:
        utc, local = times.of(cells[number])
        cells[number] = utc
        cells.append(local)
    if cells[MEMBER] is row.member_id:
        cells.append(None)
    else:
        totals.defused_ids += 1
        cells.append(json.dumps(row.member_id, ensure_ascii=False))
    return cells


class Times:
    """Times of payments as text, in UTC and in a time zone: a thousand and more end in one second, made once."""

    def __init__(self, timezone: str) -> None:
        self._zone = ZoneInfo(timezone)
        self._of_second = lru_cache(maxsize=10_000)(self._make)

    def of(self, moment: datetime | None) -> tuple[str | None, str | None]:
        """`2026-01-31T09:00:00.250Z` and `2026-01-31 18:00:00`: of milliseconds, Excel would hide the hours."""
        if moment is None:
            return None, None
        utc, local = self._of_second(int(moment.timestamp()))
        return f"{utc}.{moment.microsecond // 1000:03}Z", local

    def _make(self, second: int) -> tuple[str, str]:
        at = datetime.fromtimestamp(second, UTC)
        return f"{at:%Y-%m-%dT%H:%M:%S}", f"{at.astimezone(self._zone):%Y-%m-%d %H:%M:%S}"


def write_parquet(batches: Iterable[list[PaymentRow]], stream: BinaryIO, *, masked_ids: bool = False) -> Totals:
    """The same columns with their types, values as they are; timestamps in UTC, to the microsecond."""
    import pyarrow as pa
    from pyarrow import parquet

    totals = Totals()
    schema = _schema(masked_ids=masked_ids)
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


def _schema(*, masked_ids: bool = False) -> "pyarrow.Schema":
    import pyarrow as pa

    types = {str: pa.string(), int: pa.int64(), datetime: pa.timestamp("us", tz="UTC")}
    narrow = {"attempts": pa.int32()}
    names = names_of((column.name for column in COLUMNS), masked_ids=masked_ids)
    return pa.schema(
        [
            pa.field(name, narrow.get(column.name, types[column.kind]), column.nullable)
            for name, column in zip(names, COLUMNS, strict=True)
        ]
    )


@contextmanager
def replacing(path: Path, *, mode: int | None = None) -> Iterator[BinaryIO]:
    """A stream whose bytes become the file `path` when the block ends without an error; else the old file stays.

    Until then they are in `path`.part. mode: its permissions, else those that the account gives new files. Raises
    UsageError if nothing can be written there.
    """
    target = path.resolve()
    if target.exists() and not target.is_file():
        raise UsageError("OUT_NOT_A_FILE", option="--out", file=str(path))
    part = target.with_name(f"{target.name}.part")
    try:
        stream = part.open("wb")
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        with stream:
            if mode is not None:
                os.fchmod(stream.fileno(), mode)
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
