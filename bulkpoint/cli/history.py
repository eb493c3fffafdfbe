"""`bulkpoint campaign history`: everything that happened to one campaign."""

import click

from bulkpoint.cli.output import emit, json_option
from bulkpoint.cli.session import open_session


@click.command(short_help="Show what happened to a campaign, and who did it.")
@click.argument("campaign_id", type=int, metavar="ID")
@json_option()
def history(*, campaign_id: int) -> None:
    """Show what happened to a campaign, oldest first, with the changes of the limit during its runs.

    \b
    Example:
      bulkpoint campaign history 3
    """
    from bulkpoint.store.audit import list_history
    from bulkpoint.store.campaign import get_campaign
    from bulkpoint.store.snapshot import one_snapshot
    from bulkpoint.views.audit import HistoryView

    with open_session() as session, one_snapshot(session.connection):
        one = get_campaign(session.connection, campaign_id)
        events = list_history(session.connection, campaign_id)
    zone = session.settings.timezone
    emit(HistoryView.of(one, events, zone), timezone=zone)
