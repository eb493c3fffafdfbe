"""`bulkpoint payment`: one member's payments, for the help desk, and one of them settled by a person's word."""

from dataclasses import asdict

import click

from bulkpoint.cli.output import emit, json_option
from bulkpoint.cli.session import open_session, say
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

    Campaigns that have not started are included. Those that are archived are not: their members are in files only, and
    how many there are is said. If nothing is found, it says so and the exit code is 0. Who looks is
    in the audit log, with --reason; the member only as the SHA-256 of the id. Without the right `members` the answer
    has the id masked.

    \b
    Examples:
      bulkpoint payment find --member m-000001
      bulkpoint payment find --member "=odd id" --campaign 3 --json
    """
    from bulkpoint.campaigns.reading import find_member, writes_on
    from bulkpoint.views.payment import PaymentsView

    with open_session() as session:
        note = writes_on(session.connection, actor=session.actor)
        found = find_member(session.connection, member, note=note, campaign_id=campaign_id, reason=reason)
    if not found.payments:
        where = "any campaign" if campaign_id is None else f"campaign {campaign_id}"
        shown = escaped(found.eyes.member(member))
        say(f"There is no payment of member {shown} in {where}; ids are compared letter by letter.")
    emit(PaymentsView.of(found.payments, archived=found.archived), timezone=session.settings.timezone)


@payment.command(short_help="Record a payment that was made by hand at the money API.")
@click.option("--campaign", "campaign_id", type=int, required=True, metavar="ID", help="The campaign.")
@click.option("--member", required=True, metavar="M", help="The member id, exactly as in the list.")
@click.option("--transaction", required=True, metavar="T", help="The money API's id of the payment made by hand.")
@click.option("--reason", required=True, metavar="R", help="Why, and who said so; kept in the audit log.")
@json_option()
def settle(*, campaign_id: int, member: str, transaction: str, reason: str) -> None:
    """Settle one payment that is not SUCCESS, because it was paid at the money API by hand.

    Needs the right `reconcile`. The money API is asked first, by our key and within the limit. What it credited under
    our key with this transaction id is recorded as its own word. What it credited otherwise is shown, and the command
    is refused. If it has no credit under our key, the payment becomes SUCCESS by your word: it is shown as settled by
    hand everywhere, and no resume or retry sends it again. The transaction id must not be that of another payment.

    The same command again changes nothing. Exit code 3: refused, with what the money API says; 6: it gave no usable
    answer, and nothing was changed.

    \b
    Example:
      bulkpoint payment settle --campaign 3 --member m-000001 --transaction tx-9912 --reason "ticket 4711, paid by Lee"
    """
    from bulkpoint.reconcile.by_hand import Word, settle_payment
    from bulkpoint.views.changes import PaymentSettled

    with open_session() as session:
        word = Word(campaign_id, member, transaction, reason, session.actor)
        settled = settle_payment(session.connection, session.database_url, session.settings, word, say=say)
    emit(PaymentSettled.model_validate(asdict(settled)))
