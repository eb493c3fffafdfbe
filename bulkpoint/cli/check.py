"""`bulkpoint check`: does anything need a person? For a scheduler, every minute."""

import json
from typing import TYPE_CHECKING, Any

import click

from bulkpoint.cli.session import open_session
from bulkpoint.errors import ExitCode

if TYPE_CHECKING:
    from bulkpoint.store.alerts import Alert


@click.command(short_help="Say whether anything needs a person; for a scheduler.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def check(*, as_json: bool) -> None:
    """Say whether anything needs a person: exit code 0 and one line, or 5 and a line for each thing.

    These do: a campaign whose job is gone; one that a limit of 0 has held for more than 10 minutes; one of which no
    payment has ended for as long, though nothing holds it; an event that Kafka refuses. It changes nothing.

    \b
    Examples:
      bulkpoint check
      * * * * *  bulkpoint check || mail -s "bulkpoint" on-call
    """
    from bulkpoint.store.alerts import find_alerts
    from bulkpoint.store.campaign import get_running_campaign
    from bulkpoint.views.alerts import alert_sentence

    with open_session() as session:
        troubles = find_alerts(session.connection)
        running = get_running_campaign(session.connection)
    zone = session.settings.timezone
    told = [(one, alert_sentence(one, zone, "en")) for one in troubles]
    if as_json:
        fields = {"ok": not told, "findings": [_fields(one, sentence) for one, sentence in told]}
        click.echo(json.dumps(fields, ensure_ascii=False))
    elif told:
        for _, sentence in told:
            click.echo(sentence)
    else:
        what = "no campaign runs" if running is None else f"campaign {running.campaign_id} runs"
        click.echo(f"all is well: {what}")
    if told:
        raise SystemExit(ExitCode.RUN_FAILED)


def _fields(trouble: "Alert", sentence: str) -> dict[str, Any]:
    from bulkpoint.views.format import utc_time

    return {
        "kind": trouble.kind,
        "campaign_id": trouble.campaign_id,
        "since": utc_time(trouble.since),
        "sentence": sentence,
    }
