"""How tests count against the limit, with code of their own."""


def worst_second(stamps: list[float]) -> int:
    """The largest number of sends in any half-open sliding second."""
    stamps = sorted(stamps)
    worst = first = 0
    for last, at in enumerate(stamps):
        while stamps[first] <= at - 1.0:
            first += 1
        worst = max(worst, last - first + 1)
    return worst
