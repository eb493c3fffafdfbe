"""What a person checks before points are paid: the figures of a target list, and when its payment would end."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import count, pairwise

from bulkpoint.rules.findings import Finding, hide_members, refusing
from bulkpoint.rules.invariants import invariant
from bulkpoint.rules.lifecycle import CampaignState
from bulkpoint.rules.member_names import Eyes
from bulkpoint.rules.readiness import PaymentLimits
from bulkpoint.rules.refusals import Refusal

BARS_MAX = 12
# Amounts that differ by no more than this factor are divided evenly; wider ranges at 1, 2, 5, 10, 20, 50, ...
EVEN_RATIO_MAX = 25
REASONS_SHOWN = 20
LARGEST_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Bucket:
    """How many targets get `first` to `last` points, both included."""

    first: int
    last: int
    count: int


@dataclass(frozen=True, slots=True)
class ReasonSum:
    """Targets with one reason, and their points."""

    reason: str
    count: int
    amount: int


@dataclass(frozen=True, slots=True)
class LargeRow:
    """One of the targets with the most points. row: of the file, None for targets in the database."""

    row: int | None
    member_id: str
    amount: int
    reason: str


@dataclass(frozen=True, slots=True)
class Figures:
    """Targets, their points, and how these are spread; smallest and largest are None where there is no target.

    reasons: those with the most points, the first 20. reason_count: how many reasons there are; a minimum where
    all_reasons_counted is false: past a bound, rows with a further reason are in no reason's sum.
    """

    count: int
    amount: int
    smallest: int | None
    largest: int | None
    buckets: tuple[Bucket, ...]
    reasons: tuple[ReasonSum, ...]
    reason_count: int
    all_reasons_counted: bool = True

    @property
    def mean(self) -> float | None:
        """Points per target."""
        return self.amount / self.count if self.count else None

    @property
    def other_reasons(self) -> tuple[int, int, int]:
        """Reasons, targets and points that are not in `reasons`."""
        targets = self.count - sum(row.count for row in self.reasons)
        return self.reason_count - len(self.reasons), targets, self.amount - sum(row.amount for row in self.reasons)


@dataclass(frozen=True, slots=True)
class Listed:
    """What a campaign says about itself, in addition to its targets. frozen_at: since when these cannot change."""

    campaign_id: int
    name: str
    state: CampaignState
    expected_count: int
    expected_amount: int
    frozen_at: datetime | None


@dataclass(frozen=True, slots=True)
class Preview:
    """All targets of a file (`file`, its name) or of a campaign (`campaign`), summed up.

    The figures include duplicate_rows (the repeated rows of a member, without the first), but not invalid_rows.
    problems: at most 20 lines about them, problems_masked: the same without member ids; problem_count: all;
    problems_unsaid: those in no line. digest: None where the list cannot be loaded, or for the reason in
    digest_trouble. findings: why the list cannot be paid as it is. noticed: what a person decides about, and who
    accepted it. open_count: payments still to be sent. limits: the deployment's. largest: the good rows with the most
    points, first.
    """

    file: str | None
    campaign: Listed | None
    figures: Figures
    invalid_rows: int
    duplicate_rows: int
    problems: tuple[str, ...]
    problem_count: int
    limits: PaymentLimits
    rows_above_max: int
    digest: bytes | None
    digest_trouble: Refusal | None
    open_count: int
    findings: tuple[Refusal, ...]
    noticed: tuple[Finding, ...] = ()
    problems_unsaid: int = 0
    largest: tuple[LargeRow, ...] = ()
    problems_masked: tuple[str, ...] = ()

    def shown_to(self, eyes: Eyes) -> "Preview":
        """The same as somebody may see it."""
        if eyes.sees:
            return self
        largest = tuple(replace(each, member_id=eyes.member(each.member_id)) for each in self.largest)
        return replace(self, problems=self.problems_masked, noticed=hide_members(self.noticed), largest=largest)

    @property
    def command(self) -> str:
        """What takes the options that accept the list: the command that loads or starts it."""
        return "campaign create ..." if self.campaign is None else f"campaign start {self.campaign.campaign_id}"

    @property
    def refused_by(self) -> int:
        """How many findings speak against paying the list as it is."""
        return len(self.findings) + len(refusing(self.noticed))


@dataclass(frozen=True, slots=True)
class Pace:
    """Calls a second (0: paused); from `until` on, where that is given, tps_afterwards applies."""

    tps: int
    until: datetime | None = None
    tps_afterwards: int | None = None


@dataclass(frozen=True, slots=True)
class Outlook:
    """When the open payments would end if started `now`. ends_at: None when never at this pace, or when none is open.

    tps_needed: to meet the deadline; None without a deadline, and when it has passed.
    """

    now: datetime
    open_count: int
    pace: Pace
    ends_at: datetime | None
    deadline: datetime | None
    tps_needed: int | None

    @property
    def in_time(self) -> bool:
        """Whether the deadline, where there is one, is met."""
        if self.deadline is None or not self.open_count:
            return True
        return self.ends_at is not None and self.ends_at <= self.deadline


def look_ahead(open_count: int, pace: Pace, *, now: datetime, deadline: datetime | None = None) -> Outlook:
    """When `open_count` calls, one per payment, are done, and the even rate that the deadline needs."""
    ends_at = _end(open_count, pace, now) if open_count else None
    needed = None
    if deadline is not None and deadline > now:
        needed = math.ceil(open_count / (deadline - now).total_seconds())
    return Outlook(now, open_count, pace, ends_at, deadline, needed)


def _end(open_count: int, pace: Pace, now: datetime) -> datetime | None:
    if pace.until is None or pace.tps_afterwards is None:
        return now + timedelta(seconds=open_count / pace.tps) if pace.tps else None
    sent_before = pace.tps * max(0.0, (pace.until - now).total_seconds())
    if open_count <= sent_before:
        return now + timedelta(seconds=open_count / pace.tps)
    if not pace.tps_afterwards:
        return None
    return max(now, pace.until) + timedelta(seconds=(open_count - sent_before) / pace.tps_afterwards)


def bucket_edges(smallest: int, largest: int) -> list[int]:
    """Where to count amounts of `smallest` to `largest` points: at round figures.

    Ascending, one more than there are buckets: bucket i has edges[i] <= amount < edges[i + 1].
    """
    invariant(0 < smallest <= largest, f"amounts of {smallest} to {largest} points")
    if largest <= smallest * EVEN_RATIO_MAX:
        width = next(step for step in _steps() if largest // step - smallest // step < BARS_MAX)
        edges = [part * width for part in range(smallest // width, largest // width + 2)]
        return [max(1, edges[0]), *edges[1:]]
    steps = _steps()
    edges = [next(steps)]
    while edges[-1] <= largest:
        edges.append(next(steps))
    while edges[1] <= smallest:
        edges.pop(0)
    return edges


def buckets_of(edges: Sequence[int], counts: Sequence[int]) -> tuple[Bucket, ...]:
    """The buckets between bucket_edges with their counts; merged at the sparser end until at most BARS_MAX are left."""
    parts = zip(pairwise(edges), counts, strict=True)
    buckets = [Bucket(first, after - 1, number) for (first, after), number in parts]
    while len(buckets) > BARS_MAX:
        at = 0 if buckets[0].count + buckets[1].count <= buckets[-2].count + buckets[-1].count else -2
        low, high = buckets[at], buckets[at + 1]
        buckets[at : at + 2 or None] = [Bucket(low.first, high.last, low.count + high.count)]
    return tuple(buckets)


def _steps() -> Iterator[int]:
    """1, 2, 5, 10, 20, 50, ..."""
    for exponent in count():
        for digit in (1, 2, 5):
            yield digit * 10**exponent


def find_difference(listed: Listed, figures: Figures) -> Refusal | None:
    """What is missing from a campaign's targets, or too much; None where they are as expected."""
    if (figures.count, figures.amount) == (listed.expected_count, listed.expected_amount):
        return None
    targets = _compare(figures.count, listed.expected_count)
    return Refusal("TOTALS", {"targets": targets, "points": _compare(figures.amount, listed.expected_amount)})


def _compare(found: int, expected: int) -> Refusal:
    if found == expected:
        return Refusal("AS_EXPECTED")
    return Refusal("MISSING" if found < expected else "TOO_MANY", {"number": abs(found - expected)})
