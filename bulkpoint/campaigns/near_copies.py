"""How many members of a new list are in lists of the last 90 days: exactly for short lists, from samples for long ones.

Of each list that was seen the database keeps a sample: the members with the lowest hashes, all of a short list
(store/near_copy.py). Every sample is looked up in the new list, which is in memory as numbers; that finds every earlier
list of which the new one has a part. A list much longer than the new one has too few members of it in its sample, so
some of the new list's members are looked up there. What is found is then counted: an earlier list that is short is
read whole; in a long one the new list's members are looked up, all of a short list, 10,000 of a long one, the same in
each. The work is bounded by the number of lists, not by their length: docs/decisions/0015.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bulkpoint.intake.list_sketch import (
    HASHES,
    MEMBERS_MAX,
    ROWS_MAX,
    SAMPLE_MAX,
    ListSketch,
    bound_of,
    cut,
    hashes_of,
)
from bulkpoint.rules.copies import Comparison, ListSample, Overlap
from bulkpoint.rules.numbers import BIGINT_MAX
from bulkpoint.store import near_copy as store
from bulkpoint.store.connect import Connection
from bulkpoint.store.near_copy import EarlierList

if TYPE_CHECKING:
    from bulkpoint.intake.list_sketch import Amounts, Hashes

# Lists whose samples are looked up in one step: 2 MB of hashes.
BATCH_LISTS = 500
# An earlier list that is so many times as long as the new one has it in its sample by 64 members or more.
LONGER_MAX = SAMPLE_MAX // 64
# Look-ups of members in much longer lists, to find those that have any: 2 to 4 us each where the index is in memory.
PROBES_MAX = 200_000
PROBED_LISTS_MAX = 5_000
# Look-ups to count what is in common with long lists. Of a shorter new list, all members are looked up in each.
COUNTED_MAX = 200_000
COUNTED_OF_A_LIST_MIN = 2_000
# An earlier list of at most so many members is read whole where that is less work, so many rows in all.
READ_LIST_MAX = 20_000
READ_MAX = 200_000
# Campaigns in which payments that ended without a credit are looked for: a statement each, which opens one partition.
# The members of further ones all count as paid.
NOT_PAID_LOOKS_MAX = 100


def sketch_of_campaign(connection: Connection, campaign_id: int, count: int) -> ListSketch:
    """The sketch of a list that is in the database; one scan of its `count` targets."""
    import numpy as np

    rows, members = store.hash_targets(
        connection,
        campaign_id,
        below=_bytes_of(bound_of(count, ROWS_MAX)),
        members_below=_bytes_of(bound_of(count, MEMBERS_MAX)),
    )
    hashes, amounts = _columns(rows)
    order = np.argsort(hashes)
    hashes, amounts = hashes[order], amounts[order]
    return cut(count, hashes, amounts, dict(zip(hashes_of(members).tolist(), members, strict=True)))


def sample_of(sketch: ListSketch, digest: bytes, compared_in: str) -> ListSample:
    """What the database keeps of a list."""
    hashes, amounts = sketch.hashes[:SAMPLE_MAX], sketch.amounts[:SAMPLE_MAX]
    packed = hashes.astype(">u8").tobytes(), amounts.astype(">i8").tobytes()
    return ListSample(digest, sketch.count, *packed, compared_in)


def compare_list(
    connection: Connection, sketch: ListSketch, *, campaign_id: int | None, compared_in: str | None = None
) -> Comparison:
    """What a list has in common with those of the last 90 days that were started, or wait before it.

    campaign_id: None for a file, whose campaign would be the youngest. compared_in: only lists that an earlier
    comparison did not see.
    """
    comparer = _Comparer(connection, sketch)
    lists = store.earlier_lists(connection, BIGINT_MAX if campaign_id is None else campaign_id, compared_in=compared_in)
    for first in range(0, len(lists), BATCH_LISTS):
        comparer.look_up_samples(lists[first : first + BATCH_LISTS])
    comparer.look_into_long_lists()
    comparer.count_in_candidates()
    return comparer.result()


@dataclass(frozen=True, slots=True)
class _Candidate:
    """An earlier list that has members of the new one, how many by its sample or by look-ups, and with which amounts.

    of_sample: the share of its sample that the new list has; None for a list that is much longer. complete: its sample
    says of so many places, from the first, whether the list has them. hashes, places, amounts: what is in its sample
    and in the new list.
    """

    earlier: EarlierList
    both: float
    both_same: float
    of_sample: float | None = None
    complete: int = 0
    hashes: Any = None
    places: Any = None
    amounts: Any = None


class _Comparer:
    """One comparison. A place is that of a row in the sketch; marks are of places."""

    def __init__(self, connection: Connection, sketch: ListSketch) -> None:
        import numpy as np

        self._connection = connection
        self._sketch = sketch
        self._covered, self._same, self._waiting = (np.zeros(len(sketch.hashes), dtype=bool) for _ in range(3))
        self._overlaps: list[Overlap] = []
        self._candidates: list[_Candidate] = []
        self._longer: list[EarlierList] = []
        self._not_paid: dict[int, int] = {}
        self._looks_left = NOT_PAID_LOOKS_MAX
        # Marks are complete for so many places from the first: those that were looked up in every long list.
        self._counted = len(sketch.hashes)

    def look_up_samples(self, batch: Sequence[EarlierList]) -> None:
        """Look the samples of some lists up in the new one, all in one step."""
        import numpy as np

        longer_than = SAMPLE_MAX
        if self._sketch.count > COUNTED_OF_A_LIST_MIN:  # in a short list, one member in common counts
            longer_than = max(SAMPLE_MAX, LONGER_MAX * self._sketch.count)
        longer = {each for each in batch if each.target_count > longer_than}
        self._longer.extend(sorted(longer, reverse=True))
        sampled = store.sampled_hashes(self._connection, [each.campaign_id for each in batch if each not in longer])
        hashes = np.frombuffer(b"".join(sampled.values()), dtype=">u8").astype(np.uint64)
        places, found = self._places_of(hashes)
        ends = np.cumsum([len(each) // 8 for each in sampled.values()]).tolist()
        parts = dict(zip(sampled, map(slice, [0, *ends], ends), strict=False))
        touched = [each for each in batch if each not in longer and found[parts[each.campaign_id]].any()]
        ids = [each.campaign_id for each in touched]
        self._not_paid |= self._count_not_paid(ids)
        amounts_of = store.sampled_amounts(self._connection, ids) if ids else {}
        for earlier in touched:
            part = parts[earlier.campaign_id]
            in_both = found[part]
            amounts = np.frombuffer(amounts_of[earlier.campaign_id], dtype=">i8").astype(np.int64)
            if len(in_both) == earlier.target_count:
                self._count_whole(earlier, hashes[part][in_both], places[part][in_both], amounts[in_both])
            else:
                self._add_candidate(
                    earlier, hashes[part], hashes[part][in_both], places[part][in_both], amounts[in_both]
                )

    def look_into_long_lists(self) -> None:
        """Look some of the members up in lists that are much longer."""
        longer = self._longer[:PROBED_LISTS_MAX]
        if not longer:
            return
        members = self._sketch.members[: PROBES_MAX // len(longer)]
        ids = [earlier.campaign_id for earlier in longer]
        found = store.count_members_in(self._connection, ids, members)
        self._not_paid |= self._count_not_paid(list(found))
        for earlier in longer:
            if count := found.get(earlier.campaign_id):
                both = count / len(members) * self._sketch.count
                self._candidates.append(_Candidate(earlier, both, both))

    def count_in_candidates(self) -> None:
        """Count what long lists have in common with the new one, those with the most first, as far as the bounds go."""
        left = READ_MAX
        looked_up = []
        for candidate in sorted(self._candidates, key=lambda each: (-each.both, each.earlier.campaign_id)):
            length = candidate.earlier.target_count
            if self._sketch.count > MEMBERS_MAX and length <= min(READ_LIST_MAX, left):
                left -= length
                self._read_whole(candidate.earlier)
            elif self._sketch.count > MEMBERS_MAX <= candidate.complete:
                self._count_by_sample(candidate)
            else:
                looked_up.append(candidate)
        if not looked_up:
            return
        members = self._sketch.members[: max(COUNTED_OF_A_LIST_MIN, COUNTED_MAX // len(looked_up))]
        lists_max = COUNTED_MAX // len(members)
        if len(members) < self._sketch.count:
            self._counted = min(self._counted, len(members))
        for candidate in looked_up[:lists_max]:
            self._look_up(candidate, members)
        for candidate in looked_up[lists_max:]:
            self._estimate(candidate)

    def result(self) -> Comparison:
        """What was found."""
        figures = [
            float(marks[: self._counted].sum()) / self._counted * self._sketch.count
            for marks in (self._covered, self._same, self._waiting)
        ]
        covered, same, waiting = map(round, figures)
        about = self._counted < self._sketch.count
        return Comparison(self._sketch.count, covered, same, waiting, about, tuple(self._overlaps))

    def _places_of(self, hashes: "Hashes") -> Any:
        """Where each hash is in the sketch, and whether it is there."""
        import numpy as np

        ours = self._sketch.hashes
        places = np.minimum(np.searchsorted(ours, hashes), len(ours) - 1)
        return places, ours[places] == hashes

    def _count_not_paid(self, campaign_ids: Sequence[int]) -> dict[int, int]:
        return store.count_not_paid(self._connection, campaign_ids) if campaign_ids else {}

    def _may_look_for_not_paid(self, campaign_id: int) -> bool:
        """Whether members of a campaign were not paid, and there is a statement left to ask for them."""
        if campaign_id not in self._not_paid or not self._looks_left:
            return False
        self._looks_left -= 1
        return True

    def _add_candidate(
        self, earlier: EarlierList, sample: "Hashes", hashes: "Hashes", places: Any, amounts: "Amounts"
    ) -> None:
        import numpy as np

        comparable = len(sample)
        if self._sketch.bound < HASHES:
            comparable = int(np.searchsorted(sample, np.uint64(self._sketch.bound)))
        of_sample = len(places) / comparable
        both = of_sample * earlier.target_count
        same = float((self._sketch.amounts[places] == amounts).mean())
        complete = int(np.searchsorted(self._sketch.hashes, sample[-1], side="right"))
        candidate = _Candidate(earlier, both, both * same, of_sample, complete, hashes, places, amounts)
        self._candidates.append(candidate)

    def _read_whole(self, earlier: EarlierList) -> None:
        """Count with every row of an earlier list."""
        rows, _ = store.hash_targets(
            self._connection, earlier.campaign_id, below=_bytes_of(HASHES), members_below=_bytes_of(0)
        )
        hashes, amounts = _columns(rows)
        places, found = self._places_of(hashes)
        self._count_whole(earlier, hashes[found], places[found], amounts[found])

    def _count_whole(self, earlier: EarlierList, hashes: "Hashes", places: Any, amounts: "Amounts") -> None:
        """Count the rows that a whole list, and not a sample of it, has in common with the new one."""
        not_paid, failed_there = self._not_paid_of(earlier, hashes)
        same = self._mark(earlier, places, amounts, ~not_paid)
        of_all = HASHES / self._sketch.bound  # of a sketch that is not whole, so many times as many are in the list
        figures = (of_all * n for n in (int((~not_paid).sum()), same, int(not_paid.sum())))
        self._add(earlier, earlier.target_count - failed_there, *figures)

    def _count_by_sample(self, candidate: _Candidate) -> None:
        """Count with the sample, which has all members with the hashes of those whose ids are known here, and more."""
        earlier = candidate.earlier
        not_paid, failed_there = self._not_paid_of(earlier, candidate.hashes)
        same = self._mark(earlier, candidate.places, candidate.amounts, ~not_paid)
        self._counted = min(self._counted, candidate.complete)
        of_all = candidate.both / len(candidate.places)
        figures = (of_all * n for n in (int((~not_paid).sum()), same, int(not_paid.sum())))
        self._add(earlier, earlier.target_count - failed_there, *figures, about=True)

    def _not_paid_of(self, earlier: EarlierList, hashes: "Hashes") -> tuple[Any, int]:
        """Which of these members of a list that is not long were not paid, and how many of all of its members."""
        import numpy as np

        if not self._may_look_for_not_paid(earlier.campaign_id):
            return np.zeros(len(hashes), dtype=bool), 0
        failed = np.frombuffer(store.hash_not_paid(self._connection, earlier.campaign_id), dtype=">u8")
        return np.isin(hashes, failed.astype(np.uint64)), len(failed)

    def _look_up(self, candidate: _Candidate, members: Sequence[str]) -> None:
        """Count with the new list's members, those whose ids are given."""
        import numpy as np

        earlier, count = candidate.earlier, self._sketch.count
        rows = np.frombuffer(
            store.find_members_in(self._connection, earlier.campaign_id, members),
            dtype=[("place", ">i4"), ("amount", ">i8")],
        )
        places, amounts = rows["place"].astype(np.int64), rows["amount"].astype(np.int64)
        not_paid = np.zeros(len(places), dtype=bool)
        failed_there = 0
        if self._may_look_for_not_paid(earlier.campaign_id):
            asked = [members[place] for place in places.tolist()]
            failed = store.find_not_paid_among(self._connection, earlier.campaign_id, asked)
            not_paid[np.frombuffer(failed, dtype=">i4").astype(np.int64)] = True
            failed_there = self._not_paid[earlier.campaign_id]
        same = self._mark(earlier, places, amounts, ~not_paid)
        found = len(places)
        if not found:
            self._estimate(candidate)
            return
        both, of_both_same = found / len(members) * count, same / max(1, int((~not_paid).sum()))
        about = len(members) < count
        sampled = 0 if candidate.of_sample is None else _certainty(candidate.of_sample, SAMPLE_MAX)
        if about and sampled > _certainty(found / len(members), len(members)):
            both, of_both_same = candidate.both, candidate.both_same / candidate.both
        paid = float((~not_paid).sum()) / found * both
        self._add(earlier, earlier.target_count - failed_there, paid, of_both_same * paid, both - paid, about=about)

    def _estimate(self, candidate: _Candidate) -> None:
        """By the sample alone."""
        members = candidate.earlier.target_count
        self._add(candidate.earlier, members, candidate.both, candidate.both_same, 0, about=True)

    def _mark(self, earlier: EarlierList, places: Any, amounts: "Amounts", paid: Any) -> int:
        """Mark the members who are or may be paid there, and return how many have the same amount."""
        same = places[paid & (self._sketch.amounts[places] == amounts)]
        self._covered[places[paid]] = True
        self._same[same] = True
        if earlier.waiting:
            self._waiting[places[paid]] = True
        return len(same)

    def _add(
        self, earlier: EarlierList, members: int, shared: float, same: float, failed: float, *, about: bool = False
    ) -> None:
        in_both = min(round(shared), members, self._sketch.count)
        overlap = Overlap(
            earlier.campaign_id,
            earlier.waiting,
            members,
            in_both,
            min(round(same), in_both),
            min(round(failed), self._sketch.count),
            about or not self._sketch.is_whole,
        )
        self._overlaps.append(overlap)


def _certainty(share: float, sample: int) -> float:
    """The larger, the smaller is the relative error of a share that was found in a sample of so many members."""
    return share * sample / (1 - share + 1 / sample)


def _columns(rows: bytes) -> "tuple[Hashes, Amounts]":
    import numpy as np

    packed = np.frombuffer(rows, dtype=[("hash", ">u8"), ("amount", ">i8")])
    return packed["hash"].astype(np.uint64), packed["amount"].astype(np.int64)


def _bytes_of(bound: int) -> bytes:
    """A bound of hashes as the database compares it: byte by byte, 2^64 above all of them."""
    return bound.to_bytes(8, "big") if bound < HASHES else b"\xff" * 9
