"""`bulkpoint sandbox`: a strict stand-in for the money API, for trials."""

from collections.abc import Iterable
from pathlib import Path

import click

from bulkpoint.errors import RefusedError, UnreachableError, UsageError
from bulkpoint.extras import require_extra


@click.group(short_help="A stand-in for the money API, for trials and tests.")
def sandbox() -> None:
    """A stand-in for the money API, for trials and tests: strict, with a ledger, and with faults on purpose."""


def _read_faults(_context: click.Context, _option: click.Parameter, values: Iterable[str]) -> dict[str, float]:
    faults: dict[str, float] = {}
    for value in values:
        name, _, ratio = value.partition("=")
        try:
            faults[name] = float(ratio)
        except ValueError as error:
            raise click.BadParameter(f"{value!r} is not NAME=RATIO, such as unavailable=0.05") from error
    return faults


@sandbox.command()
@click.option(
    "--port", type=click.IntRange(0, 65535), default=9090, show_default=True, help="The port; 0 takes a free one."
)
@click.option(
    "--ledger",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write every credit into this file, which survives kill -9. Default: in memory.",
)
@click.option("--latency-ms", type=int, default=50, show_default=True, help="The time that every answer takes.")
@click.option(
    "--tps-limit", type=int, default=0, help="Answer 429 above so many requests in a sliding second. 0: never."
)
@click.option(
    "--fault", "faults", metavar="NAME=RATIO", multiple=True, callback=_read_faults, help="See above; repeatable."
)
@click.option("--seed", type=click.IntRange(0), help="Seed of the faults' random numbers, to repeat an earlier run.")
@click.option(
    "--token-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Require the bearer token in this file. Default: no token is required.",
)
@click.option("--exit-with-parent", is_flag=True, help="End when the process that started this one ends.")
def serve(
    *,
    port: int,
    ledger: Path | None,
    latency_ms: int,
    tps_limit: int,
    faults: dict[str, float],
    seed: int | None,
    token_file: Path | None,
    exit_with_parent: bool,
) -> None:
    """Serve the money API on this machine until Ctrl-C.

    Prints its address when it is ready. Credits each key once; see /sandbox/stats and /sandbox/ledger.

    \b
    --fault makes a ratio of requests, 0 to 1, fail:
      without a credit      unavailable (503)  too_many (429)  unauthorized (401)
                            mismatch (422)  conflict (409)  close_before_credit
                            rejected (404; always the same members)
      with a credit         slow  credit_then_close  credit_then_500  unreadable
    They can be changed while it runs:
      curl -X PUT -d '{"unavailable": 0.05, "latency_ms": 20}' \\
          http://127.0.0.1:9090/sandbox/faults
    """
    require_extra("demo")
    from bulkpoint.sandbox import server
    from bulkpoint.sandbox.refusals import LedgerError, NotServingError, WrongValueError

    try:
        server.serve(
            port=port,
            ledger=ledger,
            latency_ms=latency_ms,
            tps_limit=tps_limit,
            faults=faults,
            token=None if token_file is None else token_file.read_text().strip(),
            seed=seed,
            exit_with_parent=exit_with_parent,
        )
    except WrongValueError as error:
        raise UsageError("SANDBOX_WRONG_VALUE", why=str(error)) from error
    except LedgerError as error:
        raise RefusedError("SANDBOX_LEDGER_UNUSABLE", why=str(error)) from error
    except NotServingError as error:
        raise UnreachableError("SANDBOX_NOT_SERVING", why=str(error)) from error
