"""The job as spark-submit runs it: what is asked, the campaign, the database and Spark; pay/driver.py does the rest.

People use `bulkpoint campaign start` or scripts/submit.sh.
"""

import signal
import sys
from functools import partial
from uuid import UUID

import click

from bulkpoint.campaigns.readiness import policy_of
from bulkpoint.campaigns.runs import ALL_BUT_REFUSED, StartTerms, check_startable
from bulkpoint.campaigns.start import StartRequest, check_request, find_next, plan_start
from bulkpoint.database import connection_target
from bulkpoint.errors import ExitCode, StoppedError, UsageError
from bulkpoint.events.deliver import deliver
from bulkpoint.launch.ends import end_of_job, error_of
from bulkpoint.launch.signals import Terminated, hold_off_signals, raise_on_signals
from bulkpoint.launch.spark_session import count_shares, start_spark
from bulkpoint.pay.driver import JobEnvironment, RunRequest, pay_campaign
from bulkpoint.rules.lifecycle import FailureKind, RunKind
from bulkpoint.settings import Settings, load_settings
from bulkpoint.store.audit import os_user
from bulkpoint.store.connect import Connection, Database, connect, with_passfile
from bulkpoint.store.migrate import migrate
from bulkpoint.store.progress import RetrySelection
from bulkpoint.views.sentences import sentence


@click.command(name="pay_campaign")
@click.argument("campaign", metavar="ID|next")
@click.option("--yes", is_flag=True, help="Accepted and without effect: a job never asks.")
@click.option("--digest", metavar="D", help="Refuse when the targets have another digest.")
@click.option("--force", is_flag=True, help="Jump the order of the queue; needs --reason.")
@click.option("--same-as", type=int, metavar="ID", help="The list is meant to repeat that campaign's; needs --reason.")
@click.option("--reason", metavar="T", help="Why; kept in the audit log.")
@click.option("--detach", is_flag=True, hidden=True)
@click.option("--actor", metavar="T", help="Who asks; default: BULKPOINT_ACTOR, else the operating system's user.")
@click.option("--kind", type=click.Choice(["INITIAL", "RESUME", "RETRY"]), default="INITIAL", hidden=True)
@click.option("--retry-kind", "retry_kinds", multiple=True, default=ALL_BUT_REFUSED.kinds, hidden=True)
@click.option("--retry-code", hidden=True)
@click.option("--beyond-limit", is_flag=True, hidden=True)
@click.option(
    "--holder", type=click.UUID, hidden=True, help="Of `bulkpoint campaign start`, which has made the checks."
)
def pay(
    campaign: str,
    *,
    yes: bool,  # noqa: ARG001
    digest: str | None,
    force: bool,
    same_as: int | None,
    reason: str | None,
    detach: bool,
    actor: str | None,
    kind: str,
    retry_kinds: tuple[str, ...],
    retry_code: str | None,
    beyond_limit: bool,
    holder: UUID | None,
) -> int:
    """Pay campaign ID, or the next one that is ready."""
    if detach:
        raise UsageError("JOB_CANNOT_DETACH", "start_detached")
    if campaign != "next" and not (campaign.isascii() and campaign.isdecimal()):
        raise UsageError("CAMPAIGN_ID_WRONG", "give_id_or_next", given=campaign)
    settings = load_settings()
    asked = StartRequest(digest, force, same_as, reason)
    check_request(asked)
    with connection_target(settings) as database:
        if settings.database_url is None:
            migrate(database.url)
        with connect(database.url) as connection:
            campaign_id = _find_next(connection, settings) if campaign == "next" else int(campaign)
            if campaign_id is None:
                return ExitCode.DONE
            if holder is None:
                terms = plan_start(connection, settings, campaign_id, asked).terms
            else:  # `bulkpoint campaign start` has looked, and the run itself looks again
                seen = None if digest is None else bytes.fromhex(digest)
                terms = StartTerms(seen, policy_of(settings), force, same_as)
        chosen = RetrySelection(tuple(map(FailureKind, retry_kinds)), retry_code, beyond_limit)
        asker = actor or settings.actor or os_user()
        request = RunRequest(campaign_id, RunKind(kind), asker, reason, holder, chosen, terms)
        return _pay(request, settings, database)


def _pay(request: RunRequest, settings: Settings, database: Database) -> ExitCode:
    """Pay with a Spark of our own; before it starts, the campaign's state is looked at."""
    conninfo = database.url
    if settings.database_url is None:
        # Workers of the embedded database are on this machine, but not all of this process's environment.
        conninfo = with_passfile(database.url, database.passfile)
    with connect(conninfo, name="bulkpoint driver") as connection:
        check_startable(connection, request.campaign_id, kind=request.kind)
    spark = start_spark(request.campaign_id, database)
    try:
        job = JobEnvironment(
            spark, count_shares(spark, settings), conninfo, settings, deliver=partial(deliver, settings, conninfo)
        )
        return pay_campaign(request, job)
    finally:
        spark.stop()


def _find_next(connection: Connection, settings: Settings) -> int | None:
    campaign_id, passed_by = find_next(connection, settings)
    for one in passed_by:
        why = sentence(one.why, timezone=settings.timezone)
        click.echo(f"bulkpoint: campaign {one.campaign_id} ({one.name}) is passed by: {why}", err=True)
    if campaign_id is None:
        click.echo("bulkpoint: no campaign is ready to start", err=True)
    return campaign_id


def main() -> int:
    """Run the job; returns the exit code. Before the run is made a signal just ends the job."""
    raise_on_signals()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # spark-submit's launcher hands it down ignored
    try:
        return int(pay.main(standalone_mode=False, prog_name="scripts/submit.sh") or 0)
    except (KeyboardInterrupt, Terminated):
        return end_of_job(StoppedError("STOPPED_BEFORE_RUN"), sys.argv)
    except Exception as error:  # noqa: BLE001 (a defect ends the job, with a documented code like any other end)
        return end_of_job(error_of(error), sys.argv)
    finally:
        hold_off_signals()  # its end is decided: a second signal must not give it another
