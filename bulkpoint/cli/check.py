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

    Problems are: a campaign whose job is gone; a limit of 0 for more than 10 minutes; a running campaign without a
    finished payment for as long, or one that has waited for the money API for half a minute; an event that Kafka
    refuses. Changes nothing.

    \b
    Examples:
      bulkpoint check
      * * * * *  bulkpoint check || mail -s "bulkpoint" on-call
    """
    from bulkpoint.store.alert import find_alerts
    from bulkpoint.store.campaign import get_running_campaign
    from bulkpoint.views.alerts import CheckView

    with open_session() as session:
        alerts = find_alerts(session.connection)
        running = get_running_campaign(session.connection)
    found = CheckView.of(alerts, running, session.settings.timezone, datetime.now(UTC))
    if not found.ok:
        end_with(found, FailedError("PERSON_NEEDED", findings=len(found.findings)))
    emit(found)
