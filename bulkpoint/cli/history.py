"""`bulkpoint campaign history`: everything that happened to one campaign, for whoever is asked about it."""

import json
from typing import TYPE_CHECKING, Any

import click

from bulkpoint.cli.session import open_session
from bulkpoint.text import escaped

if TYPE_CHECKING:
    from bulkpoint.views.audit import HistoryEntry


@click.command(short_help="Tell what happened to a campaign, and who did it.")
@click.argument("campaign_id", type=int, metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def history(*, campaign_id: int, as_json: bool) -> None:
    """Tell what happened to a campaign, oldest first, with the changes of the limit while it ran.

    \b
    Example:
      bulkpoint campaign history 3
    """
    from bulkpoint.store.audit import list_history
    from bulkpoint.store.campaign import get_campaign
    from bulkpoint.store.export import one_snapshot
    from bulkpoint.views.audit import story_of
    from bulkpoint.views.format import local_time, state_words

    with open_session() as session, one_snapshot(session.connection):
        one = get_campaign(session.connection, campaign_id)
        events = list_history(session.connection, campaign_id)
    zone = session.settings.timezone
    story = story_of(one, events, zone)
    if as_json:
        fields = {"campaign_id": campaign_id, "name": one.name, "state": one.state}
        click.echo(json.dumps(fields | {"history": [_fields(told) for told in story]}, ensure_ascii=False))
        return
    click.echo(f"campaign {campaign_id}  {escaped(one.name)}  {state_words(one.state)}")
    for told in story:
        click.echo(f"{local_time(told.at, zone)}  {told.sentence}")


def _fields(told: "HistoryEntry") -> dict[str, Any]:
    from bulkpoint.views.format import utc_time

    event = told.event
    return {
        "occurred_at": utc_time(told.at),
        "sentence": told.sentence,
        "audit_no": event and event.audit_no,
        "action": event and event.action,
        "actor": event and event.actor,
        "login": event and event.login,
        "run": event and event.run,
        "detail": event and event.detail,
    }
