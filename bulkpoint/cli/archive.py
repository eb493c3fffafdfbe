"""`bulkpoint campaign archive`: old campaigns as files, out of the database."""

from pathlib import Path

import click

from bulkpoint.cli.asking import go_on, need_terminal, which_campaigns
from bulkpoint.cli.output import emit, end_with, json_option
from bulkpoint.cli.session import Session, open_session, say
from bulkpoint.errors import RefusedError, UsageError


@click.command(short_help="Move old campaigns out of the database, into files.")
@click.argument("campaign_id", type=int, metavar="[ID]", required=False)
@click.option("--older-than", metavar="400d", help="Instead of ID: all campaigns whose last run ended so long ago.")
@click.option(
    "--out",
    required=True,
    metavar="FOLDER",
    help="The folder, which exists; each campaign gets a folder in it, campaign-ID.",
)
@click.option("--reason", metavar="T", help="Why; kept in the audit log.")
@click.option("--yes", is_flag=True, help="Do not ask. Required without a terminal.")
@json_option()
def archive(*, campaign_id: int | None, older_than: str | None, out: str, reason: str | None, yes: bool) -> None:
    """Write a campaign's payments and calls into files, read them back, compare them, then drop them here.

    Needs the rights `archive` and `members`, for the files have the member ids. Only a campaign that has ended may be
    archived: nothing is perhaps sent, what is UNKNOWN or not processed is settled or acknowledged, and its last run is
    so old that the money API has forgotten its keys and no new list is compared with its list (90 days).

    What stays: its figures, runs, reasons and days, the audit log, the digests of its list. `report ID` and `report
    --month` show the same as before. No member stays: `payment find` does not know its members any more.

    Either the archive is complete and the campaign's tables are gone, or nothing has changed, whatever happens
    meanwhile; the same command again is safe. Other campaigns are paid meanwhile. With --older-than, campaigns that
    must stay are named, the others are archived, and the exit code is 3.

    \b
    Examples:
      bulkpoint campaign archive 12 --out /mnt/archive
      bulkpoint campaign archive --older-than 400d --out /mnt/archive --yes
    """
    from bulkpoint.campaigns.archive import archive_campaign
    from bulkpoint.rules.archive import days_of_age
    from bulkpoint.views.archive import ArchivedView, ArchiveView, CampaignLeft

    if (campaign_id is None) == (older_than is None):
        raise UsageError("ARCHIVE_OF_WHAT")
    folder = Path(out)
    with open_session() as session:
        chosen = _choose(session, campaign_id, older_than)
        if chosen and not yes:
            _ask(chosen, folder)
        done, left = [], []
        for each in chosen:
            try:
                archived = archive_campaign(
                    session.connection, session.settings, each, folder, actor=session.actor, reason=reason, say=say
                )
                done.append(ArchivedView.model_validate(archived))
            except RefusedError as error:
                if campaign_id is not None:
                    raise
                left.append(CampaignLeft.of(each, error, timezone=session.settings.timezone))
    view = ArchiveView(archived=done, left=left, older_than_days=days_of_age(older_than or ""))
    if left:
        end_with(view, RefusedError("ARCHIVE_LEAVES_SOME", count=len(left), archived=len(done)))
    emit(view, timezone=session.settings.timezone)


def _choose(session: Session, campaign_id: int | None, older_than: str | None) -> list[int]:
    from bulkpoint.campaigns.archive import check_archivable, list_to_archive
    from bulkpoint.rules.archive import SECONDS_A_DAY, days_of_age

    if campaign_id is not None:
        check_archivable(session.connection, session.settings, campaign_id)
        return [campaign_id]
    days = days_of_age(older_than or "")
    if days is None:
        raise UsageError("AGE_NOT_UNDERSTOOD", given=older_than)
    return list_to_archive(session.connection, session.settings, age_s=days * SECONDS_A_DAY)


def _ask(chosen: list[int], out: Path) -> None:
    need_terminal()
    say(f"{len(chosen):,} campaign{'' if len(chosen) == 1 else 's'}: {which_campaigns(chosen)}")
    say(f"  Payments and calls are written to {out.resolve()}, compared, and then removed from the database.")
    go_on("Archive?", refused="NOT_ARCHIVED")
