"""Reject a campaign: a second person says why it is not to be paid; it waits, and does not start until a yes."""

from bulkpoint.campaigns.asked_run import call_back
from bulkpoint.campaigns.transition import transition
from bulkpoint.errors import UsageError
from bulkpoint.rules.lifecycle import Command
from bulkpoint.store.campaign import reject
from bulkpoint.store.connect import Connection

REASON_CHARACTERS_MAX = 500


def reject_campaign(connection: Connection, campaign_id: int, *, actor: str, reason: str) -> None:
    """The campaign stays WAITING and does not start until somebody else than its creator approves it.

    An approval that it had is taken back, a start that is on its way called back. Raises UsageError for a reason that
    is empty or longer than 500 characters, RefusedError where the login has no right or created the campaign itself,
    or where it is unknown or not WAITING.
    """
    said = reason.strip()
    if not said or "\0" in said:
        raise UsageError("REJECTED_WITHOUT_REASON")
    if len(said) > REASON_CHARACTERS_MAX:
        raise UsageError("REJECTED_AT_LENGTH", characters_max=REASON_CHARACTERS_MAX)
    with transition(connection, campaign_id, Command.REJECT, actor=actor) as (campaign, change):
        reject(connection, campaign_id, actor=actor, reason=said)
        call_back(connection, campaign_id, actor=actor, reason=said)
        change.detail = {"reason": said, "creator": campaign.creator}
        change.event_only["name"] = campaign.name
