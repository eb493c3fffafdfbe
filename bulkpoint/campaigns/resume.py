"""Resume a campaign: go on with what a stopped, failed or abandoned run left open."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

from bulkpoint.campaigns.promises import show_promises
from bulkpoint.campaigns.run_request import RunRequest
from bulkpoint.campaigns.runs import check_startable
from bulkpoint.rules.lifecycle import CampaignState
from bulkpoint.rules.rights import Right
from bulkpoint.settings import Settings
from bulkpoint.store.campaign import Campaign, get_campaign
from bulkpoint.store.connect import Connection
from bulkpoint.store.right import require_right
from bulkpoint.store.run import count_open_too_old, how_it_ends

POLL_S = 0.5


def plan_resume(connection: Connection, request: RunRequest, *, say: Callable[[str], None]) -> Campaign:
    """The campaign, once it may be resumed; `say` gets a sentence where that takes a while.

    A RUNNING run has a driver, or had one. Its lease shows whether the driver is alive: this waits for the lease's end.
    Raises RefusedError if the login has no right, the state does not allow it, or the driver renews its lease.
    """
    campaign_id = request.campaign_id
    campaign = get_campaign(connection, campaign_id)
    lease_ends = campaign.driver_until
    if _has_driver(campaign) and lease_ends is not None:
        left_s = max(1.0, (lease_ends - datetime.now(UTC)).total_seconds())
        say(f"Campaign {campaign_id} says RUNNING; its driver's lease ends in {left_s:.0f} s unless it is alive ...")
    while _has_driver(campaign) and campaign.driver_until == lease_ends:
        time.sleep(POLL_S)
        campaign = get_campaign(connection, campaign_id)
    return check_resumable(connection, request)


def check_resumable(connection: Connection, request: RunRequest) -> Campaign:
    """The campaign, if it may be resumed at this moment; waits for nothing. Raises what plan_resume raises."""
    require_right(connection, Right.START, asked=request.request_id)
    return check_startable(connection, request)


def count_too_old(connection: Connection, campaign_id: int, settings: Settings) -> int:
    """How many open payments a resumed run only looks up, because the money API may have forgotten their keys."""
    promises = show_promises(connection, settings).promises
    return count_open_too_old(connection, campaign_id, send_again_s_max=promises.send_again_s_max)


def let_workers_end(connection: Connection, campaign_id: int, *, wait_s: float) -> None:
    """Wait until the workers of a run whose driver is gone can record nothing more, for `wait_s` at most.

    They stop when the driver's lease has passed; the answers to their last calls still come in, and belong into the
    figures with which that run ends.
    """
    gives_up_at = time.monotonic() + wait_s
    while time.monotonic() < gives_up_at:
        ending = how_it_ends(connection, campaign_id)
        if ending is None or ending.settled or not ending.driver_is_gone:
            return
        time.sleep(POLL_S)


def _has_driver(campaign: Campaign) -> bool:
    return campaign.state == CampaignState.RUNNING and not campaign.driver_is_gone
