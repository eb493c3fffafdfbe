"""What is known of a campaign's targets before its first start, and whether rules.readiness lets them be paid."""

from collections.abc import Collection

from bulkpoint.campaigns.copies import judge_copies, with_copies
from bulkpoint.campaigns.findings import judge
from bulkpoint.errors import RefusedError
from bulkpoint.rules.copies import ListSample, confirm, repeated_by
from bulkpoint.rules.findings import Finding, FindingName, accept
from bulkpoint.rules.lifecycle import Command
from bulkpoint.rules.readiness import PaymentLimits, Policy, TargetsState, find_obstacle, refuse_repetition
from bulkpoint.rules.refusals import Refusal
from bulkpoint.settings import Settings
from bulkpoint.store.campaign import Campaign
from bulkpoint.store.connect import Connection
from bulkpoint.store.duplicate_list import find_same_list
from bulkpoint.store.finding import get_judgement, latest_judged
from bulkpoint.store.target import digest_targets, total_targets


def limits_of(settings: Settings) -> PaymentLimits:
    """The bounds that these settings set to what is paid."""
    return PaymentLimits(settings.max_amount_per_row, settings.max_amount_per_campaign, settings.near_copy_share)


def policy_of(settings: Settings) -> Policy:
    """What these settings ask of every campaign."""
    return Policy(settings.require_approval, limits_of(settings))


def inspect_targets(
    connection: Connection,
    campaign: Campaign,
    policy: Policy,
    *,
    same_as: int | None = None,
    accepted: Collection[FindingName] = (),
    actor: str = "",
) -> TargetsState:
    """Count, sum and digest of a campaign's targets (two scans), next to what was expected, approved and seen.

    same_as: what the command names; without it, what was named when the campaign was created. accepted: findings that
    the command accepts, by `actor`. A list that was not judged yet costs one scan more.
    """
    count, amount, largest = total_targets(connection, campaign.campaign_id)
    digest = same_list = None
    findings: tuple[Finding, ...] = ()
    sample: ListSample | None = None
    same_as = campaign.same_as if same_as is None else same_as
    if (count, amount) == (campaign.expected_count, campaign.expected_amount):
        digest = digest_targets(connection, campaign.campaign_id)
        same_list = find_same_list(connection, campaign.campaign_id, digest)
        findings = accept(judge(connection, campaign, digest), accepted, actor)
        if policy.limits.copy_share is not None:
            found, sample = judge_copies(
                connection, campaign.campaign_id, digest, count=count, share=policy.limits.copy_share
            )
            findings = confirm(with_copies(findings, found), same_as, actor)
    return TargetsState(
        expected_count=campaign.expected_count,
        expected_amount=campaign.expected_amount,
        count=count,
        amount=amount,
        largest=largest,
        digest=digest,
        creator_login=campaign.creator_login,
        approved_digest=campaign.approved_digest,
        policy=policy,
        same_list=same_list,
        same_as=same_as,
        findings=findings,
        sample=sample,
        rejected=_rejection_of(campaign),
    )


def recall_targets(
    connection: Connection,
    campaign: Campaign,
    policy: Policy,
    *,
    same_as: int | None = None,
    accepted: Collection[FindingName] = (),
    actor: str = "",
) -> TargetsState | None:
    """The same without reading the targets, as if they were still the list that was judged last, with the expected
    totals; None where none was. Later lists are not compared with it. Good enough to refuse early, never to pay.
    """
    digest = latest_judged(connection, campaign.campaign_id)
    kept = None if digest is None else get_judgement(connection, campaign.campaign_id, digest)
    if digest is None or kept is None:
        return None
    same_as = campaign.same_as if same_as is None else same_as
    return TargetsState(
        expected_count=campaign.expected_count,
        expected_amount=campaign.expected_amount,
        count=campaign.expected_count,
        amount=campaign.expected_amount,
        largest=0,
        digest=digest,
        creator_login=campaign.creator_login,
        approved_digest=campaign.approved_digest,
        policy=policy,
        same_list=find_same_list(connection, campaign.campaign_id, digest),
        same_as=same_as,
        findings=confirm(accept(kept, accepted, actor), same_as, actor),
        rejected=_rejection_of(campaign),
    )


def suppose_targets(campaign: Campaign, policy: Policy, *, count: int, amount: int) -> TargetsState:
    """What is known of a list that nobody has judged: its totals, as they are; nothing of it counts as changed since it
    was approved. Good enough to say what a start waits for, never to pay.
    """
    return TargetsState(
        expected_count=campaign.expected_count,
        expected_amount=campaign.expected_amount,
        count=count,
        amount=amount,
        largest=0,
        digest=campaign.approved_digest,
        creator_login=campaign.creator_login,
        approved_digest=campaign.approved_digest,
        policy=policy,
        same_list=None,
        same_as=campaign.same_as,
        rejected=_rejection_of(campaign),
    )


def _rejection_of(campaign: Campaign) -> tuple[str, str] | None:
    if campaign.rejected_by is None or campaign.rejected_reason is None:
        return None
    return campaign.rejected_by, campaign.rejected_reason


def check_ready(campaign_id: int, targets: TargetsState, *, same_as: int | None) -> bytes:
    """The digest of targets that may be paid. same_as: what the command names.

    Raises RefusedError with the obstacle, and what to do.
    """
    obstacle = find_obstacle(campaign_id, targets) or refuse_repetition(
        targets.same_list, same_as, repeated_by(targets.findings)
    )
    if obstacle is not None:
        raise not_ready(campaign_id, obstacle)
    assert targets.digest is not None, "the totals match"
    return targets.digest


def not_ready(campaign_id: int, why: Refusal, command: Command = Command.START) -> RefusedError:
    """The refusal to start a campaign, or to approve it, because of its targets."""
    code = "CAMPAIGN_NOT_READY" if command is Command.START else "CAMPAIGN_NOT_APPROVABLE"
    return RefusedError(code, campaign_id=campaign_id, why=why)
