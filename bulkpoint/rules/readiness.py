"""What keeps a campaign from its first start, whoever asks: its own targets, its approval, and lists paid before."""

from dataclasses import dataclass

# A campaign of the same members, amounts and reasons within this is taken for a mistake.
REMEMBERED_DAYS = 90
SECONDS_A_DAY = 86_400


@dataclass(frozen=True, slots=True)
class SameList:
    """The campaign that had the very same list last, and how many seconds ago it was seen there."""

    campaign_id: int
    name: str
    ago_s: float


@dataclass(frozen=True, slots=True)
class PaymentLimits:
    """Points at most for one target and for one campaign, by the deployment's settings; None: no bound."""

    per_row: int | None = None
    per_campaign: int | None = None


NO_LIMITS = PaymentLimits()


@dataclass(frozen=True, slots=True)
class Policy:
    """What the deployment asks of every campaign, by its settings."""

    approval_required: bool = False
    limits: PaymentLimits = NO_LIMITS


NO_POLICY = Policy()


@dataclass(frozen=True, slots=True)
class TargetsState:
    """What is known of a campaign's targets. Amounts are points.

    digest: none where the totals do not match, for then nobody asks. approved_digest: what was approved, none where
    nothing was. same_as: the earlier campaign that this one is meant to repeat.
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


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why a campaign is not ready, as the end of a sentence, and a sentence of what to do."""

    why: str
    remedy: str

    def refusal(self, campaign_id: int, asked: str = "start") -> str:
        """The whole answer to whoever wants it to start, or to be approved."""
        return f"Campaign {campaign_id} cannot {asked}: {self.why}. {self.remedy}"


def find_obstacle(campaign_id: int, intake: TargetsState) -> Obstacle | None:
    """What stands in the way of campaign `campaign_id`, the first thing of several; none when it is ready."""
    return (
        find_missing_targets(campaign_id, intake)
        or _limits(campaign_id, intake)
        or _approval(campaign_id, intake)
        or _repetition(campaign_id, intake)
    )


def find_missing_targets(campaign_id: int, intake: TargetsState) -> Obstacle | None:
    """Whether the targets are not the expected ones, by count and sum."""
    if (intake.count, intake.amount) == (intake.expected_count, intake.expected_amount):
        return None
    return Obstacle(
        f"it expects {intake.expected_count:,} targets and {intake.expected_amount:,} points, but {intake.count:,} and"
        f" {intake.amount:,} are loaded",
        "Load what is missing into campaign_target, or withdraw it"
        f" (`bulkpoint campaign withdraw {campaign_id} --reason T`) and create it anew with the right totals.",
    )


def _limits(campaign_id: int, intake: TargetsState) -> Obstacle | None:
    limits = intake.policy.limits
    for what, points, most, setting in (
        ("its largest target is", intake.largest, limits.per_row, "BULKPOINT_MAX_AMOUNT_PER_ROW"),
        ("it would pay", intake.amount, limits.per_campaign, "BULKPOINT_MAX_AMOUNT_PER_CAMPAIGN"),
    ):
        if most is not None and points > most:
            return Obstacle(
                f"{what} {points:,} points, more than {most:,} ({setting})",
                f"Look at it (`bulkpoint campaign preview {campaign_id}`), mend the list, or have the bound raised.",
            )
    return None


def _approval(campaign_id: int, intake: TargetsState) -> Obstacle | None:
    approve = (
        f"`bulkpoint campaign approve {campaign_id}`, by another login than {intake.creator_login}, who created it"
    )
    if intake.approved_digest is None:
        if not intake.policy.approval_required:
            return None
        return Obstacle("nobody has approved it", f"Have it approved: {approve}.")
    if intake.approved_digest != intake.digest:
        return Obstacle(
            "its targets changed after they were approved", f"Have them approved as they are now: {approve}."
        )
    return None


def _repetition(campaign_id: int, intake: TargetsState) -> Obstacle | None:
    same = intake.same_list
    if same is None or same.campaign_id == intake.same_as:
        return None
    return Obstacle(
        f"its list is {describe_same(same)}",
        f"If it came twice by mistake, `bulkpoint campaign withdraw {campaign_id} --reason T`; if both are meant, start"
        f" it with --same-as {same.campaign_id} --reason T.",
    )


def refuse_new_list(same: SameList | None, same_as: int | None) -> str | None:
    """Why a campaign with a list that was seen before is not even created; none where it may be."""
    if (same is None and same_as is None) or (same is not None and same.campaign_id == same_as):
        return None
    if same is None or same_as is not None:
        return refuse_repetition(same, same_as)
    return (
        f"This list is {describe_same(same)}. Nothing was loaded."
        f" If both are meant to be paid, add --same-as {same.campaign_id} --reason T."
    )


def refuse_repetition(same: SameList | None, same_as: int | None) -> str | None:
    """Why a --same-as is refused that names a campaign with another list; none where it is right, or not given."""
    if same_as is None or (same is not None and same.campaign_id == same_as):
        return None
    if same is None:
        return f"--same-as {same_as}: no other campaign of the last {REMEMBERED_DAYS} days has this list. Leave it out."
    return f"--same-as {same_as}: this list was last seen in campaign {same.campaign_id} ({same.name}). Name that one."


def describe_same(same: SameList) -> str:
    """What a list is, when it is another campaign's: the end of a sentence."""
    days = int(same.ago_s // SECONDS_A_DAY)
    ago = "in the last 24 hours" if days == 0 else "a day ago" if days == 1 else f"{days} days ago"
    return f"the same as that of campaign {same.campaign_id} ({same.name}), seen {ago}: every member, amount and reason"
