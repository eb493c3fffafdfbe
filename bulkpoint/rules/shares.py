"""The global limit divided into integer shares whose sum is exactly the limit."""

from collections.abc import Sequence

from bulkpoint.rules.invariants import invariant


def permits(tps: int, shares: int, share: int) -> int:
    """Calls a second that share number `share` (from 0) may send; 0 while `tps` is too small for it."""
    invariant(tps >= 0, f"a limit of {tps} calls a second")
    invariant(0 <= share < shares, f"share {share} of {shares}")
    return tps // shares + (share < tps % shares)


def deal(sent_at: Sequence[float], permits_of: Sequence[int]) -> list[list[float]]:
    """Sends of the last second that left under several shares at once, dealt to their next holders.

    Each send goes to one of them, and none gets more than its permits: it would only wait, while another one sends in
    its stead. Sends beyond all permits (the limit was higher just now) mean that everyone gets all.
    """
    if len(sent_at) > sum(permits_of):
        return [list(sent_at) for _ in permits_of]
    dealt: list[list[float]] = [[] for _ in permits_of]
    for at in sent_at:
        emptiest = min(range(len(dealt)), key=lambda i: (len(dealt[i]) + 1) / permits_of[i] if permits_of[i] else 2.0)
        dealt[emptiest].append(at)
    return dealt
