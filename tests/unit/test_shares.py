"""The limit's parts: integers whose sum is the limit."""

from hypothesis import given
from hypothesis import strategies as st

from bulkpoint.rules.shares import deal, permits


@given(st.integers(0, 100_000), st.integers(1, 1000))
def test_the_shares_are_even_and_add_up_to_the_limit(tps: int, shares: int) -> None:
    parts = [permits(tps, shares, share) for share in range(shares)]
    assert sum(parts) == tps
    assert max(parts) - min(parts) <= 1


def test_fewer_permits_than_shares_leave_some_without() -> None:
    assert [permits(2, 4, share) for share in range(4)] == [1, 1, 0, 0]


@given(st.lists(st.integers(0, 20), min_size=1, max_size=5), st.integers(0, 120))
def test_sends_of_several_shares_are_dealt_each_once_and_to_none_more_than_it_may_send(
    permits_of: list[int], sends: int
) -> None:
    sent_at = [float(number) for number in range(sends)]
    dealt = deal(sent_at, permits_of)
    if sends > sum(permits_of):
        assert dealt == [sent_at] * len(permits_of), "the limit was higher just now: all of them wait"
        return
    assert sorted(at for each in dealt for at in each) == sent_at
    assert all(len(each) <= permit for each, permit in zip(dealt, permits_of, strict=True))
