"""`bulkpoint`: every command, and how each of them ends."""

import json
import signal
import sys
from contextlib import suppress
from typing import Any, NoReturn

import click
from click.exceptions import NoArgsIsHelpError

from bulkpoint import __version__
from bulkpoint.cli.agent import agent
from bulkpoint.cli.audit import audit
from bulkpoint.cli.campaign import campaign
from bulkpoint.cli.check import check
from bulkpoint.cli.deployment import database, demo, settings
from bulkpoint.cli.doctor import doctor
from bulkpoint.cli.every_command import watch_over
from bulkpoint.cli.metrics import metrics
from bulkpoint.cli.money import money
from bulkpoint.cli.notify import notify
from bulkpoint.cli.outbox import outbox
from bulkpoint.cli.output import Output
from bulkpoint.cli.payment import payment
from bulkpoint.cli.reconcile import reconcile
from bulkpoint.cli.report import report
from bulkpoint.cli.right import right
from bulkpoint.cli.sandbox import sandbox
from bulkpoint.cli.tps import tps
from bulkpoint.cli.web import web
from bulkpoint.errors import BulkpointError, ExitCode
from bulkpoint.launch.ends import error_of, result_not_written
from bulkpoint.launch.signals import Terminated, raise_on_signals
from bulkpoint.streams import StdoutFailedError, say_on_stderr, take_streams, write_utf8

# The exit code that a shell gives a program that a signal ended: 128 plus the signal's number.
SIGNALLED = 128


class Root(click.Group):
    """The group of all commands."""

    def invoke(self, ctx: click.Context) -> Any:
        """As click's, which would end with code 1, and without a word, at a broken pipe of whatever kind."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise error_of(error) from None


@click.group(cls=Root, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="bulkpoint")
def bulkpoint() -> None:
    """Pays points to a million members and more, each once, through a rate-limited money API.

    \b
    A first look, on this machine only:   bulkpoint demo
    The usual way:
      bulkpoint campaign create --name "Spring event" --targets members.csv
      bulkpoint campaign start 1
      bulkpoint campaign show 1
    \b
    Exit codes: 0 done; 2 wrong usage; 3 refused; 4 the run was stopped; 5 the run failed;
    6 database, money API or Spark unreachable, or the result not written; 128 + n ended by signal n.
    """


for command in (
    campaign, payment, reconcile, report, tps, money, check, metrics, doctor, audit, outbox, notify, agent, right,
    settings, database, web, demo, sandbox,
):  # fmt: skip
    bulkpoint.add_command(command)
watch_over(bulkpoint)


def main() -> NoReturn:
    """Run one command and exit with its documented code; only a defect shows a traceback, and its sentence last."""
    take_streams()
    raise_on_signals()
    output = Output(as_json="--json" in sys.argv)  # also where click refuses the line before it comes to that option
    if output.as_json:
        write_utf8()
    try:
        result = bulkpoint.main(prog_name="bulkpoint", standalone_mode=False, obj=output)
        sys.stdout.flush()
        code = result if isinstance(result, int) else ExitCode.DONE  # a number: of --help and --version
    except NoArgsIsHelpError as error:
        error.show()
        code = ExitCode.USAGE
    except (KeyboardInterrupt, click.Abort):
        say_on_stderr("")
        code = SIGNALLED + signal.SIGINT
    except Terminated as error:
        code = SIGNALLED + error.number
    except StdoutFailedError as error:
        code = _without_result(error, output)
    except Exception as error:  # noqa: BLE001 (a defect ends the command, with a documented code like any other end)
        code = _say_why(error_of(error), output)
    sys.exit(code)


def _say_why(error: BulkpointError, output: Output) -> int:
    """The sentence on stderr; with --json the refusal as an object on stdout too, where no result is there already."""
    from bulkpoint.views.sentences import error_fields, sentence

    if output.as_json and not output.printed:
        with suppress(StdoutFailedError):  # the sentence and the code say it too
            print(json.dumps(error_fields(error, timezone=output.timezone), ensure_ascii=False), flush=True)
    say_on_stderr(f"bulkpoint: {sentence(error, timezone=output.timezone)}")
    return error.exit_code


def _without_result(failed: StdoutFailedError, output: Output) -> int:
    """A reader that has gone away has read what it wanted: no word, and the code of a program that SIGPIPE ended."""
    if failed.reader_is_gone:
        return SIGNALLED + signal.SIGPIPE
    return _say_why(result_not_written(failed), output)


if __name__ == "__main__":
    main()
