"""The queue as people look at it: in its order, and what stands in each one's way, by what its list is known to be."""

from collections.abc import Callable
from dataclasses import dataclass

from bulkpoint.campaigns.readiness import policy_of, recall_targets, suppose_targets
from bulkpoint.campaigns.start import not_due
from bulkpoint.rules.readiness import Policy, TargetsState, find_obstacle
from bulkpoint.rules.refusals import Refusal
from bulkpoint.settings import Settings
from bulkpoint.store.campaign import Campaign, get_campaign
from bulkpoint.store.connect import Connection
from bulkpoint.store.watched import head_of_queue

# Enough for a screen; each costs four small statements.
QUEUE_SHOWN = 20

# How many targets a campaign has, and their points: a scan of them, which the caller may remember.
CountTargets = Callable[[int], tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Queued:
    """A campaign that waits. why: what stands in its way, None where nothing is known to.

    is_judged: its list was read once; else its start is the first to read it. is_next: nothing stands before it.
    """

    campaign: Campaign
    why: Refusal | None
    is_judged: bool
    is_next: bool = False


@dataclass(frozen=True, slots=True)
class Queue:
    """The first campaigns that wait, and how many wait in all."""

    head: tuple[Queued, ...]
    waiting: int


def look_at_queue(
    connection: Connection, settings: Settings, *, count_targets: CountTargets, rows_max: int = QUEUE_SHOWN
) -> Queue:
    """The queue, oldest first. A list that was judged is not read again: good enough to look at, never to pay."""
    policy, head, next_is_known = policy_of(settings), [], False
    rows = head_of_queue(connection, rows_max=rows_max)
    for row in rows:
        campaign = get_campaign(connection, row.campaign_id)
        found = recall_targets(connection, campaign, policy)
        why = not_due(campaign) if not row.due else _obstacle(campaign, found, policy, count_targets)
        is_next = why is None and not next_is_known
        next_is_known = next_is_known or is_next
        head.append(Queued(campaign, why, is_judged=found is not None, is_next=is_next))
    return Queue(tuple(head), rows[0].waiting if rows else 0)


def look_at_start(
    connection: Connection, settings: Settings, campaign: Campaign, *, count_targets: CountTargets
) -> tuple[Refusal | None, TargetsState | None]:
    """What stands in the way of one campaign's start, the order of the queue aside; and what is remembered of it."""
    policy = policy_of(settings)
    found = recall_targets(connection, campaign, policy)
    return _obstacle(campaign, found, policy, count_targets), found


def _obstacle(
    campaign: Campaign, found: TargetsState | None, policy: Policy, count_targets: CountTargets
) -> Refusal | None:
    if found is None:
        count, amount = count_targets(campaign.campaign_id)
        found = suppose_targets(campaign, policy, count=count, amount=amount)
    return _without_examples(find_obstacle(campaign.campaign_id, found))


def _without_examples(why: Refusal | None) -> Refusal | None:
    """What is shown to everybody names findings, and no value of the list."""
    if why is None or "lines" not in why.facts:
        return why
    return Refusal("FINDINGS_IN_THE_WAY", {"findings": why.facts["findings"]})
