"""`bulkpoint campaign`: create, list, show; what runs one is in cli/running.py."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bulkpoint.cli import history, preview, running
from bulkpoint.cli.session import open_session, say
from bulkpoint.cli.times import parse_time

if TYPE_CHECKING:
    from bulkpoint.store.campaign import Campaign, CampaignRun, Counts

BIGINT_MAX = 2**63 - 1
STATES = ("PENDING", "PROCESSING", "SUCCESS", "FAILED")


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
):
    campaign.add_command(command)


@campaign.command(short_help="Create a campaign, with a list or for others to load.")
@click.option("--name", required=True, metavar="T", help="What people call it, 200 characters at most.")
@click.option("--note", default="", metavar="T", help="Anything else worth keeping.")
@click.option(
    "--targets",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Who gets what: .csv (UTF-8) or .parquet with the columns member_id, amount, reason.",
)
@click.option("--expect-count", type=click.IntRange(1, BIGINT_MAX), metavar="N", help="How many targets there must be.")
@click.option("--expect-amount", type=click.IntRange(1, BIGINT_MAX), metavar="N", help="Their points, all together.")
@click.option("--not-before", metavar="TIME", help="Not to start earlier: 2026-01-31T18:00, or 18:00.")
@click.option("--same-as", type=int, metavar="ID", help="The list is meant to repeat that campaign's; needs --reason.")
@click.option("--reason", metavar="T", help="Why it repeats that one; kept in the audit log.")
@click.option("--errors", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="All errors, as CSV.")
def create(
    *,
    name: str,
    note: str,
    targets: Path | None,
    expect_count: int | None,
    expect_amount: int | None,
    not_before: str | None,
    same_as: int | None,
    reason: str | None,
    errors: Path | None,
) -> None:
    """Create a campaign; the last word printed is its id.

    With --targets a file is checked whole, then loaded whole or not at all. Without it the expected figures are
    required, others load the table campaign_target, and the campaign starts only when that adds up to them. A list
    that another campaign had in the last 90 days is refused, unless --same-as says that it is meant.

    \b
    Examples:
      bulkpoint campaign create --name "Spring event" --targets members.csv
      bulkpoint campaign create --name "Refund" --expect-count 1000000 --expect-amount 250000000
    """
    from bulkpoint.campaigns.create import NewCampaign, create_campaign
    from bulkpoint.campaigns.readiness import limits_of

    with open_session() as session:
        settings, zone = session.settings, session.settings.timezone
        moment = None
        if not_before is not None:
            moment = parse_time(not_before, option="--not-before", timezone=zone, now=datetime.now(UTC))
        campaign_id = create_campaign(
            session.connection,
            NewCampaign(name, note, expect_count, expect_amount, moment, same_as, reason),
            actor=session.actor,
            limits=limits_of(settings),
            targets=targets,
            errors_file=errors,
            say=say,
        )
    click.echo(f"created campaign {campaign_id}")


@campaign.command("list", short_help="List the campaigns, oldest first.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def list_(*, as_json: bool) -> None:
    """List the campaigns, oldest first: the order in which they are to be started.

    \b
    Example:
      bulkpoint campaign list
    """
    from bulkpoint.store.campaign import get_counts, list_campaigns
    from bulkpoint.views.format import aligned, local_time, state_words

    with open_session() as session:
        campaigns = [(one, get_counts(session.connection, one)) for one in list_campaigns(session.connection)]
    if as_json:
        click.echo(json.dumps({"campaigns": [_fields(*one) for one in campaigns]}, ensure_ascii=False))
        return
    if not campaigns:
        say("There is no campaign yet: bulkpoint campaign create --help")
        return
    rows = [("ID", "STATE", "TARGETS", "POINTS", "SUCCESS", "FAILED", "CREATED", "NAME")]
    for one, counts in campaigns:
        count, amount = _size(one)
        created = local_time(one.created_at, session.settings.timezone)
        figures = (f"{count:,}", f"{amount:,}", f"{counts.success:,}", f"{counts.failed:,}")
        rows.append((str(one.campaign_id), state_words(one.state), *figures, created, one.name))
    for line in aligned(rows, left=("STATE", "CREATED", "NAME")):
        click.echo(line)
    for one, _ in campaigns:
        if one.driver_is_gone:
            say(_gone(one))


@campaign.command()
@click.argument("campaign_id", type=int, metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def show(*, campaign_id: int, as_json: bool) -> None:
    """Show one campaign: its state, its counts and points, its runs.

    \b
    Example:
      bulkpoint campaign show 3
    """
    from bulkpoint.store.campaign import get_campaign, get_counts, list_campaign_runs

    with open_session() as session:
        one = get_campaign(session.connection, campaign_id)
        counts = get_counts(session.connection, one)
        runs = list_campaign_runs(session.connection, campaign_id)
    if as_json:
        click.echo(json.dumps(_fields(one, counts) | {"runs": [_run_fields(run) for run in runs]}, ensure_ascii=False))
        return
    _print(one, counts, runs, session.settings.timezone)


def _print(one: "Campaign", counts: "Counts", runs: "list[CampaignRun]", timezone: str) -> None:
    from bulkpoint.views.format import aligned, duration, local_time, state_words

    count, amount = _size(one)
    click.echo(f"campaign {one.campaign_id}  {one.name}")
    click.echo(f"state       {state_words(one.state)}" + (f": {one.run_reason}" if one.run_reason else ""))
    if one.driver_is_gone:
        click.echo(f"            {_gone(one)}")
    click.echo(f"created     {local_time(one.created_at, timezone)} by {one.creator}")
    if one.approved_at is not None:
        click.echo(f"approved    {local_time(one.approved_at, timezone)} by {one.approved_by}")
    if one.same_as is not None:
        click.echo(f"same as     campaign {one.same_as}: this list was paid before, on purpose")
    if one.not_before is not None:
        click.echo(f"not before  {local_time(one.not_before, timezone)}")
    if one.note:
        click.echo(f"note        {one.note}")
    if one.digest is not None:
        click.echo(f"digest      {one.digest.hex()}")
    click.echo(f"targets     {count:,} with {amount:,} points" + (" expected" if one.frozen_at is None else ""))
    click.echo()
    rows = [("PAYMENTS", "COUNT", "POINTS")]
    rows += [(state, f"{getattr(counts, state.lower()):,}", f"{_amount(counts, state):,}") for state in STATES]
    for line in aligned(rows, left=("PAYMENTS",)):
        click.echo(line)
    kinds = ", ".join(f"{kind} {number:,}" for kind, number in counts.failure_kinds.items() if number)
    if kinds:
        click.echo(f"failed by kind: {kinds}")
    if not runs:
        return
    click.echo()
    table = [("RUN", "KIND", "STATE", "STARTED", "DURATION", "BY", "REASON")]
    for run in runs:
        lasted = "" if run.finished_at is None else duration((run.finished_at - run.started_at).total_seconds())
        started = local_time(run.started_at, timezone)
        table.append((str(run.run_no), run.kind, state_words(run.state), started, lasted, run.actor, run.reason or ""))
    for line in aligned(table, left=("KIND", "STATE", "STARTED", "BY", "REASON")):
        click.echo(line)


def _gone(one: "Campaign") -> str:
    return (
        f"Campaign {one.campaign_id} says RUNNING, but its job is gone: nothing is paid."
        f" Take it over with `bulkpoint campaign resume {one.campaign_id}`."
    )


def _fields(one: "Campaign", counts: "Counts") -> dict[str, Any]:
    count, amount = _size(one)
    return {
        "campaign_id": one.campaign_id,
        "name": one.name,
        "state": one.state,
        "target_count": count,
        "target_amount": amount,
        "counts": {state: getattr(counts, state.lower()) for state in STATES},
        "amounts": {state: _amount(counts, state) for state in STATES},
        "failure_kinds": counts.failure_kinds,
    }


def _run_fields(run: "CampaignRun") -> dict[str, Any]:
    from bulkpoint.views.format import utc_time

    return {
        "run": run.run_no,
        "kind": run.kind,
        "state": run.state,
        "reason": run.reason,
        "actor": run.actor,
        "started_at": utc_time(run.started_at),
        "finished_at": utc_time(run.finished_at),
    }


def _size(one: "Campaign") -> tuple[int, int]:
    """Targets and points: as frozen, before that as expected."""
    if one.target_count is None or one.target_amount is None:
        return one.expected_count, one.expected_amount
    return one.target_count, one.target_amount


def _amount(counts: "Counts", state: str) -> int:
    return int(getattr(counts, f"{state.lower()}_amount"))


@campaign.command()
@click.argument("campaign_id", type=int, metavar="ID")
@click.option("--reason", required=True, metavar="T", help="Why; kept in the audit log.")
def withdraw(*, campaign_id: int, reason: str) -> None:
    """Take a campaign that waits out of the queue, for good.

    \b
    Example:
      bulkpoint campaign withdraw 3 --reason "sent twice by mistake"
    """
    from bulkpoint.campaigns.withdraw import withdraw_campaign
    from bulkpoint.views.format import state_words

    with open_session() as session:
        withdraw_campaign(session.connection, campaign_id, actor=session.actor, reason=reason)
    click.echo(f"campaign {campaign_id} {state_words('WITHDRAWN')}")


@campaign.command(short_help="Approve a campaign's targets, as a second person.")
@click.argument("campaign_id", type=int, metavar="ID")
@click.option("--digest", metavar="D", help="Refuse when the targets are not the ones with this digest.")
def approve(*, campaign_id: int, digest: str | None) -> None:
    """Approve a campaign's targets as they are now; it then starts with these and no others.

    Needs the right `approve`, and another database login than the one that created the campaign. Look at it first, with
    `bulkpoint campaign preview`. Whether a start needs an approval is the setting BULKPOINT_REQUIRE_APPROVAL.

    \b
    Example:
      bulkpoint campaign approve 3 --digest 3f9a0c21b7de
    """
    from bulkpoint.campaigns.approve import approve_campaign
    from bulkpoint.campaigns.digest import check_digest

    if digest is not None:
        check_digest(digest)
    with open_session() as session:
        found = approve_campaign(session.connection, campaign_id, actor=session.actor, digest=digest)
    click.echo(f"approved campaign {campaign_id} with digest {found.hex()}")
