"""Numbers that people type."""

from typing import Any

import click

from bulkpoint.rules.numbers import BIGINT_MAX


class FromOne(click.ParamType[int]):
    """A whole number from 1 to the greatest that a table can have, which no help needs to show."""

    name = "integer"
    _range = click.IntRange(1, BIGINT_MAX)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        return int(self._range.convert(value, param, ctx))
