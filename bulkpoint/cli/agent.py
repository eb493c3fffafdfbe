"""`bulkpoint agent`: runs what people have asked for, on a host with Spark."""

from typing import TYPE_CHECKING

import click

from bulkpoint.cli.session import open_session
from bulkpoint.errors import BulkpointError, ExitCode, UnreachableError
from bulkpoint.launch.signals import Terminated, end_with_parent, hold_off_signals

if TYPE_CHECKING:
    from bulkpoint.launch.agent import Left, Seen


@click.command(short_help="Take start requests from the database, and run their jobs.")
@click.option("--once", is_flag=True, help="Take one if there is one, run it, and end with its exit code.")
@click.option("--exit-with-parent", is_flag=True, help="End when the process that started this one ends.")
def agent(*, once: bool, exit_with_parent: bool) -> int:
    """Take start requests from the database, oldest first, and run each as a Spark job on this host.

    Requests come from the page; a campaign that waits for another one waits here, too. The right of whoever asked
    counts, when it was asked and when the run begins. Several agents are safe: one request is run once, and one
    campaign runs at a time.

    SIGTERM ends the agent: a run that has begun goes on without it, a request whose run has not begun waits for the
    next agent. Exit code with --once: that of the run, 0 if there was nothing to do.

    \b
    Examples:
      bulkpoint agent
      bulkpoint agent --once
    """
    from bulkpoint import log
    from bulkpoint.launch.agent import Agent, Ended

    if exit_with_parent:
        end_with_parent()
    code = int(ExitCode.DONE)
    with open_session() as session:
        log.use(session.settings.log_format)
        with Agent(session.settings, session.database_url) as one:
            try:
                what = "Looking for a start request ..." if once else "Waiting for start requests ..."
                log.say(what, event="looking")
                for seen in one.follow(once=once):
                    _say(seen, session.settings.timezone)
                    if isinstance(seen, Ended):
                        code = seen.exit_code
            except (KeyboardInterrupt, Terminated):
                hold_off_signals()
                _say_what_is_left(one.let_go())
                raise
    return code


def _say(seen: "Seen", zone: str) -> None:
    from bulkpoint import log
    from bulkpoint.events.patience import Recovered
    from bulkpoint.launch.agent import Ended, Taken
    from bulkpoint.views.sentences import sentence

    match seen:
        case Taken():
            taken = f"takes the {seen.kind} run that {seen.actor} asked for; the job's log is {seen.log}"
            log.say(f"Campaign {seen.campaign_id}: {taken}", event="taken", campaign=seen.campaign_id, run=seen.run_no)
        case Ended(why=None):
            ended = f"Campaign {seen.campaign_id}, run {seen.run_no}: ended with exit code {seen.exit_code}."
            more = {"exit_code": seen.exit_code}
            log.say(ended, event="ended", campaign=seen.campaign_id, run=seen.run_no, more=more)
        case Ended(why=BulkpointError() as why):
            no_run = f"Campaign {seen.campaign_id}: no run. {sentence(why, timezone=zone)}"
            why_not = {"exit_code": seen.exit_code, "code": why.refusal.code}
            log.say(no_run, event="no_run", level=log.Level.ERROR, campaign=seen.campaign_id, more=why_not)
        case Recovered():
            log.say("The database answers again.", event="database_back")
        case UnreachableError() as away:
            log.say(sentence(away, timezone=zone), event="database_away", level=log.Level.WARNING)


def _say_what_is_left(left: "Left | None") -> None:
    from bulkpoint import log

    if left is None:
        return
    campaign = left.campaign_id
    if left.goes_on:
        goes_on = f"Campaign {campaign} goes on without the agent: bulkpoint campaign watch {campaign}"
        log.say(goes_on, event="goes_on", campaign=campaign)
    else:
        log.say(f"Campaign {campaign}: its request waits again.", event="given_back", campaign=campaign)
