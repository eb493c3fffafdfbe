"""Rows as dataclasses, with the words of the database's enums as our own."""

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Any, TypeVar, get_args, get_type_hints

from psycopg.rows import BaseRowFactory, class_row

T = TypeVar("T")


def typed_row(of: type[T]) -> BaseRowFactory[T]:
    """As psycopg's class_row: columns by the names of the fields; a StrEnum, or one or None, is made of its text."""
    make = class_row(of)

    def make_maker(cursor: Any) -> Callable[[Sequence[Any]], T]:
        by_name = make(cursor)
        enums = [_enums(of).get(column.name) for column in cursor.description or ()]
        if not any(enums):
            return by_name
        return lambda values: by_name(
            [
                enum(value) if enum is not None and value is not None else value
                for enum, value in zip(enums, values, strict=True)
            ]
        )

    return make_maker


def _enums(of: type) -> dict[str, type[StrEnum]]:
    found = {}
    for name, hint in get_type_hints(of).items():
        for kind in get_args(hint) or (hint,):
            if isinstance(kind, type) and issubclass(kind, StrEnum):
                found[name] = kind
    return found
