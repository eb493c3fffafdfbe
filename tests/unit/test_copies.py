"""What the figures of a comparison with earlier lists mean: what is said, what is refused, what confirms it."""

from typing import Any

import pytest

from bulkpoint.rules.copies import Comparison, Overlap, confirm, find_copies, repeated_by
from bulkpoint.rules.findings import Finding
from bulkpoint.views.languages import LANGUAGES
from bulkpoint.views.sentences import sentence


def overlap(campaign_id: int, shared: int, same: int | None = None, **more: Any) -> Overlap:
    fields = {"waiting": False, "members": 100, "shared_same": shared if same is None else same} | more
    return Overlap(campaign_id, shared=shared, **fields)


def compared(members: int, *overlaps: Overlap, same: int | None = None, **more: Any) -> Comparison:
    """Of lists that have no member in common with each other."""
    covered = sum(each.shared for each in overlaps)
    covered_same = sum(each.shared_same for each in overlaps) if same is None else same
    waiting = sum(each.shared for each in overlaps if each.waiting)
    return Comparison(members, covered, covered_same, waiting, overlaps=overlaps, **({"about": False} | more))


def near_copies(comparison: Comparison, share: float = 0.9) -> list[Finding]:
    return [each for each in find_copies(comparison, share) if each.name == "NEAR_COPY"]


@pytest.mark.parametrize(
    ("comparison", "refuses"),
    [
        (compared(100, overlap(1, 90)), True),
        (compared(100, overlap(1, 89)), False),
        (compared(200, overlap(1, 90), overlap(2, 90)), True),
        (compared(100, overlap(1, 90, 89)), False),
        (compared(1_000, overlap(1, 90)), True),
        (compared(1_000, overlap(1, 90, 89)), False),
        (compared(1_000, overlap(1, 19, members=19)), False),
        (compared(1_000, overlap(1, 20, members=20)), True),
        (compared(5, overlap(1, 5, members=5)), True),
    ],
    ids=[
        "the share", "less", "over two lists", "other amounts", "a part", "a part with other amounts", "a few members",
        "no longer few", "a short list itself",
    ],
)  # fmt: skip
def test_a_list_is_refused_from_the_share_on_in_either_direction(comparison: Comparison, refuses: bool) -> None:
    (found,) = near_copies(comparison)
    assert found.refuses == refuses
    assert all(sentence(found.as_refusal(), language=language) for language in LANGUAGES)


def test_what_is_refused_follows_the_setting() -> None:
    comparison = compared(100, overlap(1, 60, members=1_000))
    assert [near_copies(comparison, share)[0].refuses for share in (0.6, 0.61, 1.0)] == [True, False, False]


def test_little_in_common_is_not_said_and_members_who_wait_elsewhere_always_are() -> None:
    assert list(find_copies(compared(100, overlap(1, 49)), 0.9)) == []
    (found,) = find_copies(compared(100, overlap(7, 1, waiting=True)), 0.9)
    assert (found.name, found.count, found.refuses) == ("MEMBERS_WAITING", 1, False)
    assert sentence(found.as_refusal()) == "1 of 100 members are also in campaign 7 that did not start yet."


def test_any_of_the_campaigns_confirms_all_of_them_and_another_one_does_not() -> None:
    findings = tuple(find_copies(compared(200, overlap(4, 95), overlap(9, 95)), 0.9))
    assert set(repeated_by(findings)) == {4, 9}
    for named, accepted in ((4, "kim"), (9, "kim"), (5, None), (None, None)):
        assert [each.accepted_by for each in confirm(findings, named, "kim")] == [accepted]
    assert "--same-as 4 --reason T" in sentence(findings[0].as_refusal())
    assert "--same-as" not in sentence(confirm(findings, 4, "kim")[0].as_refusal())


def test_estimates_are_said_as_such_to_three_digits() -> None:
    big = overlap(1, 994_817, 994_817, members=1_000_000, about=True)
    (found,) = near_copies(compared(1_000_000, big, about=True))
    words = "about 995,000 of 1,000,000 members are in campaign 1 of the last 90 days, with the same amount."
    assert sentence(found.as_refusal()).startswith(words)


def test_many_campaigns_are_named_by_the_largest_and_counted() -> None:
    overlaps = [overlap(number, 10 + number) for number in range(1, 31)]
    (found,) = near_copies(compared(765, *overlaps))
    said = sentence(found.as_refusal())
    assert "campaigns 21, 22, 23, 24, 25, 26, 27, 28, 29, 30 and 20 more of the last 90 days" in said
    assert len(repeated_by([found])) == 30


def test_members_who_were_not_paid_do_not_count_and_a_retry_is_named() -> None:
    (found,) = near_copies(compared(60, overlap(3, 0, members=40, failed=60)))
    assert not found.refuses
    assert sentence(found.as_refusal()) == (
        "60 members do not count, because they were not paid in campaign 3: a retry of it could pay them too."
    )
