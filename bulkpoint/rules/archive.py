"""Which campaigns may leave the database: those of which no command, no look-up and no comparison needs the rows."""

import math
import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from bulkpoint.rules.copies import REMEMBERED_DAYS
from bulkpoint.rules.lifecycle import CampaignState
from bulkpoint.rules.refusals import Refusal

SECONDS_A_DAY = 86_400
_ENDED = frozenset({CampaignState.COMPLETED, CampaignState.FAILED, CampaignState.STOPPED})
# A date further away than any that is of use, and still one that can be written.
_FAR_S = 100_000.0 * SECONDS_A_DAY
_DAYS = re.compile(r"([1-9][0-9]{0,4})d")


@dataclass(frozen=True, slots=True)
class Archivable:
    """What decides: state and counts as people see them, and how long ago its last run ended, in seconds.

    acknowledged: a person has said that what that run left stays as it is. events: not published yet, and Kafka is set.
    """

    campaign_id: int
    state: CampaignState
    pending: int
    processing: int
    unknown: int
    acknowledged: bool
    events: int
    ended_s_ago: float | None


def least_age_s(retention_s: float) -> float:
    """How long ago a campaign must have ended: the money API may still know its keys, and a new list is compared with
    its list, member by member."""
    return max(REMEMBERED_DAYS * SECONDS_A_DAY, retention_s)


def days_of_age(text: str) -> int | None:
    """The days of `400d`; None for anything else."""
    found = _DAYS.fullmatch(text)
    return None if found is None else int(found[1])


def in_days(seconds: float, *, up: bool = False) -> float:
    """Days to one decimal, rounded down or up; a whole number where they are whole, so that it is shown as one."""
    tenths = (math.ceil if up else math.floor)(round(10 * seconds / SECONDS_A_DAY, 3))
    return tenths // 10 if tenths % 10 == 0 else tenths / 10


def why_not(one: Archivable, *, age_s_min: float, now: datetime) -> Refusal | None:
    """Why a campaign may not be archived, and what to do first; None where it may."""
    facts = {"campaign_id": one.campaign_id, "state": one.state}
    if one.state not in _ENDED:
        return Refusal("ARCHIVE_NOT_ENDED", facts)
    if one.processing:
        return Refusal("ARCHIVE_PERHAPS_SENT", facts | {"count": one.processing}, ("resume",))
    if (one.unknown or one.pending) and not one.acknowledged:
        left = {"not_processed": one.pending, "unknown": one.unknown}
        return Refusal("ARCHIVE_LEFT_OPEN", facts | left, ("reconcile_or_acknowledge",))
    if one.ended_s_ago is None or one.ended_s_ago < age_s_min:
        ago_s = one.ended_s_ago or 0.0
        days = {"days": in_days(ago_s), "days_min": in_days(age_s_min, up=True)}
        possible_from = now + timedelta(seconds=min(age_s_min - ago_s, _FAR_S))
        return Refusal("ARCHIVE_TOO_YOUNG", facts | days | {"possible_from": possible_from})
    if one.events:
        return Refusal("ARCHIVE_EVENTS_WAITING", facts | {"count": one.events}, ("publish_events",))
    return None
