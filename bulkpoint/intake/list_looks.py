"""What makes a list look wrong although none of its rows breaks a rule, found while it is read.

Rows are looked at in blocks: most checks are one look at a whole block, and only a block in which something may be
wrong is looked at row by row. Memory: 8 bytes for each id that has another form (likeness.py), else constant.
"""

from array import array
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from heapq import nlargest
from operator import attrgetter

from bulkpoint.rules.damage import begins_like_total, damage_of, may_be_damaged, names_total
from bulkpoint.rules.findings import FileFindings, FindingName, shown
from bulkpoint.rules.likeness import caseless, caseless_ascii, folded
from bulkpoint.rules.outliers import FOOTER_ROWS, OUTLIERS_MAX, AmountAt, find_outliers, is_sum_of_others
from bulkpoint.rules.refusals import Refusal
from bulkpoint.text import code_point, unseen

BLOCK_ROWS = 4_096
# The greatest amounts that are kept: one more for each row of a footer, which may turn out to be a total.
KEPT_MAX = OUTLIERS_MAX + 1 + FOOTER_ROWS
# Ids that may look alike and are compared in the second reading: a bound for the memory of a hostile file.
COMPARED_MAX = 100_000


class ListLooks:
    """Looks at the good rows of a list as they are read; what is found goes to `findings`.

    in_order: of a file, whose totals stand at its end; a table has no order.
    """

    def __init__(self, findings: FileFindings, *, in_order: bool = True) -> None:
        self._in_order = in_order
        self._findings = findings
        self._count = 0
        self._total = 0
        self._greatest: list[AmountAt] = []
        self._last: deque[AmountAt] = deque(maxlen=FOOTER_ROWS)
        self._other_forms = array("q")  # hash(caseless(id)) of each id that is written in another form than that

    def finish(self, hashes: "array[int]", read_again: Callable[[], Iterable[tuple[int | None, str]]]) -> None:
        """After the last row. hashes: hash(member_id) of every row; read_again: row and member_id of every row."""
        self._find_totals()
        self._find_outliers()
        if suspects := self._suspects(hashes):
            self._compare(suspects, read_again())

    def look_at(
        self, rows: Sequence[int | None], member_ids: Sequence[str], amounts: Sequence[int], reasons: Sequence[str] = ()
    ) -> None:
        """The next good rows, some thousands of them, by columns. rows: their numbers. reasons: looked at if given."""
        self._count += len(rows)
        self._total += sum(amounts)
        self._last.extend(map(AmountAt, amounts[-FOOTER_ROWS:], rows[-FOOTER_ROWS:], member_ids[-FOOTER_ROWS:]))
        if len(self._greatest) < KEPT_MAX or max(amounts) > self._greatest[-1].amount:
            self._keep_greatest(map(AmountAt, amounts, rows, member_ids))
        ids = "\n" + "\n".join(member_ids)
        small = ids.lower()
        if may_be_damaged(small):
            self._look_for_damage(rows, member_ids)
        if not ids.isascii():
            self._other_forms.extend(hash(key) for each in member_ids if (key := caseless(each)) != each)
        elif small != ids or "\n0" in ids:
            self._other_forms.extend(hash(key) for each in member_ids if (key := caseless_ascii(each)) != each)
        why = "".join(set(reasons))
        if not (why.isascii() or why.isprintable()):
            self._look_for_the_unseen(rows, reasons)

    def _keep_greatest(self, new: Iterable[AmountAt]) -> None:
        least = self._greatest[-1].amount if len(self._greatest) == KEPT_MAX else 0
        # A word for a total is a finding of its own.
        greater = [each for each in new if each.amount > least and not names_total(each.member_id)]
        self._greatest = nlargest(KEPT_MAX, [*self._greatest, *greater], key=attrgetter("amount"))

    def _look_for_damage(self, rows: Sequence[int | None], member_ids: Sequence[str]) -> None:
        for row, member_id in zip(rows, member_ids, strict=True):
            if damage := damage_of(member_id):
                self._findings.note(FindingName.SPREADSHEET_DAMAGE, row=row, value=member_id, why=Refusal(damage))
            elif names_total(member_id):
                self._findings.note(FindingName.TOTAL_ROW, row=row, value=member_id, why=Refusal("ID_IS_TOTAL_WORD"))

    def _look_for_the_unseen(self, rows: Sequence[int | None], reasons: Sequence[str]) -> None:
        for row, reason in zip(rows, reasons, strict=True):
            if character := unseen(reason):
                why = Refusal("HAS_UNSEEN_CHARACTER", {"character": code_point(character)})
                self._findings.note(FindingName.INVISIBLE_IN_REASON, row=row, value=reason, why=why)

    def _find_totals(self) -> None:
        """Totals at the end of the list; those that a word names wherever they stand were found on the way."""
        totals = set()
        first = self._count - len(self._last) + 1
        # The last rows that are also in the second half; of a table the greatest ones, whatever their place.
        last_rows = [each for place, each in enumerate(self._last, first) if 2 * place > self._count]
        for last in last_rows if self._in_order else self._greatest:
            if names_total(last.member_id):
                continue
            why = None
            if begins_like_total(last.member_id):
                why = Refusal("ID_IS_TOTAL_WORD")
            elif is_sum_of_others(last.amount, self._total, self._count):
                why = Refusal("IS_SUM_OF_OTHERS", {"points": last.amount})
            if why is not None:
                totals.add(last)
                self._findings.note(FindingName.TOTAL_ROW, row=last.row, value=last.member_id, why=why)
        self._greatest = [each for each in self._greatest if each not in totals]

    def _find_outliers(self) -> None:
        for each in (outliers := find_outliers(self._greatest, self._count)):
            next_one = self._greatest[len(outliers)].amount
            why = Refusal("IS_FAR_ABOVE", {"points": each.amount, "next_points": next_one})
            self._findings.note(FindingName.OUTLIER_AMOUNT, row=each.row, value=each.member_id, why=why)

    def _suspects(self, hashes: "array[int]") -> set[int]:
        """Hashes of the one form of ids that more than one id may have."""
        if not self._other_forms:
            return set()
        import numpy as np

        forms = np.sort(np.frombuffer(self._other_forms, dtype=np.int64))
        twice = forms[1:][forms[1:] == forms[:-1]]
        plain = np.sort(np.frombuffer(hashes, dtype=np.int64))
        at = np.minimum(np.searchsorted(plain, forms), len(plain) - 1)  # quick, as both are in order
        return set(np.concatenate((twice, forms[plain[at] == forms]))[:COMPARED_MAX].tolist())

    def _compare(self, suspects: set[int], rows: Iterable[tuple[int | None, str]]) -> None:
        """Read the ids again: those of the same form are alike, or differ in capital letters."""
        first: dict[str, dict[str, tuple[int | None, str]]] = {}
        for row, member_id in rows:
            key = caseless(member_id)
            if hash(key) not in suspects:
                continue
            forms = first.setdefault(key, {})
            form = folded(member_id)
            if form not in forms:
                if forms:
                    self._note_pair(FindingName.IDS_DIFFER_IN_CASE, row, member_id, next(iter(forms.values())))
                forms[form] = (row, member_id)
            elif member_id != forms[form][1]:
                self._note_pair(FindingName.LOOK_ALIKE_IDS, row, member_id, forms[form])

    def _note_pair(self, name: FindingName, row: int | None, member_id: str, other: tuple[int | None, str]) -> None:
        facts = {"other_row": other[0], "other": shown(other[1])}
        why = Refusal("LOOKS_LIKE_ID" if row is None else "LOOKS_LIKE_ROW", facts)
        self._findings.note(name, row=row, value=member_id, why=why)
