"""The limit's parts: integers whose sum is the limit."""

from hypothesis import given
from hypothesis import strategies as st

from bulkpoint.rules.shares import permits


@given(st.integers(0, 100_000), st.integers(1, 1000))
def test_the_shares_are_even_and_add_up_to_the_limit(tps: int, shares: int) -> None:
    parts = [permits(tps, shares, share) for share in range(shares)]
    assert sum(parts) == tps
    assert max(parts) - min(parts) <= 1


def test_fewer_permits_than_shares_leave_some_without() -> None:
    assert [permits(2, 4, share) for share in range(4)] == [1, 1, 0, 0]
