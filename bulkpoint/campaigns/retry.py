"""Retry a completed campaign's FAILED payments: a new run, over those that are selected."""

from dataclasses import dataclass

from bulkpoint.campaigns.promises import show_promises
from bulkpoint.campaigns.run_request import RunRequest
from bulkpoint.campaigns.transition import check_state
from bulkpoint.errors import RefusedError
from bulkpoint.rules.lifecycle import RETRY_RUNS_MAX, Command
from bulkpoint.rules.refusals import Refusal
from bulkpoint.rules.rights import Right
from bulkpoint.settings import Settings
from bulkpoint.store.campaign import Campaign, get_campaign
from bulkpoint.store.connect import Connection
from bulkpoint.store.progress import FailedKind, RetrySelection, count_failed
from bulkpoint.store.right import require_right


@dataclass(frozen=True)
class RetryPlan:
    """What would be paid again, and what would be left as it is; both by kind. spent: had all its RETRY runs.

    remark: to be shown to people, where some of what is selected is too old to be sent again.
    """

    campaign: Campaign
    again: list[FailedKind]
    left: list[FailedKind]
    remark: Refusal | None = None


def plan_retry(connection: Connection, request: RunRequest, settings: Settings) -> RetryPlan:
    """Raises RefusedError where the login has no right, where the state does not allow it, where nothing is selected,
    and where all that is selected has had its three RETRY runs, or is too old to be sent again.
    """
    campaign_id, chosen = request.campaign_id, request.selection
    campaign = get_campaign(connection, campaign_id)
    check_state(Command.RETRY, campaign)
    require_right(connection, Right.START, asked=request.request_id)
    promises = show_promises(connection, settings).promises
    failed = count_failed(connection, campaign_id, chosen, send_again_s_max=promises.send_again_s_max)
    again = [each for each in failed if each.chosen and not each.spent and not each.too_old]
    left = [each for each in failed if each not in again]
    spent = sum(each.count for each in failed if each.chosen and each.spent)
    old = sum(each.count for each in failed if each.chosen and each.too_old)
    facts = {"campaign_id": campaign_id, "choice": describe_choice(chosen)}
    selected = sum(each.count for each in failed if each.chosen)
    of_old = {"too_old": old, "selected": selected, "hours": promises.key_retention_h} | facts
    if not again and old:
        raise RefusedError("RETRY_KEYS_TOO_OLD", "reconcile_or_new_campaign", **of_old)
    if not again and spent:
        limit = {"count": spent, "runs_max": RETRY_RUNS_MAX}
        raise RefusedError("RETRY_RUNS_SPENT", "look_why_they_fail", "beyond_limit", **facts, **limit)
    if not again and not left:
        raise RefusedError("NOTHING_FAILED", campaign_id=campaign_id)
    if not again:
        others = tuple(f"{each.count:,} {each.kind} ({each.code})" for each in left)
        raise RefusedError("NOTHING_FAILED_OF_CHOICE", "name_kind_and_code", **facts, others=others)
    remark = Refusal("RETRY_LEAVES_OLD_KEYS", of_old, ("reconcile_or_new_campaign",)) if old else None
    return RetryPlan(campaign, again, left, remark)


def describe_choice(chosen: RetrySelection) -> Refusal:
    """Which FAILED payments are meant, as a part of a sentence."""
    if chosen.code is None:
        return Refusal("CHOICE_BY_KIND", {"kinds": chosen.kinds})
    return Refusal("CHOICE_BY_KIND_AND_CODE", {"kinds": chosen.kinds, "code": chosen.code})
