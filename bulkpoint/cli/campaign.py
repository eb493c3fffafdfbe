"""`bulkpoint campaign`: create, list, show; what runs a campaign is in cli/running.py."""

from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import click

from bulkpoint.cli import archive, history, preview, running
from bulkpoint.cli.findings import say_findings
from bulkpoint.cli.form_options import form_of, form_options
from bulkpoint.cli.numbers import FromOne
from bulkpoint.cli.output import emit, json_option
from bulkpoint.cli.session import open_session, say
from bulkpoint.errors import UsageError
from bulkpoint.rules.lifecycle import CampaignState
from bulkpoint.views.times import parse_time


@click.group(short_help="Create, look at, approve, start, stop, resume, retry.")
def campaign() -> None:
    """Campaigns: create, look at, approve, start, watch, stop, and see how they went.

    \b
    The usual way:
      bulkpoint campaign create --name "Spring event" --targets members.csv
      bulkpoint campaign preview 1
      bulkpoint campaign start 1
      bulkpoint campaign show 1
    """


for command in (
    preview.preview,
    history.history,
    running.start,
    running.stop,
    running.resume,
    running.retry,
    running.watch,
    archive.archive,
):
    campaign.add_command(command)


@campaign.command(short_help="Create a campaign, with a list or to be loaded later.")
@click.option("--name", required=True, metavar="T", help="Its name for people, at most 200 characters.")
@click.option("--note", default="", metavar="T", help="A note for people.")
@click.option(
    "--targets",
    type=click.Path(exists=True, path_type=Path),
    metavar="FILE",
    help="Who gets what: .csv, .tsv, .xlsx or .parquet with the columns member_id, amount, reason.",
)
@form_options
@click.option("--expect-count", type=FromOne(), metavar="N", help="How many targets there must be.")
@click.option("--expect-amount", type=FromOne(), metavar="N", help="The sum of their points.")
@click.option("--not-before", metavar="TIME", help="Do not start earlier: 2026-01-31T18:00, or 18:00.")
@click.option("--same-as", type=int, metavar="ID", help="The list repeats that campaign's on purpose; needs --reason.")
@click.option("--reason", metavar="T", help="Why it repeats that campaign; kept in the audit log.")
@click.option(
    "--accept",
    multiple=True,
    metavar="FINDING",
    help="Load it although it has this finding; repeatable. `preview --targets` names them.",
)
@click.option("--errors", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="All errors, as CSV.")
@json_option()
def create(
    *,
    name: str,
    note: str,
    targets: Path | None,
    encoding: str | None,
    delimiter: str | None,
    columns: str | None,
    sheet: str | None,
    expect_count: int | None,
    expect_amount: int | None,
    not_before: str | None,
    same_as: int | None,
    reason: str | None,
    accept: tuple[str, ...],
    errors: Path | None,
) -> None:
    """Create a campaign. The last word printed is its id. Ids go up; a list that is refused while it is loaded leaves a
    gap, any other refusal none.

    With --targets, the whole file is checked first, then loaded completely or not at all. Without it, the expected
    totals are required; another program loads the table campaign_target, and the campaign starts only if its rows add
    up to them. A list that another campaign had in the last 90 days, or nearly, is refused
    without --same-as.

    \b
    Examples:
      bulkpoint campaign create --name "Spring event" --targets members.csv
      bulkpoint campaign create --name "Refund" --expect-count 1000000 --expect-amount 250000000
    """
    from bulkpoint.campaigns.create import NewCampaign, create_campaign
    from bulkpoint.campaigns.findings import check_names
    from bulkpoint.campaigns.readiness import limits_of
    from bulkpoint.intake.form import PLAIN_FORM
    from bulkpoint.intake.target_file import COLUMNS
    from bulkpoint.rules.refusals import Refusal
    from bulkpoint.views.changes import CampaignCreated
    from bulkpoint.views.sentences import sentence

    accepted = check_names(accept)
    form = form_of(COLUMNS, encoding=encoding, delimiter=delimiter, columns=columns, sheet=sheet)
    if form != PLAIN_FORM and targets is None:
        raise UsageError("FORM_OF_NO_FILE")
    with open_session() as session:
        settings, zone = session.settings, session.settings.timezone
        moment = None
        if not_before is not None:
            moment = parse_time(not_before, option="--not-before", timezone=zone, now=datetime.now(UTC))
            if moment <= datetime.now(UTC):
                say(sentence(Refusal("NOT_BEFORE_PAST", {"moment": moment}), timezone=zone))
        campaign_id = create_campaign(
            session.connection,
            NewCampaign(name, note, expect_count, expect_amount, moment, same_as, reason, accepted),
            actor=session.actor,
            limits=limits_of(settings),
            targets=targets,
            form=form,
            errors_file=errors,
            say=say,
            show=partial(say_findings, accepted=accepted),
        )
    emit(CampaignCreated(campaign_id=campaign_id))


@campaign.command("list", short_help="List the campaigns, oldest first.")
@click.option(
    "--state",
    "states",
    type=click.Choice(list(CampaignState), case_sensitive=False),
    multiple=True,
    help="Only of this state; repeatable.",
)
@click.option("--latest", type=FromOne(), metavar="N", help="Only the N newest, newest first.")
@json_option()
def list_(*, states: tuple[CampaignState, ...], latest: int | None) -> None:
    """List the campaigns, oldest first: the order in which they start.

    \b
    Examples:
      bulkpoint campaign list
      bulkpoint campaign list --state WAITING --state RUNNING
      bulkpoint campaign list --latest 20
    """
    from bulkpoint.store.campaign import get_counts_of, list_campaigns
    from bulkpoint.views.campaign import campaign_list

    with open_session() as session:
        found = list_campaigns(session.connection, states, latest)
        counts = get_counts_of(session.connection, found)
    emit(campaign_list(zip(found, counts, strict=True)), timezone=session.settings.timezone)


@campaign.command()
@click.argument("campaign_id", type=int, metavar="ID")
@json_option()
def show(*, campaign_id: int) -> None:
    """Show one campaign: its state, its counts and points, its runs.

    \b
    Example:
      bulkpoint campaign show 3
    """
    from bulkpoint.campaigns.left_request import standing_of
    from bulkpoint.campaigns.watch import time_left
    from bulkpoint.store.campaign import get_campaign, get_counts, list_campaign_runs
    from bulkpoint.store.finding import latest_findings
    from bulkpoint.store.run_request import live_run_requests
    from bulkpoint.store.settle import count_settled_by_hand
    from bulkpoint.views.campaign import campaign_detail

    with open_session() as session:
        one = get_campaign(session.connection, campaign_id)
        counts = get_counts(session.connection, one)
        runs = list_campaign_runs(session.connection, campaign_id)
        on_its_way = live_run_requests(session.connection, campaign_id)
        left = standing_of(session.connection, campaign_id)
        findings = latest_findings(session.connection, campaign_id)
        by_hand = count_settled_by_hand(session.connection, campaign_id)
        left_s = time_left(session.connection, one, still_open=counts.pending + counts.processing)
    zone = session.settings.timezone
    detail = campaign_detail(
        one,
        counts,
        runs,
        on_its_way,
        by_hand=by_hand,
        findings=findings,
        left_s=left_s,
        left_request=None if left is None else left.said,
        timezone=zone,
    )
    emit(detail, timezone=zone)


@campaign.command()
@click.argument("campaign_id", type=int, metavar="ID")
@click.option("--reason", required=True, metavar="T", help="Why; kept in the audit log.")
@json_option()
def withdraw(*, campaign_id: int, reason: str) -> None:
    """Take a waiting campaign out of the queue permanently.

    \b
    Example:
      bulkpoint campaign withdraw 3 --reason "sent twice by mistake"
    """
    from bulkpoint.campaigns.withdraw import withdraw_campaign
    from bulkpoint.views.changes import CampaignWithdrawn

    with open_session() as session:
        withdraw_campaign(session.connection, campaign_id, actor=session.actor, reason=reason)
    emit(CampaignWithdrawn(campaign_id=campaign_id))


@campaign.command(short_help="Say that what a run left stays as it is.")
@click.argument("campaign_id", type=int, metavar="ID")
@click.option("--reason", required=True, metavar="T", help="Why; kept in the audit log.")
@json_option()
def acknowledge(*, campaign_id: int, reason: str) -> None:
    """Say that what a campaign's last run left is meant, as after a stop that is final: `check` names it no more.

    Nothing else changes: `resume`, `retry` and `reconcile` still work, and what another run leaves is named again.

    \b
    Example:
      bulkpoint campaign acknowledge 3 --reason "stopped for a wrong list; campaign 4 has the right one"
    """
    from bulkpoint.campaigns.check import acknowledge_end
    from bulkpoint.views.changes import EndAcknowledged

    with open_session() as session:
        run, already = acknowledge_end(session.connection, campaign_id, actor=session.actor, reason=reason)
    emit(EndAcknowledged(campaign_id=campaign_id, run=run, already=already))


@campaign.command(short_help="Approve a campaign's targets, as a second person.")
@click.argument("campaign_id", type=int, metavar="ID")
@click.option("--digest", metavar="D", help="Refuse if the targets have another digest.")
@json_option()
def approve(*, campaign_id: int, digest: str | None) -> None:
    """Approve a campaign's present targets: it then starts with exactly these.

    Needs the right `approve`, and a different database login from the one that created the campaign (four-eyes
    principle). Look at the targets first: `bulkpoint campaign preview`. With BULKPOINT_REQUIRE_APPROVAL=true, no
    campaign starts without approval.

    \b
    Example:
      bulkpoint campaign approve 3 --digest 3f9a0c21b7de
    """
    from bulkpoint.campaigns.approve import approve_campaign
    from bulkpoint.campaigns.digest import check_digest
    from bulkpoint.campaigns.readiness import limits_of
    from bulkpoint.views.changes import CampaignApproved

    if digest is not None:
        check_digest(digest)
    with open_session() as session:
        found = approve_campaign(
            session.connection,
            campaign_id,
            actor=session.actor,
            digest=digest,
            limits=limits_of(session.settings),
            show=say_findings,
        )
    emit(CampaignApproved(campaign_id=campaign_id, digest=found.hex()))


@campaign.command(short_help="Say why a campaign is not to be paid, as a second person.")
@click.argument("campaign_id", type=int, metavar="ID")
@click.option("--reason", required=True, metavar="T", help="Why; shown to its creator, kept in the audit log.")
@json_option()
def reject(*, campaign_id: int, reason: str) -> None:
    """Reject a waiting campaign: it stays in the queue, and does not start until somebody approves it.

    Needs the right `approve`, and a different database login from the one that created the campaign. An approval that
    it had is taken back. Whoever created it withdraws it and creates it again with the right list, or has it approved.

    \b
    Example:
      bulkpoint campaign reject 3 --reason "the amounts of July, not of August"
    """
    from bulkpoint.campaigns.reject import reject_campaign
    from bulkpoint.views.changes import CampaignRejected

    with open_session() as session:
        reject_campaign(session.connection, campaign_id, actor=session.actor, reason=reason)
    emit(CampaignRejected(campaign_id=campaign_id, reason=reason.strip()))
