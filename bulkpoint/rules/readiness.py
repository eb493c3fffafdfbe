"""What prevents a campaign's first start, for every caller: its targets, its approval, and lists paid before."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from bulkpoint.rules.copies import REMEMBERED_DAYS, ListSample
from bulkpoint.rules.findings import Finding, refusing, why_refused
from bulkpoint.rules.refusals import Refusal

SECONDS_A_DAY = 86_400


@dataclass(frozen=True, slots=True)
class SameList:
    """The latest other campaign with exactly the same list, and how many seconds ago the list was seen there."""

    campaign_id: int
    name: str
    ago_s: float


@dataclass(frozen=True, slots=True)
class PaymentLimits:
    """The most points for one target and for one campaign, by the deployment's settings; None: no limit.

    copy_share: from which share of members in common with earlier lists on a list is refused; None: they are not
    compared.
    """

    per_row: int | None = None
    per_campaign: int | None = None
    copy_share: float | None = None


NO_LIMITS = PaymentLimits()


@dataclass(frozen=True, slots=True)
class Policy:
    """What the deployment requires of every campaign, by its settings."""

    approval_required: bool = False
    limits: PaymentLimits = NO_LIMITS


NO_POLICY = Policy()


@dataclass(frozen=True, slots=True)
class TargetsState:
    """What is known about a campaign's targets. Amounts are points.

    digest: None where the totals do not match (it is not needed then). approved_digest: what was approved, None if
    nothing was. rejected: who said no, and why. same_as: the earlier campaign that this one repeats on purpose.
    findings: in the list of this digest, with those accepted that were accepted for it before, or are now. sample:
    what is to be kept of the list, so that later ones are compared with it; None where it is kept.
    """

    expected_count: int
    expected_amount: int
    count: int
    amount: int
    largest: int
    digest: bytes | None
    creator_login: str
    approved_digest: bytes | None
    policy: Policy
    same_list: SameList | None
    same_as: int | None
    findings: tuple[Finding, ...] = ()
    sample: ListSample | None = None
    rejected: tuple[str, str] | None = None

    @property
    def expected(self) -> tuple[int, int]:
        """How many targets there must be, and their points."""
        return self.expected_count, self.expected_amount

    @property
    def found(self) -> tuple[int, int]:
        """How many there are, and their points."""
        return self.count, self.amount


def find_obstacle(campaign_id: int, targets: TargetsState) -> Refusal | None:
    """The first reason why campaign `campaign_id` may not start; None when it is ready."""
    return (
        find_missing_targets(campaign_id, expected=targets.expected, found=targets.found)
        or _limits(campaign_id, targets)
        or _approval(campaign_id, targets)
        or _repetition(campaign_id, targets)
        or _findings(campaign_id, targets)
    )


def find_missing_targets(campaign_id: int, *, expected: tuple[int, int], found: tuple[int, int]) -> Refusal | None:
    """Why the targets are not the expected ones, by count and sum of points; None where they are."""
    if found == expected:
        return None
    facts = {
        "campaign_id": campaign_id,
        "expected_count": expected[0],
        "expected_amount": expected[1],
        "count": found[0],
        "amount": found[1],
    }
    if found[0] > expected[0] or found[1] > expected[1]:  # then nothing that is loaded besides makes it right
        return Refusal("TARGETS_NOT_AS_EXPECTED", facts, ("find_change_or_withdraw",))
    return Refusal("TARGETS_NOT_AS_EXPECTED", facts, ("load_or_withdraw",))


def _limits(campaign_id: int, targets: TargetsState) -> Refusal | None:
    limits = targets.policy.limits
    for code, points, limit in (
        ("ROW_LIMIT_EXCEEDED", targets.largest, limits.per_row),
        ("CAMPAIGN_LIMIT_EXCEEDED", targets.amount, limits.per_campaign),
    ):
        if limit is not None and points > limit:
            facts = {"campaign_id": campaign_id, "points": points, "limit": limit}
            return Refusal(code, facts, ("correct_list_or_raise_limit",))
    return None


def _approval(campaign_id: int, targets: TargetsState) -> Refusal | None:
    facts = {"campaign_id": campaign_id, "creator_login": targets.creator_login}
    if targets.rejected is not None:
        who, why = targets.rejected
        return Refusal("REJECTED", {**facts, "rejected_by": who, "why_not": why}, ("approve_or_create_again",))
    if targets.approved_digest is None:
        return Refusal("NOT_APPROVED", facts, ("approve",)) if targets.policy.approval_required else None
    if targets.approved_digest != targets.digest:
        return Refusal("APPROVED_TARGETS_CHANGED", facts, ("approve_again",))
    return None


def _repetition(campaign_id: int, targets: TargetsState) -> Refusal | None:
    same = targets.same_list
    if same is None or same.campaign_id == targets.same_as:
        return None
    facts = {"campaign_id": campaign_id, **facts_of_same(same)}
    return Refusal("LIST_PAID_BEFORE", facts, ("withdraw_or_start_same",))


def _findings(campaign_id: int, targets: TargetsState) -> Refusal | None:
    if not (refused := refusing(targets.findings)):
        return None
    return Refusal(
        "LIST_HAS_FINDINGS", {"campaign_id": campaign_id, "finding_count": len(refused), **why_refused(refused)}
    )


def refuse_new_list(same: SameList | None, same_as: int | None, repeated: Collection[int] = ()) -> Refusal | None:
    """Why a campaign with a list that was seen before may not even be created; None where it may.

    repeated: the campaigns of which the list is a near copy.
    """
    if (same is None and same_as is None) or (same is not None and same.campaign_id == same_as):
        return None
    if same is None or same_as is not None:
        return refuse_repetition(same, same_as, repeated)
    return Refusal("LIST_SEEN_BEFORE", facts_of_same(same), ("create_same",))


def refuse_repetition(same: SameList | None, same_as: int | None, repeated: Collection[int] = ()) -> Refusal | None:
    """Why `same_as` may not be named as the campaign to repeat: its list differs; None where equal or not given.

    repeated: the campaigns of which the list is a near copy; each of them may be named too, where no list is equal.
    """
    if same_as is None or (same is not None and same.campaign_id == same_as) or (same is None and same_as in repeated):
        return None
    if same is None:
        return Refusal("SAME_AS_WITHOUT_SAME_LIST", {"same_as": same_as, "days": REMEMBERED_DAYS}, ("leave_out",))
    return Refusal("SAME_AS_ANOTHER", {"same_as": same_as, **facts_of_same(same)}, ("name_that_one",))


def facts_of_same(same: SameList) -> dict[str, Any]:
    """Where a list was seen before, and how long ago."""
    return {
        "seen_in": same.campaign_id,
        "seen_in_name": same.name,
        "days_ago": int(same.ago_s // SECONDS_A_DAY),
    }
