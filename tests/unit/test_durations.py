"""What a histogram of durations says."""

import pytest

from bulkpoint.rules.durations import DURATION_BOUNDS_S
from bulkpoint.rules.latency import quantile

NONE = [0] * (len(DURATION_BOUNDS_S) + 1)


def buckets(**calls: int) -> list[int]:
    """`buckets(b3=10)`: ten calls in bucket 3."""
    return [calls.get(f"b{place}", 0) for place in range(len(NONE))]


def quantile_s(counts: list[int], part: float) -> float | None:
    """Of a histogram with our bounds."""
    found = quantile(DURATION_BOUNDS_S, counts, part)
    return None if found is None else found.seconds


def test_without_a_call_there_is_no_quantile() -> None:
    assert quantile_s(NONE, 0.5) is None
    assert quantile_s([], 0.5) is None


def test_the_calls_of_a_bucket_are_taken_as_spread_evenly() -> None:
    assert quantile_s(buckets(b3=100), 0.5) == pytest.approx(0.0375), "between 25 and 50 ms"
    assert quantile_s(buckets(b0=90, b3=10), 0.5) == pytest.approx(0.005 * 50 / 90)
    assert quantile_s(buckets(b0=90, b3=10), 0.95) == pytest.approx(0.0375)


def test_all_calls_together_did_not_exceed_the_highest_bound_that_was_met() -> None:
    assert quantile_s(buckets(b0=1, b3=1), 1.0) == pytest.approx(0.05)


def test_what_took_longer_than_the_last_bound_is_given_as_that_bound() -> None:
    assert quantile_s(buckets(b15=5), 0.01) == DURATION_BOUNDS_S[-1]
    assert quantile_s(buckets(b0=1, b15=5), 0.99) == DURATION_BOUNDS_S[-1]


def test_the_bounds_ascend() -> None:
    assert sorted(set(DURATION_BOUNDS_S)) == list(DURATION_BOUNDS_S)
