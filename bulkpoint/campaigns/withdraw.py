"""Take a campaign that waits out of the queue, permanently."""

from bulkpoint.campaigns.asked_run import call_back
from bulkpoint.campaigns.transition import transition
from bulkpoint.rules.lifecycle import Command
from bulkpoint.store.campaign import withdraw
from bulkpoint.store.connect import Connection


def withdraw_campaign(connection: Connection, campaign_id: int, *, actor: str, reason: str) -> None:
    """WAITING becomes WITHDRAWN. Its targets stay where they are.

    A start that is on its way is called back; one whose run was made first wins. Raises RefusedError where the login
    has no right, the campaign is unknown, or it is not WAITING.
    """
    with transition(connection, campaign_id, Command.WITHDRAW, actor=actor) as (_, change):
        withdraw(connection, campaign_id, actor=actor, reason=reason)
        call_back(connection, campaign_id, actor=actor, reason=reason)
        change.detail = {"reason": reason}
