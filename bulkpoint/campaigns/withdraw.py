"""Take a campaign that waits out of the queue, for good."""

from bulkpoint.errors import RefusedError
from bulkpoint.rules.lifecycle import CampaignState, Command, refusal
from bulkpoint.rules.rights import Right
from bulkpoint.store.audit import write_audit
from bulkpoint.store.campaign import get_campaign, lock_campaign, withdraw
from bulkpoint.store.connect import Connection
from bulkpoint.store.outbox import write_event
from bulkpoint.store.right import require_right


def withdraw_campaign(connection: Connection, campaign_id: int, *, actor: str, reason: str) -> None:
    """WAITING becomes WITHDRAWN, with its audit row and its event, in one transaction. Its targets stay where they are.

    Raises RefusedError where the login has no right, the campaign is unknown, or it does not wait: a start that came
    first has won.
    """
    with connection.transaction():
        require_right(connection, Right.START)
        lock_campaign(connection, campaign_id)
        campaign = get_campaign(connection, campaign_id)
        refused = refusal(Command.WITHDRAW, CampaignState(campaign.state), campaign_id)
        if refused is not None:
            raise RefusedError(refused)
        withdraw(connection, campaign_id, actor=actor, reason=reason)
        detail = {"reason": reason}
        write_event(connection, campaign_id=campaign_id, run=None, type="campaign.withdrawn", actor=actor, data=detail)
        write_audit(connection, action="withdraw", campaign_id=campaign_id, run=None, actor=actor, detail=detail)
