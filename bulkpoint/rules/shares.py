"""The global limit divided into integer shares whose sum is exactly the limit."""

from bulkpoint.rules.invariants import invariant


def permits(tps: int, shares: int, share: int) -> int:
    """Calls a second that share number `share` (from 0) may send; 0 while `tps` is too small for it."""
    invariant(tps >= 0, f"a limit of {tps} calls a second")
    invariant(0 <= share < shares, f"share {share} of {shares}")
    return tps // shares + (share < tps % shares)
