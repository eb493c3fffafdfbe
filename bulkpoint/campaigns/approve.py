"""Approve a campaign: a second person, by another database login, binds its start to the targets as they are now."""

from bulkpoint.campaigns.digest import refuse_another_digest
from bulkpoint.campaigns.readiness import inspect_targets
from bulkpoint.errors import RefusedError
from bulkpoint.rules.lifecycle import CampaignState, Command, refusal
from bulkpoint.rules.readiness import NO_POLICY, TargetsState, find_missing_targets
from bulkpoint.rules.rights import Right
from bulkpoint.store.audit import write_audit
from bulkpoint.store.campaign import approve, get_campaign, lock_campaign
from bulkpoint.store.connect import Connection
from bulkpoint.store.duplicate_list import remember_list
from bulkpoint.store.outbox import write_event
from bulkpoint.store.right import require_right


def approve_campaign(connection: Connection, campaign_id: int, *, actor: str, digest: str | None = None) -> bytes:
    """Bind the campaign to the digest of its targets, which is returned; audit row and event in one transaction.

    digest: hexadecimal, or its first digits: what the approver has looked at. An approval may be given anew, where the
    targets changed. Raises RefusedError where the login has no right or created the campaign itself, where it does not
    wait, or where its targets are not what was expected or looked at.
    """
    with connection.transaction():
        require_right(connection, Right.APPROVE)
        lock_campaign(connection, campaign_id)  # a loader that is still at work is waited for
        campaign = get_campaign(connection, campaign_id)
        refused = refusal(Command.APPROVE, CampaignState(campaign.state), campaign_id)
        if refused is not None:
            raise RefusedError(refused)
        found = _check_targets(inspect_targets(connection, campaign, NO_POLICY), campaign_id, digest)
        approve(connection, campaign_id, actor=actor, digest=found)
        remember_list(connection, campaign_id, found)
        detail = {
            "count": campaign.expected_count,
            "amount": campaign.expected_amount,
            "digest": found.hex(),
            "creator": campaign.creator,
        }
        write_event(connection, campaign_id=campaign_id, run=None, type="campaign.approved", actor=actor, data=detail)
        write_audit(connection, action="approve", campaign_id=campaign_id, run=None, actor=actor, detail=detail)
    return found


def _check_targets(intake: TargetsState, campaign_id: int, digest: str | None) -> bytes:
    missing = find_missing_targets(campaign_id, intake)
    if missing is not None:
        raise RefusedError(missing.refusal(campaign_id, "be approved"))
    assert intake.digest is not None, "the totals match"
    refuse_another_digest(campaign_id, intake.digest, digest, "be approved")
    return intake.digest
