"""How long calls took: a histogram with fixed bounds, as Prometheus has it, and what can be read from it."""

from collections.abc import Sequence

# Upper bounds in seconds; calls that took longer are in one more bucket. Close together where a money API usually
# answers, up to the longest timeout that a call may have. call_tally has histograms with these very bounds: who changes
# them writes a migration that empties their buckets.
DURATION_BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


def quantile_s(buckets: Sequence[int], share: float) -> float | None:
    """The duration that this share of the calls (0.99: of a hundred, 99) did not exceed; None where there is no call.

    buckets: calls of each bucket alone, one for each bound and one for all that took longer. Between two bounds the
    calls are taken as spread evenly; what is above the last bound is given as that bound: Prometheus'
    histogram_quantile.
    """
    wanted, lower_s = share * sum(buckets), 0.0
    if not any(buckets):
        return None
    for calls, bound_s in zip(buckets, DURATION_BOUNDS_S, strict=False):
        if calls and wanted <= calls:
            return lower_s + (bound_s - lower_s) * wanted / calls
        wanted, lower_s = wanted - calls, bound_s
    return DURATION_BOUNDS_S[-1]
