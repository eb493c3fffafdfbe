"""Amounts that are not like the others of their list: a total among members, a number far above all others."""

from collections.abc import Sequence
from dataclasses import dataclass

# An amount is far above all others when it is at least this many times the next lower one. Typing mistakes and columns
# that were mixed up (a phone number as the amount) are; the top of a heavy-tailed list is not: of a million amounts
# that are lognormal with sigma 2, the greatest is 100 times the second one in one list of 100,000.
FAR_ABOVE = 100
# More of them than these are a class of members of their own (prizes, VIPs), which somebody meant.
OUTLIERS_MAX = 3
ROWS_AN_OUTLIER = 1_000
# In a shorter list any amount may be far above the others.
OTHERS_MIN = 3
# A total stands at the end, with at most a few lines of a footer after it.
FOOTER_ROWS = 5


@dataclass(frozen=True, slots=True)
class AmountAt:
    """An amount in points, where it stands, and whose it is. row: None for targets in the database."""

    amount: int
    row: int | None
    member_id: str


def find_outliers(greatest: Sequence[AmountAt], count: int) -> tuple[AmountAt, ...]:
    """The few amounts far above all others, the greatest first; none in most lists.

    greatest: the OUTLIERS_MAX + 1 greatest amounts of a list of `count`, in descending order.
    """
    most = min(OUTLIERS_MAX, max(1, count // ROWS_AN_OUTLIER), count - OTHERS_MIN)
    for number in range(min(most, len(greatest) - 1), 0, -1):
        if greatest[number - 1].amount >= FAR_ABOVE * greatest[number].amount:
            return tuple(greatest[:number])
    return ()


def is_sum_of_others(amount: int, total: int, count: int) -> bool:
    """Whether one amount of a list is the sum of all others; in very short lists that is no wonder."""
    return count > OTHERS_MIN and 2 * amount == total
