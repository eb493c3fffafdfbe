"""`bulkpoint payment`: one member's payments, for the help desk."""

import click

from bulkpoint.cli.output import emit, json_option
from bulkpoint.cli.session import open_session, say
from bulkpoint.errors import UsageError
from bulkpoint.text import escaped


@click.group()
def payment() -> None:
    """Payments of one member."""


@payment.command(short_help="Show what a member was or will be paid, and by which calls.")
@click.option("--member", required=True, metavar="M", help="The member id, exactly as in the list.")
@click.option("--campaign", "campaign_id", type=int, metavar="ID", help="Only in this campaign.")
@json_option()
def find(*, member: str, campaign_id: int | None) -> None:
    """Find every payment of a member, newest campaign first, with every call that was made for it.

    Campaigns that have not started are included. If nothing is found, it says so and the exit code is 0.

    \b
    Examples:
      bulkpoint payment find --member m-000001
      bulkpoint payment find --member "=odd id" --campaign 3 --json
    """
    from bulkpoint.store.campaign import get_campaign
    from bulkpoint.store.payment_history import find_payments
    from bulkpoint.store.snapshot import one_snapshot
    from bulkpoint.views.payment import PaymentsView

    try:
        member.encode()
    except UnicodeEncodeError as error:
        raise UsageError("TEXT_NOT_UTF8", "check_encoding", option="--member") from error
    with open_session() as session, one_snapshot(session.connection):
        if campaign_id is not None:
            get_campaign(session.connection, campaign_id)
        found = find_payments(session.connection, member, campaign_id=campaign_id)
    if not found:
        where = "any campaign" if campaign_id is None else f"campaign {campaign_id}"
        say(f"There is no payment of member {escaped(member)} in {where}; ids are compared letter by letter.")
    emit(PaymentsView.of(found), timezone=session.settings.timezone)
