"""The options that say how a file is to be read: --encoding, --delimiter, --columns, --sheet."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from bulkpoint.intake.form import ListForm


def form_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the four options; form_of makes a ListForm of them."""
    for option in (
        click.option("--sheet", metavar="NAME", help="The sheet of an .xlsx file; otherwise its first."),
        click.option(
            "--columns",
            metavar="OURS=THEIRS,...",
            help="Our columns' names in the file: member_id=회원번호,amount=금액.",
        ),
        click.option(
            "--delimiter",
            metavar="C",
            help="What separates values: a character, or comma, tab, semicolon, pipe. It is found in the header.",
        ),
        click.option("--encoding", metavar="E", help="utf-8, cp949 (Korean Excel) or utf-16; otherwise UTF-8."),
    ):
        command = option(command)
    return command


def form_of(
    ours: Sequence[str], *, encoding: str | None, delimiter: str | None, columns: str | None, sheet: str | None
) -> "ListForm":
    """What the options say; `ours`: the columns that may be mapped. Raises UsageError for an impossible value."""
    from bulkpoint.intake.form import ListForm

    return ListForm.of_options(ours=ours, encoding=encoding, delimiter=delimiter, columns=columns, sheet=sheet)
