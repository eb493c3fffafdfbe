"""`bulkpoint`: every command, and how each of them ends."""

import json
import os
import signal
import sys
from typing import NoReturn

import click
from click.exceptions import NoArgsIsHelpError

from bulkpoint import __version__
from bulkpoint.cli.audit import audit
from bulkpoint.cli.campaign import campaign
from bulkpoint.cli.check import check
from bulkpoint.cli.deployment import database, demo, settings
from bulkpoint.cli.doctor import doctor
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
from bulkpoint.errors import BulkpointError, ExitCode
from bulkpoint.launch.ends import error_of
from bulkpoint.launch.signals import Terminated, raise_on_signals

# The exit code that a shell gives a program that a signal ended: 128 plus the signal's number.
SIGNALLED = 128


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
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
    6 database, money API or Spark unreachable; 128 + n ended by signal n.
    """


for command in (
    campaign, payment, reconcile, report, tps, money, check, doctor, audit, outbox, notify, right, settings, database,
    demo, sandbox,
):  # fmt: skip
    bulkpoint.add_command(command)


def main() -> NoReturn:
    """Run one command and exit with its documented code; only a defect shows a traceback, and its sentence last."""
    raise_on_signals()
    output = Output(as_json="--json" in sys.argv)  # also where click refuses the line before it comes to that option
    try:
        result = bulkpoint.main(prog_name="bulkpoint", standalone_mode=False, obj=output)
        sys.stdout.flush()
        code = result if isinstance(result, int) else ExitCode.DONE  # a number: of --help and --version
    except NoArgsIsHelpError as error:
        error.show()
        code = ExitCode.USAGE
    except (KeyboardInterrupt, click.Abort):
        print(file=sys.stderr)
        code = SIGNALLED + signal.SIGINT
    except Terminated as error:
        code = SIGNALLED + error.number
    except BrokenPipeError:
        # The reader has closed the pipe; the interpreter must not complain when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = SIGNALLED + signal.SIGPIPE
    except Exception as error:  # noqa: BLE001 (a defect ends the command, with a documented code like any other end)
        code = _say_why(error_of(error), output)
    sys.exit(code)


def _say_why(error: BulkpointError, output: Output) -> int:
    """The sentence on stderr; with --json the refusal as an object on stdout too, where no result is there already."""
    from bulkpoint.views.sentences import error_fields, sentence

    if output.as_json and not output.printed:
        print(json.dumps(error_fields(error, timezone=output.timezone), ensure_ascii=False))
    print(f"bulkpoint: {sentence(error, timezone=output.timezone)}", file=sys.stderr)
    return error.exit_code


if __name__ == "__main__":
    main()
