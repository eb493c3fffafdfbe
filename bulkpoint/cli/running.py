"""`bulkpoint campaign start`, `stop`, `resume`, `retry` and `watch`: what runs a campaign, and what follows it."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import click

from bulkpoint.cli.asking import go_on, need_terminal
from bulkpoint.cli.findings import say_findings
from bulkpoint.cli.following import exit_as_the_run, run_to_the_end, show_samples
from bulkpoint.cli.money import say_promises
from bulkpoint.cli.output import emit, json_option, wants_json
from bulkpoint.cli.session import Session, open_session, say
from bulkpoint.cli.tps import say_other_setting
from bulkpoint.errors import RefusedError
from bulkpoint.launch.command_line import IdOrNext, StartCommand
from bulkpoint.launch.signals import Terminated
from bulkpoint.rules.lifecycle import RETRIED_KINDS, CampaignState, FailureKind
from bulkpoint.views.times import parse_time

if TYPE_CHECKING:
    from bulkpoint.campaigns.retry import RetryPlan
    from bulkpoint.campaigns.run_request import RunRequest
    from bulkpoint.campaigns.start import StartPlan
    from bulkpoint.store.campaign import Campaign
    from bulkpoint.store.run_request import LeftRequest


@click.command(cls=StartCommand)
@click.argument("campaign", metavar=IdOrNext.name, type=IdOrNext())
@click.option("--yes", is_flag=True, help="Do not ask. Required without a terminal.")
@click.option("--detach", is_flag=True, help="Return as soon as it runs.")
@json_option()
def start(*, campaign: Any, yes: bool, detach: bool, **options: Any) -> None:
    """Start a campaign and follow it to its end. `next` is the oldest campaign that is ready.

    A campaign is ready if it is WAITING, its time has come, its targets add up to the expected totals, it is approved
    (if approval is required), and its list was not paid in the last 90 days. `next` names the others and skips them.
    From 100,000 targets on, --yes leaves the check of the list to the job, which refuses it before it pays anything.
    Ctrl-C stops the campaign (exit code 4); closing the terminal leaves it running.

    Where somebody has asked for a run and left it to others (on the page), `next` without options of its own is that
    run, with what was asked for.

    \b
    Examples:
      bulkpoint campaign start 3
      bulkpoint campaign start next --yes
      bulkpoint campaign start 5 --yes --digest 3f9a0c21b7de
      bulkpoint campaign start 5 --force --reason "apology, today"
    """
    from bulkpoint.campaigns.start import find_next, plan_start, plan_unasked
    from bulkpoint.launch.process import start_job
    from bulkpoint.store.run_request import next_left_request
    from bulkpoint.views.changes import RunBegun
    from bulkpoint.views.sentences import sentence

    request = _request(campaign, **options)
    with open_session() as session:
        left = next_left_request(session.connection) if request.takes_others else None
        if left is not None:
            _start_left(session, left, yes=yes, detach=detach)
            return
        if request.campaign == "next":
            found, skipped = find_next(session.connection, session.settings)
            for each in skipped:
                why = sentence(each.why, timezone=session.settings.timezone)
                say(f"Campaign {each.campaign_id} ({each.name}) is passed by: {why}")
            if found is None:
                emit(RunBegun(campaign_id=None, run=None))
                return
            request = request.model_copy(update={"campaign": found})
        plan = (plan_unasked if yes else plan_start)(session.connection, session.settings, request)
        say_findings(plan.findings, request.accepted)
        _check(session, yes=yes)
        if not yes:
            _ask(session, plan)
        say_promises(session)
        say_other_setting(session)
        job = start_job(session.connection, session.settings, plan.campaign, plan.request)
        say(f"Starting campaign {request.campaign_id}; the job's log is {job.log}")
        if plan.left_to_job:
            say(f"The job checks its list of {plan.campaign.expected_count:,} targets before it pays.")
        run_to_the_end(session, job, plan.campaign, detach=detach)


def _start_left(session: Session, left: "LeftRequest", *, yes: bool, detach: bool) -> None:
    """Run what somebody has asked for and left to others; the job checks everything, in the name of who asked."""
    from bulkpoint.campaigns.left_request import request_of
    from bulkpoint.launch.process import start_job
    from bulkpoint.store.campaign import get_campaign
    from bulkpoint.store.run_request import take_run_request
    from bulkpoint.views.format import local_time

    at = local_time(left.requested_at, session.settings.timezone)
    say(f"Campaign {left.campaign_id}: {left.actor} (login {left.requested_by}) asked for its {left.kind} run at {at}.")
    _check(session, yes=yes, for_others=True)
    campaign = get_campaign(session.connection, left.campaign_id)
    if not yes:
        figures = [f"{campaign.expected_count:,} payments, {campaign.expected_amount:,} points"]
        _confirm(session, campaign, figures, campaign.expected_count, question="Run it?")
    say_promises(session)
    say_other_setting(session)
    request = request_of(left, holder=uuid4())
    if not take_run_request(
        session.connection, left.request_id, holder=request.holder, taken_by="`bulkpoint campaign start next`"
    ):
        raise RefusedError("REQUEST_NOT_TAKEN", "show", campaign_id=left.campaign_id)
    job = start_job(session.connection, session.settings, campaign, request)
    say(f"Starting campaign {left.campaign_id}; the job's log is {job.log}")
    run_to_the_end(session, job, campaign, detach=detach)


@click.command(short_help="Continue after a stop, a failure or a dead job.")
@click.argument("campaign_id", type=int, metavar="ID")
@click.option("--yes", is_flag=True, help="Do not ask. Required without a terminal.")
@click.option("--detach", is_flag=True, help="Return as soon as it runs.")
@click.option("--reason", metavar="T", help="Why; kept in the audit log.")
@json_option()
def resume(*, campaign_id: int, yes: bool, detach: bool, reason: str | None) -> None:
    """Continue a campaign that was stopped, that failed, or whose job died. What is paid stays paid.

    A run that still says RUNNING is taken over if its job has not renewed its lease for 15 seconds.

    \b
    Example:
      bulkpoint campaign resume 3
    """
    from bulkpoint.campaigns.resume import count_too_old, plan_resume
    from bulkpoint.launch.process import start_job
    from bulkpoint.rules.lifecycle import RunKind
    from bulkpoint.store.campaign import get_counts

    request = _request(campaign_id, kind=RunKind.RESUME, reason=reason)
    with open_session() as session:
        campaign = plan_resume(session.connection, request, say=say)
        _check(session, yes=yes)
        old = count_too_old(session.connection, campaign_id, session.settings)
        if old:
            say(f"{old:,} payments that are not processed are too old to be sent again: they are only looked up.")
        if not yes:
            counts = get_counts(session.connection, campaign)
            figures = [f"{counts.pending:,} payments are not processed, {counts.pending_amount:,} points"]
            if counts.processing:
                sent = f"{counts.processing:,} payments are perhaps sent, {counts.processing_amount:,} points"
                figures.append(f"{sent}: looked up first")
            if counts.unknown:
                unknown = f"{counts.unknown:,} payments are UNKNOWN, {counts.unknown_amount:,} points"
                figures.append(f"{unknown}: not resumed, look them up with `bulkpoint reconcile {campaign_id}`")
            _confirm(session, campaign, figures, counts.pending + counts.processing, question="Resume it?")
        say_promises(session)
        say_other_setting(session)
        job = start_job(session.connection, session.settings, campaign, request)
        say(f"Resuming campaign {campaign_id}; the job's log is {job.log}")
        run_to_the_end(session, job, campaign, detach=detach)


@click.command(short_help="Pay a completed campaign's FAILED payments again.")
@click.argument("campaign_id", type=int, metavar="ID")
@click.option("--yes", is_flag=True, help="Do not ask. Required without a terminal.")
@click.option("--detach", is_flag=True, help="Return as soon as it runs.")
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    type=click.Choice([*RETRIED_KINDS, *(kind for kind in FailureKind if kind not in RETRIED_KINDS)]),
    help=f"Only failures of this kind; repeatable. Default: {' and '.join(RETRIED_KINDS)}.",
)
@click.option("--code", metavar="C", help="Only failures with this code.")
@click.option("--beyond-limit", is_flag=True, help="Also payments that already had three RETRY runs; needs --reason.")
@click.option("--reason", metavar="T", help="Why; kept in the audit log.")
@json_option()
def retry(
    *,
    campaign_id: int,
    yes: bool,
    detach: bool,
    kinds: tuple[str, ...],
    code: str | None,
    beyond_limit: bool,
    reason: str | None,
) -> None:
    """Pay a completed campaign's FAILED payments again, in a new run (RETRY).

    Each payment keeps its idempotency key: if it was credited after all, it is not credited twice. A payment whose key
    the money API may have forgotten (`bulkpoint money show`) is never sent again: it stays as it is, and is counted;
    `reconcile` looks up those in doubt. Resume a campaign first that has payments not processed.

    \b
    Examples:
      bulkpoint campaign retry 3
      bulkpoint campaign retry 3 --kind REJECTED --code MEMBER_NOT_FOUND
    """
    from bulkpoint.campaigns.retry import plan_retry
    from bulkpoint.launch.process import start_job
    from bulkpoint.rules.lifecycle import RunKind
    from bulkpoint.store.progress import RetrySelection
    from bulkpoint.views.sentences import sentence

    selection = RetrySelection(tuple(map(FailureKind, kinds)) or RETRIED_KINDS, code, beyond_limit)
    request = _request(campaign_id, kind=RunKind.RETRY, reason=reason, selection=selection)
    with open_session() as session:
        plan = plan_retry(session.connection, request, session.settings)
        _check(session, yes=yes)
        if plan.remark is not None:
            say(sentence(plan.remark, timezone=session.settings.timezone))
        if not yes:
            _ask_retry(session, plan)
        say_promises(session)
        say_other_setting(session)
        job = start_job(session.connection, session.settings, plan.campaign, request)
        say(f"Retrying campaign {campaign_id}; the job's log is {job.log}")
        run_to_the_end(session, job, plan.campaign, detach=detach)


@click.command(short_help="Stop a running campaign, within a second, or a start that is on its way.")
@click.argument("campaign_id", type=int, metavar="ID")
@click.option("--reason", metavar="T", help="Why; kept in the audit log and in the message.")
@json_option()
def stop(*, campaign_id: int, reason: str | None) -> None:
    """Stop a running campaign: no call leaves more than a second later; late answers are recorded.

    A start, resume or retry that is still on its way (Spark takes seconds) is called back: its run is not made, and
    the campaign stays as it is.

    \b
    Example:
      bulkpoint campaign stop 3 --reason "wrong list"
    """
    from bulkpoint.campaigns.stop import ask_to_stop, call_back_starts, wait_until_ended
    from bulkpoint.views.changes import CampaignStopped, StartCalledBack

    with open_session() as session:
        connection = session.connection
        state, called_back = call_back_starts(connection, campaign_id, actor=session.actor, reason=reason)
        if called_back and state != CampaignState.RUNNING:
            emit(StartCalledBack.of(campaign_id, state, called_back), timezone=session.settings.timezone)
            return
        ask_to_stop(connection, campaign_id, actor=session.actor, reason=reason)
        say(f"Campaign {campaign_id} is stopped; waiting for the answers to calls under way ...")
        stopped = wait_until_ended(connection, session.settings, campaign_id, actor=session.actor)
    emit(CampaignStopped.of(campaign_id, stopped.sample, stopped.last_call), timezone=session.settings.timezone)


@click.command(short_help="Follow a campaign until its run ends.")
@click.argument("campaign_id", type=int, metavar="ID")
@click.option("--deadline", metavar="TIME", help="Warn if it will not be done by then: 2026-01-31T18:00, or 18:00.")
@json_option("One JSON object a line, on stdout.")
def watch(*, campaign_id: int, deadline: str | None) -> None:
    """Follow a campaign until its run ends. Exit codes as of `start`: 0 completed, 4 stopped, 5 failed.

    Ctrl-C only ends the display; the campaign continues.

    \b
    Examples:
      bulkpoint campaign watch 3 --deadline 18:00
      bulkpoint campaign watch 3 --json
    """
    from bulkpoint.campaigns.watch import follow_run
    from bulkpoint.store.campaign import get_campaign

    with open_session() as session:
        zone = session.settings.timezone
        due = None
        if deadline is not None:
            due = parse_time(deadline, option="--deadline", timezone=zone, now=datetime.now(UTC))
        one = get_campaign(session.connection, campaign_id)
        if one.run_no is None:
            raise RefusedError("NOTHING_TO_WATCH", "start_or_try_again", campaign_id=campaign_id, state=one.state)
        if one.archived_at is not None and not wants_json():
            _say_where_it_is(session, one)
            exit_as_the_run(session, campaign_id, one.run_no, told=True)
            return
        try:
            samples = follow_run(session.database_url, campaign_id)
            show_samples(session, samples, campaign_id, one.name, as_json=wants_json(), deadline=due)
        except (KeyboardInterrupt, Terminated):
            say(f"Campaign {campaign_id} goes on without you: bulkpoint campaign watch {campaign_id}")
            raise
        exit_as_the_run(session, campaign_id, one.run_no, quiet=wants_json())


def _say_where_it_is(session: Session, one: "Campaign") -> None:
    """An archived campaign: when its last run ended, and the folder of its rows."""
    from bulkpoint.rules.refusals import Refusal
    from bulkpoint.store.campaign import list_campaign_runs
    from bulkpoint.views.format import local_time
    from bulkpoint.views.sentences import sentence

    zone = session.settings.timezone
    facts = {"campaign_id": one.campaign_id, "at": one.archived_at, "place": one.archive_place}
    say(sentence(Refusal("CAMPAIGN_ARCHIVED", facts), timezone=zone))
    ended_at = list_campaign_runs(session.connection, one.campaign_id)[-1].finished_at
    say(f"Its run {one.run_no} ended at {'-' if ended_at is None else local_time(ended_at, zone)}.")


def _request(campaign: Any, **fields: Any) -> "RunRequest":
    """The request with its actor; UsageError for an impossible one, before any database is opened."""
    from bulkpoint.campaigns.run_request import RunRequest, asker
    from bulkpoint.settings import load_settings

    return RunRequest(campaign=campaign, actor=asker(load_settings()), **fields)


def _check(session: Session, *, yes: bool, for_others: bool = False) -> None:
    """What can be known before Spark starts; before the question, so that a yes can be followed."""
    from bulkpoint.launch.before_spark import check_before_spark

    if not yes:
        need_terminal()
    check_before_spark(session.settings, for_others=for_others)


def _ask(session: Session, plan: "StartPlan") -> None:
    one = plan.campaign
    figures = [
        f"{one.expected_count:,} payments, {one.expected_amount:,} points; created by {one.creator}"
        + (f", approved by {one.approved_by}" if one.approved_by else ""),
        f"digest {plan.digest.hex()}",
    ]
    _confirm(session, one, figures, one.expected_count, question="Start it?")


def _ask_retry(session: Session, plan: "RetryPlan") -> None:
    for failed in plan.again:
        say(f"  {failed.kind:<12} {failed.code}: {failed.count:,} payments, {failed.amount:,} points")
    for failed in plan.left:
        why = ""
        if failed.chosen:
            why = " (too old to be sent again)" if failed.too_old else " (had three RETRY runs)"
        say(f"  left as they are: {failed.kind} {failed.code}: {failed.count:,} payments{why}")
    count, points = sum(failed.count for failed in plan.again), sum(failed.amount for failed in plan.again)
    figures = [f"{count:,} payments again, {points:,} points"]
    _confirm(session, plan.campaign, figures, count, question="Retry them?")


def _confirm(session: Session, one: "Campaign", figures: list[str], count: int, *, question: str) -> None:
    """Show what is about to happen to `count` payments, and go on only after a yes."""
    from bulkpoint.campaigns.tps import show_limit
    from bulkpoint.views.question import before_paying

    settings = session.settings
    tps = show_limit(session.connection, settings, actor=session.actor).tps
    say(f"Campaign {one.campaign_id}  {one.name}")
    terms = before_paying(
        count, tps=tps, money_url=settings.money_url, now=datetime.now(UTC), timezone=settings.timezone
    )
    for line in (*figures, *terms):
        say(f"  {line}")
    go_on(question)
