"""How a command prints its result: as lines for people or, with --json, as one object for programs."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn, TypeVar

import click

from bulkpoint.errors import BulkpointError

if TYPE_CHECKING:
    from bulkpoint.views.view import View

Command = TypeVar("Command", bound=Callable[..., object])

# Without a terminal; and at most, because a very long line is hard to read.
WIDTH_WITHOUT_TERMINAL = 80
WIDTH_MAX = 120


@dataclass
class Output:
    """What stdout is for in this process: whether JSON was asked for, and whether an object was printed already.

    timezone: of times in the sentence of an error.
    """

    as_json: bool = False
    printed: bool = False
    timezone: str = "UTC"


def json_option(explanation: str = "One JSON object.") -> Callable[[Command], Command]:
    """The option --json. The command gets no argument for it: `emit` reads it from the context."""

    def remember(context: click.Context, _: click.Parameter, as_json: bool) -> None:
        context.ensure_object(Output).as_json = as_json

    return click.option("--json", is_flag=True, expose_value=False, callback=remember, help=explanation)


def wants_json() -> bool:
    """Whether the command that runs was given --json."""
    return _output().as_json


def show_times_in(timezone: str) -> None:
    """From now on, times in the sentence of an error are in this time zone (the settings')."""
    _output().timezone = timezone


def emit(view: "View", *, timezone: str = "UTC", error: BulkpointError | None = None) -> None:
    """Print a view. As text its times are of `timezone`, and what to do next goes to stderr.

    error: the command ends with it although it has a result; in JSON it is a member of the same object.
    """
    if wants_json():
        emit_json(view.as_json() if error is None else _with_error(view, error))
        return
    from bulkpoint.views.view import Screen

    width = min(WIDTH_MAX, shutil.get_terminal_size((WIDTH_WITHOUT_TERMINAL, 24)).columns)
    for line in view.as_text(Screen(timezone, width)):
        click.echo(line)
    for line in view.remarks():
        click.echo(line, err=True)


def end_with(view: "View", error: BulkpointError) -> NoReturn:
    """Print a view that says what is wrong, and end: its text needs no further sentence, its JSON has one."""
    emit(view, error=error)
    leave(error)


def leave(error: BulkpointError) -> NoReturn:
    """End with the error's exit code, after a result that says what is wrong; with --json also by its sentence."""
    if wants_json():
        raise error
    raise SystemExit(error.exit_code)


def _with_error(view: "View", error: BulkpointError) -> str:
    from bulkpoint.views.sentences import error_fields

    return json.dumps(view.as_object() | error_fields(error, timezone=_output().timezone), ensure_ascii=False)


def emit_json(text: str, *, line_end: bool = True) -> None:
    """Print JSON that is ready, or a piece of it."""
    _output().printed = True
    click.echo(text, nl=line_end)


def _output() -> Output:
    return click.get_current_context().ensure_object(Output)
