"""`bulkpoint campaign preview`: what a person looks at before points are paid."""

import re
import shlex
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bulkpoint.cli.form_options import form_of, form_options
from bulkpoint.cli.output import emit, json_option
from bulkpoint.cli.session import open_session, say
from bulkpoint.errors import RefusedError, UsageError
from bulkpoint.rules.lifecycle import CampaignState
from bulkpoint.views.times import parse_time

if TYPE_CHECKING:
    from bulkpoint.rules.preview import Preview


@click.command(short_help="Look at a list before any points are paid.")
@click.argument("campaign_id", type=int, metavar="[ID]", required=False)
@click.option(
    "--targets",
    type=click.Path(exists=True, path_type=Path),
    metavar="FILE",
    help="A file instead of a campaign: .csv, .tsv, .xlsx or .parquet, as for `create`.",
)
@form_options
@click.option("--errors", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="All errors, as CSV.")
@click.option(
    "--deadline", metavar="TIME", help="Show the TPS that is needed to end by then: 2026-01-31T18:00, or 18:00."
)
@click.option("--reason", metavar="T", help="What it is for; kept in the audit log.")
@json_option()
def preview(
    *,
    campaign_id: int | None,
    targets: Path | None,
    encoding: str | None,
    delimiter: str | None,
    columns: str | None,
    sheet: str | None,
    errors: Path | None,
    deadline: str | None,
    reason: str | None,
) -> None:
    """Look at a campaign's targets, or at a file of targets, before any points are paid. Changes nothing.

    Who looks is in the audit log, with --reason. Without the right `members`, member ids are masked, but for the file
    of --errors.

    Exit code 3 if there is a reason not to pay them: rows that break a rule, a member who appears twice, a maximum,
    unexpected totals, a finding with money at stake that nobody has accepted (--accept of `create` and `start`). A file
    and the campaign that it was loaded into have the same digest; `campaign start --digest D` pays that list and no
    other.

    \b
    Examples:
      bulkpoint campaign preview --targets members.csv --errors errors.csv
      bulkpoint campaign preview 3 --deadline 18:00
    """
    from bulkpoint.campaigns.preview import compare_read, note_same_list, present_pace, preview_campaign, read_file
    from bulkpoint.campaigns.readiness import limits_of
    from bulkpoint.campaigns.reading import note_preview, writes_on
    from bulkpoint.intake.form import PLAIN_FORM
    from bulkpoint.intake.target_file import COLUMNS
    from bulkpoint.rules.preview import look_ahead
    from bulkpoint.views.preview import PreviewView

    if (campaign_id is None) == (targets is None):
        raise UsageError("PREVIEW_OF_ONE_THING")
    if errors is not None and targets is None:
        raise UsageError("ERRORS_OF_A_CAMPAIGN")
    form = form_of(COLUMNS, encoding=encoding, delimiter=delimiter, columns=columns, sheet=sheet)
    if form != PLAIN_FORM and targets is None:
        raise UsageError("FORM_OF_NO_FILE")
    with open_session() as session:
        settings = session.settings
        zone = settings.timezone
        due = None if deadline is None else _due(deadline, zone)
        limits = limits_of(settings)
        if targets is not None:
            read = read_file(targets, limits, form, errors_file=errors, say=say)
            seen = compare_read(session.connection, read, limits)
        else:
            assert campaign_id is not None, "one of the two is given"
            seen = note_same_list(session.connection, preview_campaign(session.connection, campaign_id, limits))
        pace = present_pace(session.connection, settings)
        seen = note_preview(writes_on(session.connection, actor=session.actor), seen, reason=reason)
    outlook = look_ahead(seen.open_count, pace, now=datetime.now(UTC), deadline=due)
    error = _refusal(seen)
    emit(PreviewView.of(seen, outlook), timezone=zone, error=error)
    if seen.problem_count and errors is not None:
        say(f"All {seen.problem_count:,} errors are in {errors}.")
    elif seen.problem_count > len(seen.problems):
        say("--errors FILE writes all errors.")
    typed = {"encoding": encoding, "delimiter": delimiter, "columns": columns, "sheet": sheet}
    load = None if targets is None else _create_command(targets, typed, seen)
    if error is not None:
        if load is not None and not seen.findings:
            say(f"If everything that is found is right as it is, load the list with `{load}`.")
        raise error
    _say_what_next(seen, load)


def _due(deadline: str, timezone: str) -> datetime:
    due = parse_time(deadline, option="--deadline", timezone=timezone, now=datetime.now(UTC))
    if due <= datetime.now(UTC):
        raise UsageError("DEADLINE_PAST")
    return due


def _refusal(seen: "Preview") -> RefusedError | None:
    """Why this list should not be paid; None if there is no reason."""
    number = seen.refused_by
    if not number:
        return None
    if seen.campaign is None:
        return RefusedError("FINDINGS_IN_FILE", "correct_file", finding_count=number, file=seen.file)
    campaign_id = seen.campaign.campaign_id
    if seen.campaign.frozen_at is not None:
        return RefusedError("FINDINGS_IN_FROZEN_CAMPAIGN", finding_count=number, campaign_id=campaign_id)
    return RefusedError(
        "FINDINGS_IN_CAMPAIGN", "correct_targets_or_withdraw", finding_count=number, campaign_id=campaign_id
    )


def _create_command(targets: Path, typed: Mapping[str, str | None], seen: "Preview") -> str:
    """What loads this file as it was read, with what a person has to accept; to be pasted into a shell."""
    from bulkpoint.rules.findings import FindingName, refusing

    words = ["bulkpoint", "campaign", "create", "--name", "T", "--targets", str(targets)]
    for name, value in typed.items():
        words += () if value is None else (f"--{name}", value)
    for finding in refusing(seen.noticed):
        if finding.name == FindingName.NEAR_COPY:
            words += "--same-as", str(finding.facts["first_id"]), "--reason", "T"
        else:
            words += "--accept", str(finding.name)
    return " ".join(map(_for_shell, words))


def _for_shell(word: str) -> str:
    """A word quoted where a shell needs it: Korean letters need nothing, and are easier to read without."""
    return word if re.fullmatch(r"[\w@%+=:,./-]+", word) else shlex.quote(word)


def _say_what_next(seen: "Preview", load: str | None) -> None:
    if load is not None:
        say(f"Load it with `{load}`.")
    elif seen.campaign is None:
        return
    elif seen.campaign.state == CampaignState.WAITING and seen.digest is not None:
        start = f"bulkpoint campaign start {seen.campaign.campaign_id} --digest {seen.digest.hex()}"
        say(f"Start this list and no other with `{start}`.")
