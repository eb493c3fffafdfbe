"""Follow a run from the command line to its end, and exit with its code."""

import signal
import sys
from datetime import datetime
from typing import TYPE_CHECKING

from bulkpoint.cli.output import emit, leave
from bulkpoint.cli.session import Session, say
from bulkpoint.errors import BulkpointError, FailedError, StoppedError
from bulkpoint.launch.signals import Terminated, hold_off_signals
from bulkpoint.rules.lifecycle import RunState
from bulkpoint.rules.refusals import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bulkpoint.launch.process import Job
    from bulkpoint.store.campaign import Campaign
    from bulkpoint.store.progress import RunSummary, Sample


def run_to_the_end(session: Session, job: "Job", campaign: "Campaign", *, detach: bool) -> None:
    """Wait until the job has made its run and, unless detached, until the run has ended; then exit with its code."""
    from bulkpoint.campaigns.watch import follow_run
    from bulkpoint.views.changes import RunBegun

    campaign_id, name = campaign.campaign_id, campaign.name
    _wait_until_run(session, job, campaign_id)
    if detach:
        emit(RunBegun(campaign_id=campaign_id, run=job.run_no), on_the_way=True)
        say(f"Follow it with `bulkpoint campaign watch {campaign_id}`.")
        return
    told = False
    try:
        next_run: int | None = job.run_no
        while next_run is not None:
            run_no = next_run
            show_samples(session, follow_run(session.database_url, campaign_id, alive=job.alive), campaign_id, name)
            next_run = _automatic_retry(session, job, run_no)
        told = _say_message(session, campaign_id, run_no)
        job.wait()  # it closes Spark, for a second or two
    except (KeyboardInterrupt, Terminated) as error:
        if _leaves_the_job(error):
            raise
        _end(session, job, campaign_id)
    exit_as_the_run(session, campaign_id, run_no, job=job, told=told)


def show_samples(
    session: Session,
    samples: "Iterable[Sample]",
    campaign_id: int,
    name: str,
    *,
    as_json: bool = False,
    deadline: datetime | None = None,
) -> None:
    """Progress as it comes: on stderr for people, on stdout as JSON."""
    from bulkpoint.views.progress import show_progress

    show_progress(
        samples,
        campaign_id=campaign_id,
        name=name,
        timezone=session.settings.timezone,
        every_s=session.settings.progress_seconds,
        stream=sys.stdout if as_json else sys.stderr,
        as_json=as_json,
        deadline=deadline,
    )


def exit_as_the_run(
    session: Session, campaign_id: int, run: int, *, job: "Job | None" = None, told: bool = False, quiet: bool = False
) -> None:
    """Print how the run ended, and exit with its code. The run's row decides, not the job's process.

    told: its message was printed already, or nothing can be done next. quiet: print nothing, progress has shown it.
    """
    from bulkpoint.events.message import next_steps
    from bulkpoint.views.changes import RunEnded

    summary = _summary(session, campaign_id, run)
    if summary.state == RunState.RUNNING:
        assert job is not None, "only a job that died leaves a run behind that still says RUNNING"
        raise _job_died(job, campaign_id)
    if job is not None and not told:
        _say_message(session, campaign_id, run)
    error = _end_of_run(summary)
    if not quiet:
        emit(RunEnded.of(summary), error=error, on_the_way=True)
        if job is None and not told:  # else they are in the message
            for step in next_steps(summary, language="en"):
                say(step)
    if error is not None:
        leave(error)


def _say_message(session: Session, campaign_id: int, run: int) -> bool:
    """Print the message of a run that has ended, where Slack does not get it: the job's own copy went to its log.

    Returns whether the run has ended.
    """
    from bulkpoint.events.message import build_message

    summary = _summary(session, campaign_id, run)
    if summary.state == RunState.RUNNING:
        return False
    if session.settings.slack_channel is None:
        say(f"\n{build_message(summary, language=session.settings.language, web_url=session.settings.web_url).text}\n")
    return True


def _summary(session: Session, campaign_id: int, run: int) -> "RunSummary":
    from bulkpoint.campaigns.end_figures import with_codes
    from bulkpoint.store.connect import connect
    from bulkpoint.store.progress import summarize_run_number

    # A connection of its own: the session's may be older than a restart of the database.
    with connect(session.database_url) as connection:
        return with_codes(connection, summarize_run_number(connection, campaign_id, run))


def _end_of_run(summary: "RunSummary") -> BulkpointError | None:
    """The error of a run that did not complete; None if it did."""
    why = summary.reason or Refusal("NO_REASON")
    facts = {"campaign_id": summary.campaign_id, "run": summary.run_no, "why": why, "open": summary.open}
    facts |= {"not_processed": summary.waiting, "processing": summary.processing}
    match summary.state:
        case RunState.STOPPED:
            return StoppedError("RUN_STOPPED", "resume", **facts)
        case RunState.FAILED:
            return FailedError("RUN_FAILED", "resume", **facts)
    return None


def _wait_until_run(session: Session, job: "Job", campaign_id: int) -> None:
    """Wait until the job has made its run."""
    try:
        job.wait_until_run(session.connection)
    except (KeyboardInterrupt, Terminated) as error:
        if _leaves_the_job(error):
            raise
        _end(session, job, campaign_id)


def _automatic_retry(session: Session, job: "Job", run: int) -> int | None:
    """The automatic retry that the job began after this run, if the settings allow one."""
    settings = session.settings
    if settings.auto_retry_runs == 0:
        return None
    following = job.next_run(session.database_url, run, backoff_s=settings.backoff_s)
    if following is not None:
        say(f"Run {run} left failures; run {following} retries them.")
    return following


def _end(session: Session, job: "Job", campaign_id: int) -> None:
    """Stop the campaign; if its run had not begun, exit with code 4 too."""
    from bulkpoint.launch.process import end_job

    hold_off_signals()
    say(f"Stopping campaign {campaign_id} ...")
    reason = "stopped from where it was started"
    if not end_job(job, session.database_url, campaign_id, actor=session.actor, reason=reason):
        raise StoppedError("RUN_NOT_BEGUN", "show_campaign", campaign_id=campaign_id)


def _leaves_the_job(error: BaseException) -> bool:
    """A closed terminal does not stop a campaign; Ctrl-C and SIGTERM do."""
    return isinstance(error, Terminated) and error.number == signal.SIGHUP


def _job_died(job: "Job", campaign_id: int) -> FailedError:
    return FailedError("JOB_DIED", campaign_id=campaign_id, log=str(job.log), last_lines=job.last_lines())
