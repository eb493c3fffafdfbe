"""The job as spark-submit runs it: what is asked, the campaign, the database and Spark; pay/driver.py does the rest.

People use `bulkpoint campaign start` or scripts/submit.sh.
"""

import signal
import sys
from functools import partial

from bulkpoint import log
from bulkpoint.campaigns.asked_run import RequestInHand
from bulkpoint.campaigns.left_request import take_next
from bulkpoint.campaigns.run_request import RunRequest
from bulkpoint.campaigns.runs import check_startable
from bulkpoint.campaigns.start import find_next, plan_unasked
from bulkpoint.database import connection_target
from bulkpoint.errors import ExitCode, StoppedError
from bulkpoint.events.deliver import deliver
from bulkpoint.launch.command_line import read_request
from bulkpoint.launch.ends import end_of_job, error_of
from bulkpoint.launch.signals import Terminated, hold_off_signals, raise_on_signals
from bulkpoint.launch.spark_session import starting_spark
from bulkpoint.pay.driver import JobEnvironment, pay_campaign
from bulkpoint.pay.log import say
from bulkpoint.rules.lifecycle import RunKind
from bulkpoint.rules.refusals import Refusal
from bulkpoint.settings import Settings, load_settings
from bulkpoint.store.connect import Connection, Database, connect, reachable, with_passfile
from bulkpoint.store.database_address import explicit
from bulkpoint.store.jdbc import check_jdbc_address
from bulkpoint.store.migrate import migrate
from bulkpoint.streams import take_streams
from bulkpoint.views.sentences import sentence


def main() -> int:
    """Run the job; returns the exit code. Before the run is made a signal just ends the job."""
    take_streams()
    raise_on_signals()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # spark-submit's launcher passes it on as ignored
    followed = False
    try:
        request = read_request(sys.argv[1:])
        followed = request.followed
        settings = load_settings()
        log.use(settings.log_format)
        return run_job(request, settings)
    except (KeyboardInterrupt, Terminated):
        return end_of_job(StoppedError("STOPPED_BEFORE_RUN", why=Refusal("BY_SIGNAL")), followed=followed)
    except Exception as error:  # noqa: BLE001 (a defect ends the job, with a documented code like any other end)
        return end_of_job(error_of(error), followed=followed)
    finally:
        hold_off_signals()  # its end is decided: a second signal must not change it


def run_job(request: RunRequest, settings: Settings) -> ExitCode:
    """Find the campaign that is asked for and pay it; DONE also where `next` finds none that is ready.

    Raises what pay_campaign raises, and UnreachableError when Spark is out of reach; nothing is changed then.
    """
    with connection_target(settings) as database:
        if settings.database_url is None:
            migrate(database.url)
        with connect(database.url) as connection, reachable(database.url):
            found = find_campaign(connection, settings, request)
            if found is None:
                return ExitCode.DONE
            log.about(campaign=found.campaign_id)
            if found.asked is None:
                found = check_now(connection, settings, found)
        with RequestInHand(database.url, found):
            if found.asked is not None:  # what was true when it was asked for may not be now; its end is in the request
                with connect(database.url) as connection, reachable(database.url):
                    found = check_now(connection, settings, found)
            return pay_with_spark(found, settings, database)


def find_campaign(connection: Connection, settings: Settings, request: RunRequest) -> RunRequest | None:
    """The request with its campaign; None where `next` finds none.

    `next` is the oldest run that somebody has asked for and left to others, else the oldest campaign that is ready.
    """
    if request.campaign != "next":
        return request
    if request.takes_others and (left := take_next(connection, holder=request.holder)) is not None:
        what = f"takes the {left.kind} run of campaign {left.campaign} that {left.actor} has asked for"
        say(what, event="request_taken")
        return left
    campaign_id, passed_by = find_next(connection, settings)
    for each in passed_by:
        why = sentence(each.why, timezone=settings.timezone)
        say(f"campaign {each.campaign_id} ({each.name}) is passed by: {why}", event="passed_by")
    if campaign_id is None:
        say("no campaign is ready to start", event="nothing_to_start")
        return None
    return request.model_copy(update={"campaign": campaign_id})


def check_now(connection: Connection, settings: Settings, request: RunRequest) -> RunRequest:
    """The request, whose campaign may start now."""
    own = request.asked is None and request.followed  # our command has done this already; the run itself checks again
    if request.kind == RunKind.INITIAL and not own:
        request = plan_unasked(connection, settings, request).request
    check_startable(connection, request)
    return request


def pay_with_spark(request: RunRequest, settings: Settings, database: Database) -> ExitCode:
    """Start Spark, pay, and stop Spark; the run's events are delivered as its last step."""
    # Workers have neither our environment nor our service file: they get what these say.
    conninfo = explicit(database.url)
    if settings.database_url is None:
        # The embedded database's is in the data folder, wherever a worker's own environment looks.
        conninfo = with_passfile(database.url, database.passfile)
    check_jdbc_address(conninfo)
    with starting_spark(request.campaign_id, settings, database.passfile, conninfo) as spark:
        if not settings.spark_is_local:
            spark()  # a cluster may take a minute, for which the campaign's row would be locked
        job = JobEnvironment(spark, conninfo, settings, deliver=partial(deliver, settings, conninfo))
        return pay_campaign(request, job)
