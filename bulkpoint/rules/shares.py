"""The global limit divided into integer shares whose sum is exactly the limit."""


def permits(tps: int, shares: int, share: int) -> int:
    """Calls a second that share number `share` (from 0) may send; 0 while `tps` is smaller than its number asks."""
    assert tps >= 0
    assert 0 <= share < shares
    return tps // shares + (share < tps % shares)
