"""Resume a campaign: go on with what a stopped, failed or abandoned run left open."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

from bulkpoint.errors import RefusedError
from bulkpoint.rules.lifecycle import CampaignState, Command, refusal
from bulkpoint.store.campaign import Campaign, get_campaign
from bulkpoint.store.connect import Connection

POLL_S = 0.5


def plan_resume(connection: Connection, campaign_id: int, *, tell: Callable[[str], None]) -> Campaign:
    """The campaign, once it may be resumed; `tell` gets a sentence where that takes a while.

    A run that says RUNNING has a driver, or had one: whether it lives shows by its lease, which is waited for. Raises
    RefusedError where the state does not allow it, and where the driver renews its lease.
    """
    campaign = get_campaign(connection, campaign_id)
    refused = refusal(Command.RESUME, CampaignState(campaign.state), campaign_id)
    if refused is not None:
        raise RefusedError(refused)
    lease_ends = campaign.driver_until
    if campaign.state == "RUNNING" and not campaign.driver_is_gone and lease_ends is not None:
        left_s = max(1.0, (lease_ends - datetime.now(UTC)).total_seconds())
        tell(f"Campaign {campaign_id} says RUNNING; its driver's lease ends in {left_s:.0f} s unless it is alive ...")
    while campaign.state == "RUNNING" and not campaign.driver_is_gone:
        if campaign.driver_until != lease_ends:
            raise RefusedError(
                f"Campaign {campaign_id} is RUNNING, and its driver is alive: there is nothing to resume."
                f" Follow it with `bulkpoint campaign watch {campaign_id}`."
            )
        time.sleep(POLL_S)
        campaign = get_campaign(connection, campaign_id)
    refused = refusal(Command.RESUME, CampaignState(campaign.state), campaign_id)
    if refused is not None:  # it ended by itself meanwhile
        raise RefusedError(refused)
    return campaign
