"""What the help desk may say to a member about one payment: polite, in both languages, without our inner words.

A payment that may have been credited is never said to be paid or not paid: it is being checked.
"""

from datetime import datetime
from zoneinfo import ZoneInfo

from bulkpoint.rules.lifecycle import CampaignState, FailureKind, PaymentState
from bulkpoint.store.payment_history import FoundPayment, FoundTarget
from bulkpoint.views.languages import phrase


def answer_key(one: FoundPayment | FoundTarget) -> str:
    """Which of the answers fits: a key of the language files' table `to_member`."""
    if isinstance(one, FoundTarget):
        return "withdrawn" if one.campaign_state == CampaignState.WITHDRAWN else "coming"
    if one.state == PaymentState.SUCCESS:
        return "paid"
    if one.failure_kind == FailureKind.UNKNOWN or one.maybe_credited:
        return "checking"
    if one.failure_kind is not None:
        return str(one.failure_kind)
    if one.state == PaymentState.PROCESSING:
        return "checking" if one.campaign_state != CampaignState.RUNNING else "under_way"
    return "coming" if one.campaign_state == CampaignState.RUNNING else "delayed"


def answer(one: FoundPayment | FoundTarget, language: str, timezone: str) -> str:
    """The sentence to say about a payment; its day is of `timezone`."""
    ended = one.finished_at if isinstance(one, FoundPayment) else None
    facts = {
        "points": f"{one.amount:,}",
        "reason": one.reason,
        "day": "" if ended is None else _day(ended, language, timezone),
    }
    return phrase(language, f"to_member.{answer_key(one)}", **facts)


def _day(moment: datetime, language: str, timezone: str) -> str:
    local = moment.astimezone(ZoneInfo(timezone))
    month = phrase(language, "to_member.months").split()[local.month - 1]
    return phrase(language, "to_member.day", year=local.year, month=month, day=local.day)
