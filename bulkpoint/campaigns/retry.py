"""Retry a completed campaign's FAILED payments: a run of its own, over those that are chosen."""

from dataclasses import dataclass

from bulkpoint.campaigns.transition import check_state
from bulkpoint.errors import RefusedError
from bulkpoint.rules.lifecycle import RETRY_RUNS_MAX, Command
from bulkpoint.rules.rights import Right
from bulkpoint.store.campaign import Campaign, get_campaign
from bulkpoint.store.connect import Connection
from bulkpoint.store.progress import FailedKind, RetrySelection, count_failed
from bulkpoint.store.right import require_right


@dataclass(frozen=True)
class RetryPlan:
    """What would be paid again, and what would be left as it is; both by kind. spent: had all its RETRY runs."""

    campaign: Campaign
    chosen: RetrySelection
    again: list[FailedKind]
    left: list[FailedKind]


def plan_retry(connection: Connection, campaign_id: int, chosen: RetrySelection) -> RetryPlan:
    """Raises RefusedError where the login has no right, where the state does not allow it, where nothing is chosen, and
    where all that is has had its three RETRY runs.
    """
    campaign = get_campaign(connection, campaign_id)
    check_state(Command.RETRY, campaign)
    require_right(connection, Right.START)
    failed = count_failed(connection, campaign_id, chosen)
    again = [one for one in failed if one.chosen and not one.spent]
    left = [one for one in failed if not one.chosen or one.spent]
    spent = sum(one.count for one in failed if one.chosen and one.spent)
    if not again and spent:
        raise RefusedError(
            f"Campaign {campaign_id} has {spent:,} FAILED payments of {chosen}, which had {RETRY_RUNS_MAX} RETRY runs"
            f" already: look into why they fail (`bulkpoint report {campaign_id} --format csv --failed-only`)."
            " --beyond-limit --reason T retries them all the same."
        )
    if not again:
        if not left:
            raise RefusedError(f"Campaign {campaign_id} has no FAILED payment at all: nothing to retry.")
        others = ", ".join(f"{one.count:,} {one.kind} ({one.code})" for one in left)
        raise RefusedError(
            f"Campaign {campaign_id} has no FAILED payment of {chosen}: nothing to retry. It has {others};"
            " name these with --kind and --code."
        )
    return RetryPlan(campaign, chosen, again, left)
