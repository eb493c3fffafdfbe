"""What a statement returns is what its row type takes: every query is prepared and its columns are compared."""

import importlib
import pkgutil
import re
import types
from collections.abc import Iterator
from dataclasses import MISSING, fields, is_dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints
from uuid import UUID

import psycopg
import pytest

import bulkpoint.store
from bulkpoint import files
from bulkpoint.pay.claims import FrozenPayment
from bulkpoint.store.connect import Connection, connect
from bulkpoint.store.payment import wave_query
from bulkpoint.store.rows import Query
from bulkpoint.store.sql import MARK, sql

MODULES = [
    importlib.import_module(f"bulkpoint.store.{module.name}")
    for module in pkgutil.iter_modules(bulkpoint.store.__path__)
]
QUERIES: dict[str, Query[Any]] = {
    value.name: value for module in MODULES for value in vars(module).values() if isinstance(value, Query)
}
STATEMENTS = [
    name
    for file in files.list_names("sql/queries")
    for name in re.findall(rf"^{MARK}(\w+)$", files.read_text(f"sql/queries/{file}"), re.MULTILINE)
]
# psycopg makes these Python types of PostgreSQL's.
PYTHON = {
    "bool": bool, "int2": int, "int4": int, "int8": int, "float8": float, "numeric": Decimal, "text": str, "name": str,
    "uuid": UUID, "bytea": bytes, "timestamptz": datetime, "jsonb": dict, "json": dict, "_int4": list, "_int8": list,
    "_text": list,
}  # fmt: skip


class Column(NamedTuple):
    name: str
    type: str


@pytest.fixture(scope="module")
def database(database_url_of_module: str) -> Iterator[Connection]:
    """With the tables that live as long as a transaction; statements are only prepared in it."""
    with connect(database_url_of_module) as connection, connection.transaction(force_rollback=True):
        connection.execute(sql("create_settlement"))
        for statement in ("find_other_payments", "sort_settlement", "compare_settlement"):
            connection.execute(sql(statement), {"campaign_id": 1, "partial": False})
        yield connection


def columns_of(connection: Connection, statement: bytes) -> list[Column]:
    """What the statement returns, by the server's word; its parameters stand for nothing here."""
    text = re.sub(rb"%\(\w+\)s", b"null", statement).replace(b"%%", b"%")
    answer = connection.pgconn.prepare(b"", text)
    assert answer.status == psycopg.pq.ExecStatus.COMMAND_OK, answer.error_message.decode()
    described = connection.pgconn.describe_prepared(b"")
    names: dict[int, str] = dict(connection.execute("select oid, typname from pg_type").fetchall())
    return [
        Column((described.fname(column) or b"").decode(), names[described.ftype(column)])
        for column in range(described.nfields)
    ]


def kinds_of(hint: Any) -> set[Any]:
    """The plain types of a hint: without None, what a StrEnum or a Literal is made of, dict for dict[str, Any]."""
    if get_origin(hint) in (Union, types.UnionType):
        return set().union(*(kinds_of(part) for part in get_args(hint))) - {type(None)}
    if get_origin(hint) is Literal:
        return {type(word) for word in get_args(hint)}
    plain = get_origin(hint) or hint
    return {str if isinstance(plain, type) and issubclass(plain, StrEnum) else plain}


@pytest.mark.parametrize("name", sorted(QUERIES))
def test_a_query_returns_what_its_row_type_takes(database: Connection, name: str) -> None:
    row, columns = QUERIES[name].row, columns_of(database, sql(name))
    if is_dataclass(row):
        hints = get_type_hints(row)
        optional = {one.name for one in fields(row) if one.default is not MISSING or one.default_factory is not MISSING}
        names = {column.name for column in columns}
        assert len(names) == len(columns), "two columns have one name"
        assert names <= hints.keys(), "columns without a field"
        assert hints.keys() - names <= optional, "fields without a column"
    elif hasattr(row, "_fields"):
        hints = get_type_hints(row)
        assert [column.name for column in columns] == list(row._fields)
    else:
        [column] = columns
        hints = {column.name: row}
    for column in columns:
        kinds = kinds_of(hints[column.name])
        of_json = {dict, list} if column.type in {"json", "jsonb"} else set()
        assert ({Any, PYTHON.get(column.type)} | of_json) & kinds, f"{column} is no {hints[column.name]}"


def test_every_statement_that_returns_rows_is_a_query(database: Connection) -> None:
    rowless = re.compile(rb"(copy|create|set|analyze|drop)\b")
    others = [name for name in STATEMENTS if name not in QUERIES and not rowless.match(sql(name))]
    for of_spark in ("wave_of_payments", "row_of_no_payment"):
        others.remove(of_spark)
    with_rows = [name for name in others if [one for one in columns_of(database, sql(name)) if one.type != "void"]]
    assert with_rows == []


def test_spark_reads_the_fields_of_a_frozen_payment(database: Connection) -> None:
    columns = columns_of(database, f"select * from {wave_query(1, 1, 2)}".encode())
    assert [column.name for column in columns] == list(FrozenPayment._fields)
