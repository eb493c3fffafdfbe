"""Near copies: how many members of a new list may be paid again, because lists of the last 90 days have them too.

How two lists are compared is in campaigns/near_copies.py; here is what the figures mean, and what is said.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bulkpoint.rules.findings import Finding, FindingName
from bulkpoint.rules.refusals import Refusal

# Lists that were seen within this time are compared with a new one.
REMEMBERED_DAYS = 90
# From this share of a list on, what it has in common with others is said. Below it, people are simply customers.
SHOWN_SHARE = 0.5
# An earlier list of fewer members (a test, a handful of colleagues) may be a part of any later one: it never refuses.
FEW_MEMBERS = 20
# Campaigns that a sentence names; the others are counted.
NAMED_MAX = 10
# Campaigns that are kept with the finding, so that each of them can be named in --same-as; the largest overlaps.
KEPT_MAX = 1_000


@dataclass(frozen=True, slots=True)
class ListSample:
    """What is kept of a list to compare later ones with: the members with the lowest hashes, all of a short list.

    hashes, amounts: 8 bytes each, big-endian. compared_in: which transactions the comparison of this list with earlier
    ones saw (PostgreSQL's pg_snapshot).
    """

    digest: bytes
    target_count: int
    hashes: bytes
    amounts: bytes
    compared_in: str


@dataclass(frozen=True, slots=True)
class Overlap:
    """What a new list has in common with the list of one earlier campaign.

    members: of the earlier list, without those who were not paid there (FAILED as REJECTED or UNAVAILABLE), who do not
    count anywhere but in failed. waiting: it has not started. shared: members of both lists; shared_same: those of them
    with the same amount. failed: members of both who were not paid there. about: shared and shared_same are estimates.
    """

    campaign_id: int
    waiting: bool
    members: int
    shared: int
    shared_same: int
    failed: int = 0
    about: bool = False


@dataclass(frozen=True, slots=True)
class Comparison:
    """A new list of `members`, compared with all earlier ones.

    covered: members who are in at least one of them; covered_same: who have the same amount in at least one of them;
    waiting: who are in at least one that has not started. about: the three are estimates, from a sample of the list.
    """

    members: int
    covered: int
    covered_same: int
    waiting: int
    about: bool
    overlaps: tuple[Overlap, ...]


def find_copies(comparison: Comparison, share: float) -> Iterator[Finding]:
    """What is found in a list by what it has in common with others; from `share` on it is refused until confirmed."""
    near_copy = _near_copy(comparison, share)
    if near_copy is not None:
        yield near_copy
    waiting = [each for each in comparison.overlaps if each.waiting and each.shared]
    if comparison.waiting and waiting:
        facts: dict[str, Any] = {
            "members": comparison.members,
            "covered": _figure(comparison.waiting, comparison.about),
            "where": _where(waiting),
        }
        yield Finding.of(FindingName.MEMBERS_WAITING, comparison.waiting, **facts)


def confirm(findings: Iterable[Finding], same_as: int | None, actor: str) -> tuple[Finding, ...]:
    """The findings, with the near copy accepted by `actor` where `same_as` is one of the campaigns that it repeats.

    One campaign stands for all that were found: who names it has seen the sentence that names the others.
    """
    return tuple(
        replace(finding, accepted_by=actor) if finding.refuses and same_as in repeated_by([finding]) else finding
        for finding in findings
    )


def repeated_by(findings: Iterable[Finding]) -> tuple[int, ...]:
    """The campaigns whose members a list has, as far as its findings name them."""
    return tuple(
        campaign_id
        for finding in findings
        if finding.name is FindingName.NEAR_COPY
        for campaign_id in finding.facts["campaigns"]
    )


def _near_copy(comparison: Comparison, share: float) -> Finding | None:
    shared = _largest([each for each in comparison.overlaps if each.shared])
    contained = [each for each in shared if each.shared >= share * each.members]
    failed = _largest([each for each in comparison.overlaps if each.failed])
    not_paid = min(comparison.members, sum(each.failed for each in failed))
    covered = comparison.covered >= SHOWN_SHARE * comparison.members
    again = comparison.covered_same >= share * comparison.members
    repeats = [each for each in contained if each.members >= FEW_MEMBERS and each.shared_same >= share * each.members]
    said: list[Refusal] = []
    if covered:
        said.append(_covered(comparison, shared))
    if contained and not again and (repeats or comparison.covered < share * comparison.members):
        said.extend(_contained(contained))
    if not_paid and (said or not_paid >= SHOWN_SHARE * comparison.members):
        estimated = any(each.about for each in failed)
        facts = {"failed": _figure(not_paid, estimated), "where": _where(failed)}
        said.append(Refusal("COPY_FAILED_THERE", facts))
    if not said:
        return None
    campaigns = tuple(each.campaign_id for each in (shared if covered else contained or failed)[:KEPT_MAX])
    kept: dict[str, Any] = {
        "members": comparison.members,
        "same_amount": comparison.covered_same,
        "estimated": comparison.about,
        "campaigns": campaigns,
        "first_id": campaigns[0],
        "said": tuple(said),
    }
    finding = Finding.of(FindingName.NEAR_COPY, comparison.covered, **kept)
    return replace(finding, at_stake=again or bool(repeats))


def _covered(comparison: Comparison, shared: Sequence[Overlap]) -> Refusal:
    facts = {
        "covered": _figure(comparison.covered, comparison.about),
        "members": comparison.members,
        "where": _where(shared),
        "days": REMEMBERED_DAYS,
        "amounts": _amounts(comparison.covered, comparison.covered_same, comparison.about),
    }
    return Refusal("COPY_OF_LISTS", facts)


def _contained(contained: Sequence[Overlap]) -> Iterator[Refusal]:
    """A line for each earlier list that is in the new one."""
    for each in contained[:NAMED_MAX]:
        facts = {
            "covered": _figure(each.shared, each.about),
            "members": each.members,
            "campaign_id": each.campaign_id,
            "amounts": _amounts(each.shared, each.shared_same, each.about),
        }
        yield Refusal("COPY_HAS_LIST", facts)
    if len(contained) > NAMED_MAX:
        yield Refusal("COPY_HAS_MORE_LISTS", {"more": len(contained) - NAMED_MAX})


def _largest(overlaps: Collection[Overlap]) -> list[Overlap]:
    return sorted(overlaps, key=lambda each: (-each.shared, -each.failed, each.campaign_id))


def _where(overlaps: Sequence[Overlap]) -> Refusal:
    """The campaigns in words, those with the most members in common, in order of their ids."""
    ids = tuple(sorted(each.campaign_id for each in overlaps[:NAMED_MAX]))
    if len(overlaps) > NAMED_MAX:
        return Refusal("COPY_IN_MORE_CAMPAIGNS", {"ids": ids, "more": len(overlaps) - NAMED_MAX})
    return Refusal("COPY_IN_CAMPAIGN" if len(ids) == 1 else "COPY_IN_CAMPAIGNS", {"ids": ids})


def _amounts(count: int, same: int, about: bool) -> Refusal:
    if not same:
        return Refusal("COPY_OTHER_AMOUNTS")
    if same == count:
        return Refusal("COPY_SAME_AMOUNT")
    return Refusal("COPY_SAME_AMOUNT_OF_SOME", {"same": _figure(same, about)})


def _figure(count: int, about: bool) -> Refusal:
    """A count as it is said: an estimate to three digits."""
    if about:
        return Refusal("COPY_ABOUT", {"count": round(count, 3 - len(str(count)))})
    return Refusal("COPY_COUNT", {"count": count})
