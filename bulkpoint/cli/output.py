"""How a command prints its result: as lines for people or, with --json, as one object for programs."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, NoReturn, TypeVar

import click

from bulkpoint.errors import BulkpointError
from bulkpoint.launch.ends import result_not_written
from bulkpoint.streams import StdoutFailedError, say_on_stderr

if TYPE_CHECKING:
    from bulkpoint.views.view import View

Command = TypeVar("Command", bound=Callable[..., object])

# Without a terminal; and at most, because a very long line is hard to read.
WIDTH_WITHOUT_TERMINAL = 80
WIDTH_MAX = 120
# Of a result that stdout does not take, so much is said on stderr: what a command has changed, and not a whole list.
LINES_ON_STDERR_MAX = 3


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


def emit(view: "View", *, timezone: str = "UTC", error: BulkpointError | None = None, on_the_way: bool = False) -> None:
    """Print a view. As text its times are of `timezone`, and what to do next goes to stderr.

    error: the command ends with it although it has a result; in JSON it is a member of the same object. on_the_way: the
    command's end says more than this result. With either, a result that cannot be written is only said on stderr.
    Otherwise StdoutFailedError ends the command.
    """
    try:
        _print(view, timezone, error)
    except StdoutFailedError as failed:
        if not failed.reader_is_gone:
            for line in islice(_lines(view, timezone), LINES_ON_STDERR_MAX):
                say_on_stderr(line)
        if error is None and not on_the_way:
            raise
        if not failed.reader_is_gone:
            say_on_stderr(f"bulkpoint: {_sentence(result_not_written(failed))}")
    if not wants_json():
        for line in view.remarks():
            say_on_stderr(line)


def _sentence(error: BulkpointError) -> str:
    from bulkpoint.views.sentences import sentence

    return sentence(error, timezone=_output().timezone)


def _print(view: "View", timezone: str, error: BulkpointError | None) -> None:
    if wants_json():
        emit_json(view.as_json() if error is None else _with_error(view, error))
        return
    for line in _lines(view, timezone):
        click.echo(line)


def _lines(view: "View", timezone: str) -> Iterator[str]:
    from bulkpoint.views.view import Screen

    width = min(WIDTH_MAX, shutil.get_terminal_size((WIDTH_WITHOUT_TERMINAL, 24)).columns)
    yield from view.as_text(Screen(timezone, width))


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
