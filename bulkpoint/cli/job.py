"""The job's own command line, as spark-submit runs it; people use `bulkpoint campaign start` or scripts/submit.sh."""

import signal
import sys
from uuid import UUID

import click

from bulkpoint.cli.signals import Terminated, raise_on_signals
from bulkpoint.control.start import find_next, plan_start, record_force
from bulkpoint.errors import BulkpointError, ExitCode, UsageError
from bulkpoint.local.postgres import connection_target
from bulkpoint.pay.driver import Request, pay_campaign
from bulkpoint.settings import load_settings
from bulkpoint.store.audit import os_user
from bulkpoint.store.connect import connect
from bulkpoint.store.limit import ensure_limit, get_limit
from bulkpoint.store.migrate import migrate
from bulkpoint.store.progress import Chosen
from bulkpoint.store.run import ALL_BUT_REFUSED


@click.command(name="pay_campaign")
@click.argument("campaign", metavar="ID|next")
@click.option("--yes", is_flag=True, help="Accepted and without effect: a job never asks.")
@click.option("--digest", metavar="D", help="Refuse when the targets have another digest.")
@click.option("--force", is_flag=True, help="Jump the order of the queue; needs --reason.")
@click.option("--reason", metavar="T", help="Why; kept in the audit log.")
@click.option("--actor", default=os_user, help="Who asks; default: the operating system's user.")
@click.option("--kind", type=click.Choice(["INITIAL", "RESUME", "RETRY"]), default="INITIAL", hidden=True)
@click.option("--retry-kind", "retry_kinds", multiple=True, default=ALL_BUT_REFUSED.kinds, hidden=True)
@click.option("--retry-code", hidden=True)
@click.option(
    "--holder", type=click.UUID, hidden=True, help="Of `bulkpoint campaign start`, which has made the checks."
)
def pay(
    campaign: str,
    *,
    yes: bool,  # noqa: ARG001
    digest: str | None,
    force: bool,
    reason: str | None,
    actor: str,
    kind: str,
    retry_kinds: tuple[str, ...],
    retry_code: str | None,
    holder: UUID | None,
) -> int:
    """Pay campaign ID, or the next one that is ready."""
    settings = load_settings()
    if force and not reason:
        raise UsageError("--force needs --reason: it is kept in the audit log.")
    with connection_target(settings) as database:
        if settings.database_url is None:
            migrate(database.url)
        with connect(database.url) as connection:
            campaign_id: int | None
            if campaign == "next":
                campaign_id, _ = find_next(connection)
                if campaign_id is None:
                    click.echo("bulkpoint: no campaign is ready to start", err=True)
                    return ExitCode.DONE
            elif campaign.isdecimal():
                campaign_id = int(campaign)
            else:
                raise UsageError(f"{campaign} is not a campaign's id: give a number, or `next`.")
            if holder is None:
                ensure_limit(connection, tps=settings.tps, shares=settings.partitions or 1, actor=actor)
                tps = get_limit(connection).tps
                plan = plan_start(connection, campaign_id, tps=tps, digest=digest, force=force)
                if force and reason:
                    record_force(connection, plan, actor=actor, reason=reason)
        chosen = Chosen(retry_kinds, retry_code)
        return pay_campaign(Request(campaign_id, kind, actor, reason, holder, chosen), settings, database)


def main() -> int:
    """Run the job; returns the exit code. Before the run is made a signal just ends the job."""
    raise_on_signals()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # spark-submit's launcher hands it down ignored
    try:
        return int(pay.main(standalone_mode=False) or 0)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, Terminated):
        sys.stderr.write("bulkpoint: ended by a signal before the run began; nothing was changed\n")
        return ExitCode.STOPPED
    except BulkpointError as error:
        sys.stderr.write(f"bulkpoint: {error}\n")
        return error.exit_code
