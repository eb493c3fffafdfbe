"""Queries: a named statement together with the type of its rows.

    _RUNS = Query("list_campaign_runs", CampaignRun)
    runs = _RUNS.all(connection, campaign_id=3)

A test prepares every Query of this package and compares the statement's columns with the row type.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import is_dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Generic, TypeVar, get_args, get_type_hints

from psycopg import Cursor

from bulkpoint.rules.invariants import invariant
from bulkpoint.store.sql import sql

if TYPE_CHECKING:
    from bulkpoint.store.connect import Connection

T = TypeVar("T")


class Query(Generic[T]):
    """A statement that returns rows.

    row: what a row becomes: a dataclass, by the names of its fields; a NamedTuple, by their order, which is four times
    as fast; or the type of a single value. A field that is a StrEnum is made from the database's text.
    """

    __slots__ = ("_make_maker", "name", "row")

    def __init__(self, name: str, row: type[T]) -> None:
        self.name = name
        self.row = row
        self._make_maker = _maker_of(row)

    def all(self, connection: "Connection", /, **parameters: Any) -> list[T]:
        """Every row, in the statement's order."""
        return self._execute(connection, parameters).fetchall()

    def first(self, connection: "Connection", /, **parameters: Any) -> T | None:
        """The first row, or None where there is none."""
        return self._execute(connection, parameters).fetchone()

    def one(self, connection: "Connection", /, **parameters: Any) -> T:
        """The row of a statement that always has one; DefectError where it does not."""
        rows = self._execute(connection, parameters).fetchall()
        invariant(len(rows) == 1, f"the statement {self.name} returned {len(rows)} rows")
        return rows[0]

    def batches(self, connection: "Connection", rows_max: int, /, **parameters: Any) -> Iterator[list[T]]:
        """Every row, at most `rows_max` at a time, read on demand; inside a transaction."""
        with connection.cursor(name=self.name, row_factory=self._make_maker) as cursor:
            cursor.execute(sql(self.name), parameters)
            while batch := cursor.fetchmany(rows_max):
                yield batch

    def columns(
        self, connection: "Connection", rows_max: int, /, **parameters: Any
    ) -> Iterator[tuple[tuple[Any, ...], ...]]:
        """The same by columns, in the order of the row's fields: in half the time, where no rows are needed."""
        with connection.cursor(name=self.name, binary=True) as cursor:
            cursor.execute(sql(self.name), parameters)
            while batch := cursor.fetchmany(rows_max):
                yield tuple(zip(*batch, strict=True))

    def csv(self, connection: "Connection", /, **parameters: Any) -> bytes:
        """All rows as CSV without a header, for what reads columns: no object is made of a value.

        A missing value is nothing, an empty text is two quotes.
        """
        statement = b"copy (" + sql(self.name) + b") to stdout (format csv)"
        with connection.cursor() as cursor, cursor.copy(statement, parameters) as rows:
            return b"".join(rows)

    def _execute(self, connection: "Connection", parameters: dict[str, Any]) -> Cursor[T]:
        return connection.cursor(row_factory=self._make_maker).execute(sql(self.name), parameters)


def _maker_of(row: type[T]) -> Callable[[Cursor[Any]], Callable[[Sequence[Any]], T]]:
    if is_dataclass(row):
        return _by_name(row)
    make: Callable[[Sequence[Any]], T] | None = getattr(row, "_make", None)  # a NamedTuple's
    if make is not None:
        return _by_name(row) if _enums(row) else lambda _: make
    if issubclass(row, StrEnum):
        return lambda _: lambda values: row(values[0])
    return lambda _: lambda values: values[0]


def _by_name(row: Callable[..., T]) -> Callable[[Cursor[Any]], Callable[[Sequence[Any]], T]]:
    enums = _enums(row)

    def make_maker(cursor: Cursor[Any]) -> Callable[[Sequence[Any]], T]:
        names = [column.name for column in cursor.description or ()]
        words = [(name, enums[name]) for name in names if name in enums]

        def make(values: Sequence[Any]) -> T:
            fields = dict(zip(names, values, strict=True))
            for name, enum in words:
                if fields[name] is not None:
                    fields[name] = enum(fields[name])
            return row(**fields)

        return make

    return make_maker


def _enums(row: Callable[..., Any]) -> dict[str, type[StrEnum]]:
    found = {}
    for name, hint in get_type_hints(row).items():
        for kind in get_args(hint) or (hint,):
            if isinstance(kind, type) and issubclass(kind, StrEnum):
                found[name] = kind
    return found
