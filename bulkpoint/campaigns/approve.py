"""Approve a campaign: a second person, by another database login, binds its start to the targets as they are now."""

from collections.abc import Callable, Iterable

from bulkpoint.campaigns.digest import refuse_another_digest
from bulkpoint.campaigns.readiness import inspect_targets, not_ready
from bulkpoint.campaigns.transition import transition
from bulkpoint.rules.findings import Finding
from bulkpoint.rules.lifecycle import Command
from bulkpoint.rules.readiness import NO_LIMITS, PaymentLimits, Policy, TargetsState, find_missing_targets
from bulkpoint.store.campaign import approve
from bulkpoint.store.connect import Connection
from bulkpoint.store.duplicate_list import remember_list
from bulkpoint.store.finding import keep_judgement
from bulkpoint.store.near_copy import keep_list_sample


def approve_campaign(
    connection: Connection,
    campaign_id: int,
    *,
    actor: str,
    digest: str | None = None,
    limits: PaymentLimits = NO_LIMITS,
    show: Callable[[Iterable[Finding]], None] = lambda _: None,
) -> bytes:
    """Bind the campaign to the digest of its targets, which is returned.

    digest: hexadecimal, or its first digits, of the list that the approver has looked at. An approval may be given
    again after the targets changed. limits: say whether the list is compared with earlier ones. `show` gets the
    findings in it, which are accepted by whoever starts it.

    Raises RefusedError if the login has no right or created the campaign itself, if the campaign is not WAITING, or if
    its targets are not the ones that were expected or looked at.
    """
    with transition(connection, campaign_id, Command.APPROVE, actor=actor) as (campaign, change):
        targets = inspect_targets(connection, campaign, Policy(limits=limits))
        found = _check_targets(targets, campaign_id, digest)
        keep_judgement(connection, campaign_id, found, targets.findings)
        if targets.sample is not None:
            keep_list_sample(connection, campaign_id, targets.sample)
        approve(connection, campaign_id, actor=actor, digest=found)
        remember_list(connection, campaign_id, found)
        change.detail = {
            "count": campaign.expected_count,
            "amount": campaign.expected_amount,
            "digest": found.hex(),
            "creator": campaign.creator,
        }
        if targets.findings:
            change.audit_only["findings"] = [str(finding.name) for finding in targets.findings]
    show(targets.findings)
    return found


def _check_targets(targets: TargetsState, campaign_id: int, digest: str | None) -> bytes:
    missing = find_missing_targets(campaign_id, expected=targets.expected, found=targets.found)
    if missing is not None:
        raise not_ready(campaign_id, missing, Command.APPROVE)
    assert targets.digest is not None, "the totals match"
    refuse_another_digest(campaign_id, targets.digest, digest, Command.APPROVE)
    return targets.digest
