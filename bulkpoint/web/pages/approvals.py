"""Approvals: what waits for a second person, what has changed since somebody looked, and the yes or the no."""

from datetime import UTC, datetime
from typing import Any

from starlette.responses import Response

from bulkpoint.campaigns.approve import approve_campaign
from bulkpoint.campaigns.preview import note_same_list, present_pace, preview_campaign
from bulkpoint.campaigns.readiness import limits_of
from bulkpoint.campaigns.reading import note_preview, writes_apart
from bulkpoint.campaigns.reject import REASON_CHARACTERS_MAX, reject_campaign
from bulkpoint.rules.findings import FindingName, hide_members
from bulkpoint.rules.lifecycle import CampaignState
from bulkpoint.rules.preview import look_ahead
from bulkpoint.rules.rights import Right
from bulkpoint.store.audit import last_look
from bulkpoint.store.campaign import Campaign, get_campaign, list_campaigns
from bulkpoint.store.finding import latest_findings, latest_judged
from bulkpoint.views.drawing import draw_buckets
from bulkpoint.web.asked import Asked
from bulkpoint.web.pages.new import examples_of, plain
from bulkpoint.web.routes import get, post, render, see_other

# Of those for this person, of others and of decided ones: the oldest; each costs a question for its findings.
ROWS_SHOWN = 100
# Hexadecimal digits of a digest.
DIGEST_DIGITS = 64
# A longer list takes more than a statement of a page may: a million is read in two seconds, and summed in one more.
READ_ROWS_MAX = 1_000_000


def show(asked: Asked) -> Response:
    """The campaigns that wait: those that this person may decide about first, without reading a single list."""
    waiting = list_campaigns(asked.connection, [CampaignState.WAITING])
    mine: list[Campaign] = []
    others: list[Campaign] = []
    decided: list[Campaign] = []
    for campaign in waiting:
        if campaign.approved_at is not None:
            decided.append(campaign)
        else:
            (mine if _may_decide(asked, campaign) else others).append(campaign)
    shown = [
        [(each, latest_findings(asked.connection, each.campaign_id)) for each in group[:ROWS_SHOWN]]
        for group in (mine, others, decided)
    ]
    return render(
        asked,
        "approvals.html.j2",
        mine=shown[0],
        others=shown[1],
        decided=shown[2],
        unshown=len(waiting) - sum(map(len, shown)),
        may_approve=asked.may(Right.APPROVE),
        approval_required=asked.settings.require_approval,
    )


def look(asked: Asked) -> Response:
    """One of them: its list as it is now, and what has changed since it was created, approved and looked at."""
    campaign = get_campaign(asked.connection, asked.path_number("campaign_id"))
    if campaign.state != CampaignState.WAITING:
        return see_other(asked, f"/campaigns/{campaign.campaign_id}", "waits_no_more", campaign_id=campaign.campaign_id)
    if campaign.expected_count > READ_ROWS_MAX:
        return _long_page(asked, campaign)
    before = last_look(asked.connection, campaign.campaign_id)
    limits = limits_of(asked.settings)
    whole = note_same_list(asked.connection, preview_campaign(asked.connection, campaign.campaign_id, limits))
    seen = note_preview(writes_apart(asked.conninfo, actor=asked.actor), whole)
    pace = present_pace(asked.connection, asked.settings)
    digest = None if seen.digest is None else seen.digest.hex()
    return render(
        asked,
        "approval.html.j2",
        campaign=campaign,
        seen=seen,
        figures=seen.figures,
        outlook=look_ahead(seen.open_count, pace, now=datetime.now(UTC)),
        histogram=draw_buckets(seen.figures.buckets) if seen.figures.count else None,
        obstacles=[plain(asked, each) for each in seen.findings],
        findings=[(each, plain(asked, each.as_refusal()), examples_of(asked, each)) for each in seen.noticed],
        changed=FindingName.LIST_CHANGED in {each.name for each in seen.noticed},
        changed_since_approval=campaign.approved_digest not in (None, seen.digest),
        before=before if before is not None and before.digest not in (None, digest) else None,
        digest=None if any(each.code == "TOTALS" for each in seen.findings) else digest,
        count=seen.figures.count,
        amount=seen.figures.amount,
        **_decision(asked, campaign),
    )


def _long_page(asked: Asked, campaign: Campaign) -> Response:
    """Of a list that is too long to be read for a page: what was known last. The approval itself reads all of it."""
    digest = latest_judged(asked.connection, campaign.campaign_id) or campaign.created_digest
    findings = hide_members(latest_findings(asked.connection, campaign.campaign_id))
    return render(
        asked,
        "approval_long.html.j2",
        campaign=campaign,
        findings=[(each, plain(asked, each.as_refusal()), examples_of(asked, each)) for each in findings],
        changed=digest is not None and campaign.created_digest not in (None, digest),
        digest=None if digest is None else digest.hex(),
        count=campaign.expected_count,
        amount=campaign.expected_amount,
        **_decision(asked, campaign),
    )


def _decision(asked: Asked, campaign: Campaign) -> dict[str, Any]:
    """What _decide.html.j2 needs beside the list."""
    return {
        "may_decide": _may_decide(asked, campaign),
        "is_creator": campaign.creator_login == asked.session.login,
        "reason_max": REASON_CHARACTERS_MAX,
    }


def approve(asked: Asked) -> Response:
    """Yes to exactly the list that was shown; another one by now is refused."""
    campaign_id = asked.path_number("campaign_id")
    digest = asked.form.text("digest", least=DIGEST_DIGITS, most=DIGEST_DIGITS)
    created = get_campaign(asked.connection, campaign_id).created_digest
    if created is not None and created.hex() != digest:
        asked.form.text("changed_seen", least=1, most=DIGEST_DIGITS)
    approve_campaign(asked.connection, campaign_id, actor=asked.actor, digest=digest, limits=limits_of(asked.settings))
    return see_other(asked, "/approvals", "approved", campaign_id=campaign_id)


def reject(asked: Asked) -> Response:
    """No, and why: whoever created it reads that."""
    campaign_id = asked.path_number("campaign_id")
    reason = asked.form.text("reason", least=1, most=REASON_CHARACTERS_MAX)
    reject_campaign(asked.connection, campaign_id, actor=asked.actor, reason=reason)
    return see_other(asked, "/approvals", "rejected", campaign_id=campaign_id)


routes = [
    get("/approvals", show),
    get("/approvals/{campaign_id:int}", look),
    post("/approvals/{campaign_id:int}/approve", approve),
    post("/approvals/{campaign_id:int}/reject", reject),
]


def _may_decide(asked: Asked, campaign: Campaign) -> bool:
    return asked.may(Right.APPROVE) and campaign.creator_login != asked.session.login
