"""The two tables of an archive as Parquet: written in batches, and read back whole; memory does not grow with them.

A row is digested as its columns in their order, with a comma after each and a line feed at the end: a number, a moment
in microseconds, true or false as it is, a text with its length in bytes and a comma in front, a missing value as `-`.
SHA-256 over 10,000 rows at a time, and then over these hashes. The database computes the same from its rows
(sql/queries/archive.sql).
"""

import os
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from hashlib import file_digest, sha256
from io import BytesIO
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any, NamedTuple, get_args, get_type_hints

from bulkpoint.rules.digest import CHUNK_ROWS
from bulkpoint.store.archive import ArchivedAttempt, ArchivedPayment, DigestedRows

if TYPE_CHECKING:
    import pyarrow

# A row group: a multiple of CHUNK_ROWS, so that no batch of that many rows ends in the middle of one.
ROW_GROUP_ROWS = 10 * CHUNK_ROWS


class Table(NamedTuple):
    """A file of the archive: its name, the type of its rows, and the column that they are in the order of."""

    file: str
    row: type
    key: str


PAYMENTS = Table("payments.parquet", ArchivedPayment, "seq")
ATTEMPTS = Table("attempts.parquet", ArchivedAttempt, "attempt_id")


@dataclass
class FileFigures:
    """What a file has in it. digest: over its rows; sha256: over its bytes; by_state: payments and points.

    list_digest: of the members, amounts and reasons among its columns, as the database has it of the campaign's list.
    """

    rows: int = 0
    amount: int = 0
    digest: bytes = b""
    sha256: bytes = b""
    size_bytes: int = 0
    by_state: Counter[tuple[str, str | None]] = field(default_factory=Counter)
    points_by_state: Counter[tuple[str, str | None]] = field(default_factory=Counter)
    list_digest: bytes = b""


def write_table(table: Table, read_after: Callable[[Any], bytes], path: Path) -> None:
    """Write and fsync a file. Raises OSError where the disk does not take it.

    read_after: gives the rows after a key as CSV, a batch (store/archive.py); the first ones after None, at last none.
    """
    import pyarrow as pa
    from pyarrow import parquet

    schema = _schema(table)
    with path.open("xb") as stream:
        with parquet.ParquetWriter(stream, schema, compression="zstd") as writer:
            waiting: list[pyarrow.Table] = []
            after = None
            while rows := read_after(after):
                waiting.append(_parse(rows, schema))
                after = waiting[-1].column(table.key)[-1].as_py()
                if sum(len(part) for part in waiting) >= ROW_GROUP_ROWS:
                    writer.write_table(pa.concat_tables(waiting))
                    waiting.clear()
            if waiting:
                writer.write_table(pa.concat_tables(waiting))
        stream.flush()
        os.fsync(stream.fileno())


def read_back(table: Table, path: Path) -> FileFigures:
    """Read the whole file, as anyone can who has nothing but it."""
    from pyarrow import parquet

    figures = FileFigures(size_bytes=path.stat().st_size)
    with path.open("rb") as stream:
        figures.sha256 = file_digest(stream, "sha256").digest()
    rows, members = sha256(), sha256()
    with parquet.ParquetFile(path, pre_buffer=False) as file:
        for batch in file.iter_batches(batch_size=CHUNK_ROWS):
            rows.update(_digest_of_rows(batch))
            figures.rows += len(batch)
            if table is PAYMENTS:
                members.update(_digest_of_targets(batch))
                _add_up(batch, figures)
    figures.digest, figures.list_digest = rows.digest(), members.digest()
    return figures


def digest_in_database(batches: Iterable[DigestedRows]) -> tuple[int, int, bytes]:
    """Rows, points and digest, as the database computes them."""
    rows, amount, whole = 0, 0, sha256()
    for batch in batches:
        rows += batch.rows
        amount += batch.amount
        whole.update(batch.hash or b"")
    return rows, amount, whole.digest()


def _schema(table: Table) -> "pyarrow.Schema":
    import pyarrow as pa

    kinds = {str: pa.string(), int: pa.int64(), bool: pa.bool_()}
    fields = []
    for name, hint in get_type_hints(table.row).items():
        plain = get_args(hint) or (hint,)
        kind = pa.timestamp("us", tz="UTC") if name.endswith("_at") else kinds[plain[0]]
        fields.append(pa.field(name, kind, NoneType in plain))
    return pa.schema(fields)


def _parse(rows: bytes, schema: "pyarrow.Schema") -> "pyarrow.Table":
    """PostgreSQL's CSV: nothing is a missing value, two quotes are an empty text, and no word means anything else."""
    import pyarrow as pa
    from pyarrow import csv

    kinds = {each.name: pa.int64() if pa.types.is_timestamp(each.type) else each.type for each in schema}
    parsed = csv.read_csv(
        BytesIO(rows),
        # In one block, however long a row is.
        csv.ReadOptions(use_threads=False, block_size=len(rows) + 1, column_names=schema.names),
        csv.ParseOptions(newlines_in_values=True),
        csv.ConvertOptions(
            column_types=kinds,
            null_values=[""],
            true_values=["t"],
            false_values=["f"],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )
    return parsed.cast(schema)


def _digest_of_rows(batch: "pyarrow.RecordBatch") -> bytes:
    import pyarrow as pa
    from pyarrow import compute

    values = []
    for column in batch.columns:
        plain = column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column
        text = plain.cast("large_string")
        if pa.types.is_string(column.type):
            text = _with_length(text, ",")
        values.append(compute.coalesce(text, _text("-")))
    return _sha256_of(compute.binary_join_element_wise(*values, _text("\n"), _text(",")))


def _digest_of_targets(batch: "pyarrow.RecordBatch") -> bytes:
    """As target_digest() of the database has it (rules/digest.py); payments are in the order of their members."""
    from pyarrow import compute

    member, reason = (_with_length(batch.column(name).cast("large_string"), ":") for name in ("member_id", "reason"))
    line = compute.binary_join_element_wise(member, batch.column("amount").cast("large_string"), reason, _text(","))
    return _sha256_of(compute.binary_join_element_wise(line, _text("\n"), _text("")))


def _with_length(text: "pyarrow.Array", mark: str) -> "pyarrow.Array":
    from pyarrow import compute

    return compute.binary_join_element_wise(compute.binary_length(text).cast("large_string"), text, _text(mark))


def _text(value: str) -> "pyarrow.Scalar":
    import pyarrow as pa

    return pa.scalar(value, pa.large_string())


def _sha256_of(lines: "pyarrow.Array") -> bytes:
    """Of an array's texts, one after the other: they are so in its buffer already."""
    from pyarrow import compute

    data = lines.buffers()[2]
    return sha256(
        b"" if data is None else memoryview(data)[: compute.sum(compute.binary_length(lines)).as_py()]
    ).digest()


def _add_up(batch: "pyarrow.RecordBatch", figures: FileFigures) -> None:
    import pyarrow as pa

    grouped = pa.Table.from_batches([batch]).group_by(["state", "failure_kind"])
    for row in grouped.aggregate([("amount", "sum"), ("amount", "count")]).to_pylist():
        key = row["state"], row["failure_kind"]
        figures.by_state[key] += row["amount_count"]
        figures.points_by_state[key] += row["amount_sum"]
        figures.amount += row["amount_sum"]
