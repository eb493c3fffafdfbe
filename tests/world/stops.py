"""A run that is stopped at once, for tests in which nothing is under way."""

from bulkpoint.campaigns.runs import end_stopped
from bulkpoint.campaigns.transition import check_state
from bulkpoint.rules.lifecycle import Command
from bulkpoint.store.campaign import get_campaign
from bulkpoint.store.connect import Connection
from bulkpoint.store.progress import RunSummary
from bulkpoint.store.run import RunEnding


def stop_run(connection: Connection, campaign_id: int, *, actor: str, reason: str | None = None) -> RunSummary:
    """RUNNING -> STOPPED without waiting for what is under way. Results that still come are recorded afterwards.

    Raises RefusedError when the campaign is unknown or not RUNNING.
    """
    campaign = get_campaign(connection, campaign_id)
    check_state(Command.STOP, campaign)
    assert campaign.run_id is not None, "a RUNNING campaign has a run"
    ending = RunEnding(campaign.run_id, actor, reason, halt=None, driver_is_gone=False, settled=False, processing=0)
    return end_stopped(connection, campaign_id, ending)
