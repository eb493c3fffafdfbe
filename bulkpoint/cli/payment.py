"""`bulkpoint payment`: one member's payments, for the help desk."""

import click

from bulkpoint.cli.output import emit, json_option
from bulkpoint.cli.session import open_session, refuse_undecodable, say
from bulkpoint.text import escaped


@click.group()
def payment() -> None:
    """Payments of one member."""


@payment.command(short_help="Show what a member was or will be paid, and by which calls.")
@click.option("--member", required=True, metavar="M", help="The member id, exactly as in the list.")
@click.option("--campaign", "campaign_id", type=int, metavar="ID", help="Only in this campaign.")
@click.option("--reason", metavar="T", help="What it is for; kept in the audit log.")
@json_option()
def find(*, member: str, campaign_id: int | None, reason: str | None) -> None:
    """Find every payment of a member, newest campaign first, with every call that was made for it.

    Campaigns that have not started are included. If nothing is found, it says so and the exit code is 0. Who looks is
    in the audit log, with --reason; the member only as the SHA-256 of the id.

    \b
    Examples:
      bulkpoint payment find --member m-000001
      bulkpoint payment find --member "=odd id" --campaign 3 --json
    """
    from hashlib import sha256

    from bulkpoint.store.audit import note_reading
    from bulkpoint.store.campaign import get_campaign
    from bulkpoint.store.payment_history import find_payments
    from bulkpoint.store.snapshot import one_snapshot
    from bulkpoint.views.payment import PaymentsView

    refuse_undecodable("--member", member)
    refuse_undecodable("--reason", reason)
    detail = {"member_sha256": sha256(member.encode()).hexdigest(), "reason": reason}
    with open_session() as session:
        if campaign_id is not None:
            get_campaign(session.connection, campaign_id)
        note_reading(session.connection, action="find", campaign_id=campaign_id, actor=session.actor, detail=detail)
        with one_snapshot(session.connection):
            found = find_payments(session.connection, member, campaign_id=campaign_id)
    if not found:
        where = "any campaign" if campaign_id is None else f"campaign {campaign_id}"
        say(f"There is no payment of member {escaped(member)} in {where}; ids are compared letter by letter.")
    emit(PaymentsView.of(found), timezone=session.settings.timezone)
