"""`bulkpoint check`: does anything need a person? For a scheduler, every minute."""

from datetime import UTC, datetime

import click

from bulkpoint.cli.output import emit, end_with, json_option
from bulkpoint.cli.session import open_session
from bulkpoint.errors import FailedError


@click.command(short_help="Say whether anything needs a person; for schedulers.")
@json_option()
def check() -> None:
    """Say whether anything needs a person: exit code 0 and one line, or 5 and one line for each problem.

    Problems are, each with the command to type: a campaign that runs and whose job is gone, that is on hold or stands
    still, or that waits for the money API for half a minute; one that ended FAILED or STOPPED with payments that are
    not processed; UNKNOWN payments; a start that no job takes; a campaign that should have started, or waits for
    approval; a limit of 0; events and messages that do not go out. What is older than BULKPOINT_CHECK_DAYS is only
    listed, and what `campaign acknowledge` names is not. Changes nothing.

    \b
    Examples:
      bulkpoint check
      * * * * *  bulkpoint check || mail -s "bulkpoint" on-call
    """
    from bulkpoint.campaigns.check import find_troubles
    from bulkpoint.events.message import notified_types
    from bulkpoint.store.alert import find_alerts
    from bulkpoint.store.campaign import get_running_campaign
    from bulkpoint.views.alerts import CheckView

    with open_session() as session:
        alerts = find_alerts(session.connection)
        running = get_running_campaign(session.connection)
        types = notified_types(require_approval=session.settings.require_approval)
        troubles = find_troubles(session.connection, session.settings, notified=types)
    settings = session.settings
    found = CheckView.of(
        alerts, running, settings.timezone, datetime.now(UTC), troubles, patience_s=settings.breaker_patience_s
    )
    if not found.ok:
        end_with(found, FailedError("PERSON_NEEDED", findings=len(found.findings)))
    emit(found)
