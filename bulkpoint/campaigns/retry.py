"""Retry a completed campaign's FAILED payments: a new run, over those that are selected."""

from dataclasses import dataclass

from bulkpoint.campaigns.run_request import RunRequest
from bulkpoint.campaigns.transition import check_state
from bulkpoint.errors import RefusedError
from bulkpoint.rules.lifecycle import RETRY_RUNS_MAX, Command
from bulkpoint.rules.refusals import Refusal
from bulkpoint.rules.rights import Right
from bulkpoint.store.campaign import Campaign, get_campaign
from bulkpoint.store.connect import Connection
from bulkpoint.store.progress import FailedKind, RetrySelection, count_failed
from bulkpoint.store.right import require_right


@dataclass(frozen=True)
class RetryPlan:
    """What would be paid again, and what would be left as it is; both by kind. spent: had all its RETRY runs."""

    campaign: Campaign
    again: list[FailedKind]
    left: list[FailedKind]


def plan_retry(connection: Connection, request: RunRequest) -> RetryPlan:
    """Raises RefusedError where the login has no right, where the state does not allow it, where nothing is selected,
    and where all that is selected has had its three RETRY runs.
    """
    campaign_id, chosen = request.campaign_id, request.selection
    campaign = get_campaign(connection, campaign_id)
    check_state(Command.RETRY, campaign)
    require_right(connection, Right.START)
    failed = count_failed(connection, campaign_id, chosen)
    again = [each for each in failed if each.chosen and not each.spent]
    left = [each for each in failed if not each.chosen or each.spent]
    spent = sum(each.count for each in failed if each.chosen and each.spent)
    facts = {"campaign_id": campaign_id, "choice": describe_choice(chosen)}
    if not again and spent:
        limit = {"count": spent, "runs_max": RETRY_RUNS_MAX}
        raise RefusedError("RETRY_RUNS_SPENT", "look_why_they_fail", "beyond_limit", **facts, **limit)
    if not again and not left:
        raise RefusedError("NOTHING_FAILED", campaign_id=campaign_id)
    if not again:
        others = tuple(f"{each.count:,} {each.kind} ({each.code})" for each in left)
        raise RefusedError("NOTHING_FAILED_OF_CHOICE", "name_kind_and_code", **facts, others=others)
    return RetryPlan(campaign, again, left)


def describe_choice(chosen: RetrySelection) -> Refusal:
    """Which FAILED payments are meant, as a part of a sentence."""
    if chosen.code is None:
        return Refusal("CHOICE_BY_KIND", {"kinds": chosen.kinds})
    return Refusal("CHOICE_BY_KIND_AND_CODE", {"kinds": chosen.kinds, "code": chosen.code})
