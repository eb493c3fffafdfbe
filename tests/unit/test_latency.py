"""Quantiles of a histogram: between the edges of a range, and never below or above it."""

import pytest

from bulkpoint.rules.latency import Quantile, quantile

EDGES_S = (0.01, 0.1, 1.0)


def test_calls_are_spread_evenly_inside_their_range() -> None:
    assert quantile(EDGES_S, [0, 100, 0, 0], 0.5) == pytest.approx((0.055, False))
    assert quantile(EDGES_S, [50, 50, 0, 0], 0.5) == pytest.approx((0.01, False)), "the end of the first range"
    assert quantile(EDGES_S, [50, 0, 50, 0], 0.75) == pytest.approx((0.55, False)), "an empty range is passed over"
    assert quantile(EDGES_S, [10, 0, 0, 0], 1.0) == pytest.approx((0.01, False))


def test_above_the_last_edge_nothing_more_is_known() -> None:
    assert quantile(EDGES_S, [1, 0, 0, 99], 0.5) == Quantile(1.0, is_above=True)
    assert quantile(EDGES_S, [99, 0, 0, 1], 0.5) == pytest.approx((0.01 * 50 / 99, False))


def test_without_a_call_there_is_none() -> None:
    assert quantile(EDGES_S, [0, 0, 0, 0], 0.5) is None
    assert quantile(EDGES_S, [], 0.5) is None
