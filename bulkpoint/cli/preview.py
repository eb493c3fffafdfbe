"""`bulkpoint campaign preview`: what somebody looks at before money moves."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bulkpoint.cli.output import emit, json_option
from bulkpoint.cli.session import open_session, say
from bulkpoint.cli.times import parse_time
from bulkpoint.errors import RefusedError, UsageError
from bulkpoint.rules.lifecycle import CampaignState

if TYPE_CHECKING:
    from bulkpoint.rules.preview import Preview


@click.command(short_help="Look at a list before any points are paid.")
@click.argument("campaign_id", type=int, metavar="[ID]", required=False)
@click.option(
    "--targets",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="A file instead of a campaign: .csv (UTF-8) or .parquet, as for `create`.",
)
@click.option("--errors", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="All errors, as CSV.")
@click.option(
    "--deadline", metavar="TIME", help="Show the TPS that is needed to end by then: 2026-01-31T18:00, or 18:00."
)
@json_option()
def preview(*, campaign_id: int | None, targets: Path | None, errors: Path | None, deadline: str | None) -> None:
    """Look at a campaign's targets, or at a file of targets, before any points are paid. Changes nothing.

    Exit code 3 if there is a reason not to pay them: rows that break a rule, a member who appears twice, a maximum,
    unexpected totals. A file and the campaign that it was loaded into have the same digest; `campaign start --digest D`
    pays that list and no other.

    \b
    Examples:
      bulkpoint campaign preview --targets members.csv --errors errors.csv
      bulkpoint campaign preview 3 --deadline 18:00
    """
    from bulkpoint.campaigns.preview import note_same_list, present_pace, preview_campaign, preview_file
    from bulkpoint.campaigns.readiness import limits_of
    from bulkpoint.rules.preview import look_ahead
    from bulkpoint.views.preview import PreviewView

    if (campaign_id is None) == (targets is None):
        raise UsageError("Give either the ID of a campaign or --targets FILE.")
    if errors is not None and targets is None:
        raise UsageError("--errors is for --targets FILE: the rows of a campaign break no rule.")
    with open_session() as session:
        settings = session.settings
        zone = settings.timezone
        due = None
        if deadline is not None:
            due = parse_time(deadline, option="--deadline", timezone=zone, now=datetime.now(UTC))
            if due <= datetime.now(UTC):
                raise UsageError("--deadline is in the past.")
        limits = limits_of(settings)
        if targets is not None:
            seen = preview_file(targets, limits, errors, say)
        else:
            assert campaign_id is not None, "one of the two is given"
            seen = preview_campaign(session.connection, campaign_id, limits)
        seen = note_same_list(session.connection, seen)
        pace = present_pace(session.connection, settings)
    outlook = look_ahead(seen.open_count, pace, now=datetime.now(UTC), deadline=due)
    emit(PreviewView.of(seen, outlook), timezone=zone)
    if seen.problem_count and errors is not None:
        say(f"All {seen.problem_count:,} errors are in {errors}.")
    elif seen.problem_count > len(seen.problems):
        say("--errors FILE writes all errors.")
    _conclude(seen)


def _conclude(seen: "Preview") -> None:
    """What to do next; raises RefusedError where that is not to pay."""
    number = f"{len(seen.findings)} {'finding' if len(seen.findings) == 1 else 'findings'}"
    if seen.campaign is None:
        if seen.findings:
            raise RefusedError(f"{number} in {seen.file}: mend it, then look again. Nothing was loaded.")
        say("Load it with `bulkpoint campaign create --name T --targets FILE`.")
        return
    campaign_id = seen.campaign.campaign_id
    if seen.findings and seen.campaign.frozen_at is not None:
        raise RefusedError(f"{number} in campaign {campaign_id}, whose targets can no longer change.")
    if seen.findings:
        raise RefusedError(
            f"{number} in campaign {campaign_id}: mend its targets and look again, or withdraw it"
            f" (`bulkpoint campaign withdraw {campaign_id} --reason T`) and create another."
        )
    if seen.campaign.state == CampaignState.WAITING and seen.digest is not None:
        start = f"bulkpoint campaign start {campaign_id} --digest {seen.digest.hex()}"
        say(f"Start this list and no other with `{start}`.")
