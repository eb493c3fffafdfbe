"""How long most calls took, from how many fell into each range: a histogram keeps no single call."""

from collections.abc import Sequence
from typing import NamedTuple


class Quantile(NamedTuple):
    """Seconds within which a part of the calls was answered. is_above: it is more than that, by how much is unknown."""

    seconds: float
    is_above: bool = False


def quantile(edges_s: Sequence[float], counts: Sequence[int], part: float) -> Quantile | None:
    """The time within which `part` (0 to 1) of the calls was answered; None where there is no call.

    counts: of each range, which ends at the edge of the same place; one more is of what took longer than the last edge.
    Calls are taken to be spread evenly inside a range, as Prometheus' histogram_quantile does it.
    """
    total = sum(counts)
    if total <= 0:
        return None
    wanted, before, begin_s = part * total, 0, 0.0
    for end_s, count in zip(edges_s, counts, strict=False):
        if count and before + count >= wanted:
            return Quantile(begin_s + (end_s - begin_s) * max(0.0, wanted - before) / count)
        before, begin_s = before + count, end_s
    return Quantile(edges_s[-1], is_above=True)
