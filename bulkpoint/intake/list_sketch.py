"""A list of targets as numbers: enough to compare it with any other list, in 16 bytes a row and at most 32 MB.

A member stands in it as a hash: the first 8 bytes of the SHA-256 of the member_id in UTF-8, which PostgreSQL computes
too (sql/queries/near_copy.sql). The lowest hashes of a list are a random sample of it, the same members in every list.
Two members of one list of 100 million have the same hash by a chance of 1 in 3,700.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from bulkpoint.rules.invariants import invariant

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Hashes = NDArray[np.uint64]
    Amounts = NDArray[np.int64]

HASHES = 2**64
# Rows that are kept as numbers; of a longer list those with the lowest hashes.
ROWS_MAX = 2_000_000
# Members whose ids are kept too, to look them up in other lists: all of a list that is no longer. From 10,000 members
# a share of 99 % is estimated to 0.1 %, one of 50 % to 0.5 %.
MEMBERS_MAX = 10_000
# Members of the sample that the database keeps of a list: all of a list that is no longer.
SAMPLE_MAX = 512
_BLOCK_ROWS = 16_384


@dataclass(frozen=True, slots=True)
class ListSketch:
    """A list of `count` targets. hashes: ascending, all of them below `bound`; amounts: of the same rows, in points.

    members: the ids of the first ones, all that are below the bound of members_bound(count).
    """

    count: int
    hashes: "Hashes"
    amounts: "Amounts"
    members: Sequence[str]

    @property
    def is_whole(self) -> bool:
        """Whether every row is in it."""
        return len(self.hashes) == self.count

    @property
    def bound(self) -> int:
        """Every member whose hash is below it is in the sketch."""
        return bound_of(self.count, ROWS_MAX)


class SketchMaker:
    """Makes the sketch of a list that is read row by row."""

    def __init__(self) -> None:
        self._count = 0
        self._block: list[str] = []
        self._block_amounts: list[int] = []
        self._hashes: list[Hashes] = []
        self._amounts: list[Amounts] = []
        self._kept = 0
        self._members: list[tuple[int, str]] = []
        self._members_below = HASHES

    def add(self, member_id: str, amount: int) -> None:
        """Add a row that breaks no rule."""
        self._block.append(member_id)
        self._block_amounts.append(amount)
        if len(self._block) == _BLOCK_ROWS:
            self._take()

    def sketch(self) -> ListSketch:
        """The sketch of all rows so far; of a member's rows, which a good list has once, one."""
        import numpy as np

        self._take()
        hashes, first = np.unique(np.concatenate(self._hashes), return_index=True)
        return cut(self._count, hashes, np.concatenate(self._amounts)[first], dict(self._members))

    def _take(self) -> None:
        import numpy as np

        self._count += len(self._block)
        hashes = hashes_of(self._block)
        amounts = np.array(self._block_amounts, dtype=np.int64)
        self._note_members(hashes)
        below = bound_of(self._count, ROWS_MAX)
        if below < HASHES:
            hashes, amounts = _below(hashes, amounts, below)
        self._hashes.append(hashes)
        self._amounts.append(amounts)
        self._kept += len(hashes)
        if self._kept > 2 * ROWS_MAX:
            hashes, amounts = _below(np.concatenate(self._hashes), np.concatenate(self._amounts), below)
            self._hashes, self._amounts, self._kept = [hashes], [amounts], len(hashes)
        self._block, self._block_amounts = [], []

    def _note_members(self, hashes: "Hashes") -> None:
        """Keep the ids with low hashes: at most twice as many as needed in the end."""
        import numpy as np

        places = list(range(len(hashes)))
        if self._members_below < HASHES:
            places = np.flatnonzero(hashes < np.uint64(self._members_below)).tolist()
        self._members.extend((int(hashes[place]), self._block[place]) for place in places)
        if len(self._members) > 2 * MEMBERS_MAX:
            self._members_below = bound_of(self._count, MEMBERS_MAX)
            self._members = [each for each in self._members if each[0] < self._members_below]


def hashes_of(members: Sequence[str]) -> "Hashes":
    """The hash of each member."""
    import numpy as np

    digests = b"".join([sha256(member.encode()).digest() for member in members])
    return np.frombuffer(digests, dtype=">u8")[::4].astype(np.uint64)


def bound_of(count: int, rows_max: int) -> int:
    """Of `count` random hashes about `rows_max` are below it; 2^64 where there are no more than that."""
    return HASHES if count <= rows_max else HASHES * rows_max // count


def cut(count: int, hashes: "Hashes", amounts: "Amounts", members: dict[int, str]) -> ListSketch:
    """The sketch of a list of `count` rows, from more of them than it keeps. hashes: ascending."""
    import numpy as np

    if (below := bound_of(count, ROWS_MAX)) < HASHES:
        end = int(np.searchsorted(hashes, np.uint64(below)))
        hashes, amounts = hashes[:end], amounts[:end]
    with_id = len(hashes)
    if (below := bound_of(count, MEMBERS_MAX)) < HASHES:
        with_id = int(np.searchsorted(hashes, np.uint64(below)))
    ids = [members.get(number) for number in hashes[:with_id].tolist()]
    invariant(None not in ids, "a member with a low hash has no id")
    return ListSketch(count, hashes, amounts, [each for each in ids if each is not None])


def _below(hashes: "Hashes", amounts: "Amounts", bound: int) -> "tuple[Hashes, Amounts]":
    import numpy as np

    kept: Any = hashes < np.uint64(bound)
    return hashes[kept], amounts[kept]
