"""Retry a completed campaign's FAILED payments: a run of its own, over those that are chosen."""

from dataclasses import dataclass

from bulkpoint.errors import RefusedError
from bulkpoint.rules.lifecycle import CampaignState, Command, refusal
from bulkpoint.store.campaign import Campaign, get_campaign
from bulkpoint.store.connect import Connection
from bulkpoint.store.progress import Chosen, FailedKind, count_failed


@dataclass(frozen=True)
class RetryPlan:
    """What would be paid again, and what would be left as it is; both by kind."""

    campaign: Campaign
    chosen: Chosen
    again: list[FailedKind]
    left: list[FailedKind]


def plan_retry(connection: Connection, campaign_id: int, chosen: Chosen) -> RetryPlan:
    """Raises RefusedError where the state does not allow it, and where nothing is chosen."""
    campaign = get_campaign(connection, campaign_id)
    refused = refusal(Command.RETRY, CampaignState(campaign.state), campaign_id)
    if refused is not None:
        raise RefusedError(refused)
    failed = count_failed(connection, campaign_id, chosen)
    again = [one for one in failed if one.chosen]
    left = [one for one in failed if not one.chosen]
    if not again:
        if not left:
            raise RefusedError(f"Campaign {campaign_id} has no FAILED payment at all: nothing to retry.")
        others = ", ".join(f"{one.count:,} {one.kind} ({one.code})" for one in left)
        raise RefusedError(
            f"Campaign {campaign_id} has no FAILED payment of {chosen}: nothing to retry. It has {others};"
            " name these with --kind and --code."
        )
    return RetryPlan(campaign, chosen, again, left)
