"""A start as it is written: the options of `campaign start`, and the whole line of scripts/submit.sh.

The options are made from the fields of RunRequest, so none is declared a second time. They are made when a command
needs them: until then the command line does not import pydantic.
"""

import os
from collections.abc import Sequence
from types import NoneType
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_origin

import click

from bulkpoint.errors import UsageError
from bulkpoint.launch.ends import error_of
from bulkpoint.rules.numbers import BIGINT_MAX

if TYPE_CHECKING:
    from bulkpoint.campaigns.run_request import RunRequest

AnyParameter = TypeVar("AnyParameter", bound=click.Parameter)

DIGITS_MAX = 18  # surely a BIGINT

PROGRAM = "scripts/submit.sh"


class Text(click.ParamType[str]):
    """A text that is UTF-8. Bytes that are not come from the shell as lone surrogates, which no database takes."""

    name = "text"

    def convert(self, value: Any, parameter: click.Parameter | None, _: click.Context | None) -> str:
        """Also where Python has decoded the command line by the encoding of a locale that has no such characters."""
        text = str(value)
        try:
            text.encode()
        except UnicodeEncodeError:
            try:
                return os.fsencode(text).decode()
            except UnicodeError:
                name = "?" if parameter is None else max(parameter.opts, key=len)
                raise UsageError("TEXT_NOT_UTF8", "check_encoding", option=name) from None
        return text


class Whole(type(click.INT)):  # type: ignore[misc]
    """A whole number that the database can count with."""

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> int:
        """As click's, with the bounds of a BIGINT; its own range would be shown in every --help."""
        number: int = super().convert(value, parameter, context)
        if not -BIGINT_MAX <= number <= BIGINT_MAX:
            self.fail(f"{number} is more than can be counted.", parameter, context)
        return number


def read_strictly(parameter: AnyParameter) -> AnyParameter:
    """The same parameter; where it takes any text or any number, it now takes what a database can keep."""
    if type(parameter.type) is type(click.STRING):
        parameter.type = Text()
    elif type(parameter.type) is type(click.INT):
        parameter.type = Whole()
    return parameter


class StartCommand(click.Command):
    """A command with the options of a start, after its own; it gets them by the names of RunRequest's fields."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Its own parameters, the options of a start, and --help."""
        *own, help_option = super().get_params(ctx)
        return [*own, *_start_options(), help_option]


class SubmitCommand(StartCommand):
    """The line of scripts/submit.sh."""

    def format_usage(self, _: click.Context, formatter: click.HelpFormatter) -> None:
        """As docs/scheduling.md has it."""
        formatter.write(f"usage: {PROGRAM} {IdOrNext.name} [options]\n")


class IdOrNext(click.ParamType[Any]):
    """A campaign's id, or `next`: the oldest campaign that is ready."""

    name = "ID|next"

    def convert(self, value: Any, _: click.Parameter | None, __: click.Context | None) -> Any:
        """An int, or "next"; raises UsageError for anything else."""
        if value == "next" or isinstance(value, int):
            return value
        if not (value.isascii() and value.isdecimal() and len(value) <= DIGITS_MAX):
            raise UsageError("CAMPAIGN_ID_WRONG", "give_id_or_next", given=value)
        return int(value)


def read_request(arguments: Sequence[str]) -> "RunRequest":
    """The request of a line of scripts/submit.sh, or of the document that one of our commands handed over.

    Raises UsageError for an impossible request.
    """
    try:
        request: RunRequest = submit.main(list(arguments), PROGRAM, standalone_mode=False)
    except click.ClickException as error:
        raise error_of(error) from None
    return request


def usage() -> str:
    """What `scripts/submit.sh --help` prints."""
    return submit.get_help(click.Context(submit, info_name=PROGRAM)) + "\n"


@click.command(
    cls=SubmitCommand,
    epilog="""\b
exit codes: 0 done, or nothing to start for `next`; 2 wrong usage or setting;
3 refused; 4 the run was stopped; 5 the run failed; 6 database, money or Spark
out of reach. docs/scheduling.md says what to do with each.

example: scripts/submit.sh next --yes""",
)
@click.argument("campaign", metavar=IdOrNext.name, type=IdOrNext(), required=False)
@click.option("--yes", is_flag=True, help="Accepted and without effect: a job never asks.")
@click.option("--actor", metavar="T", help="Who asks; default: BULKPOINT_ACTOR, else the operating system's user.")
@click.option("--detach", is_flag=True, hidden=True)
@click.option("--request", "document", hidden=True)
def submit(
    *,
    campaign: Any,
    yes: bool,  # noqa: ARG001
    actor: str | None,
    detach: bool,
    document: str | None,
    **options: Any,
) -> "RunRequest":
    """Pays campaign ID, or the oldest one that is ready, as a Spark job, and ends when its run has. For schedulers: it
    asks nothing, reads nothing from stdin, and says what it does on stderr. SIGTERM or Ctrl-C stops the run in order.
    """
    from bulkpoint.campaigns.run_request import RunRequest, asker
    from bulkpoint.settings import load_settings

    if document is not None:
        return RunRequest.from_json(document)
    if detach:
        raise UsageError("JOB_CANNOT_DETACH", "start_detached")
    if campaign is None:
        raise click.UsageError(f"Missing argument '{IdOrNext.name}'.")
    return RunRequest(campaign=campaign, actor=actor or asker(load_settings()), **options)


def _start_options() -> list[click.Option]:
    """One option for each field of RunRequest that is marked as one."""
    from bulkpoint.campaigns.run_request import RunRequest, StartOption

    return [
        read_strictly(
            click.Option(
                [f"--{name.replace('_', '-')}"],
                metavar=mark.metavar,
                help=field.description,
                **_kind_of(field.annotation),
            )
        )
        for name, field in RunRequest.model_fields.items()
        for mark in field.metadata
        if isinstance(mark, StartOption)
    ]


def _kind_of(annotation: Any) -> dict[str, Any]:
    """How click reads a value of this type: a flag, several texts, else a number or text."""
    if annotation is bool:
        return {"is_flag": True}
    if get_origin(annotation) is tuple:
        return {"multiple": True, "type": get_args(annotation)[0]}
    (kind,) = (part for part in get_args(annotation) if part is not NoneType)
    return {"type": kind}


for _parameter in submit.params:
    read_strictly(_parameter)
