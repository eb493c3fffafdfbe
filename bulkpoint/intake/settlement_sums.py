"""What a settlement file has, by class and campaign, as it is read: said to people before anything is changed."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from bulkpoint.intake.settlement_form import LineClass
from bulkpoint.intake.settlement_marks import Mark
from bulkpoint.rules.refusals import Refusal
from bulkpoint.text import quoted

DAYS_MAX = 366
MARK_CHARACTERS_SHOWN = 100


@dataclass
class Sums:
    """Lines and points by class. written: all points as the file has them, with its own signs."""

    lines: Counter[LineClass] = field(default_factory=Counter)
    points: Counter[LineClass] = field(default_factory=Counter)
    written: int = 0

    def add(self, line_class: LineClass, amount: int, *, negative: bool = False) -> None:
        self.lines[line_class] += 1
        self.points[line_class] += amount
        self.written += -amount if negative else amount

    def plus(self, other: "Sums") -> "Sums":
        """Both together."""
        return Sums(self.lines + other.lines, self.points + other.points, self.written + other.written)

    def without(self, other: "Sums") -> "Sums":
        """These but for the other, which they include."""
        return Sums(self.lines - other.lines, self.points - other.points, self.written - other.written)

    @property
    def net(self) -> int:
        """What was credited and not taken back."""
        return self.points[LineClass.CREDITED] - self.points[LineClass.REVERSED]

    def agree_with(self, numbers: Sequence[int]) -> bool:
        """Whether the figures of a trailer are those of all these lines.

        One alone is how many lines there are, or their points: the credits, these without what was taken back, or the
        amounts as they are written. Never those of the other classes: a few lines that were taken back would prove any
        small figure. Several may have the latter too, beside a number of lines and the points of all.
        """
        points = {self.points[LineClass.CREDITED], abs(self.net), abs(self.written)}
        if len(numbers) == 1:
            return numbers[0] in points or numbers[0] == self.lines.total()
        others, allowed = list(numbers), set(points)
        count = next((each for each in (self.lines.total(), self.lines[LineClass.CREDITED]) if each in others), None)
        if count is not None:
            others.remove(count)
            allowed |= {*self.lines.values(), *self.points.values()}
        return not points.isdisjoint(others) and allowed.issuperset(others)


@dataclass
class SettlementSums:
    """One file, when its lines have all been read.

    elsewhere: of lines that name another campaign or key. unread: lines of other campaigns whose
    amount could not be read. marks: rows that are no lines, each with whether its figures are those of the lines (None:
    it has none, or they cannot be compared).
    """

    elsewhere: Sums = field(default_factory=Sums)
    unread: int = 0
    marks: list[tuple[Mark, bool | None]] = field(default_factory=list)
    days: set[str] = field(default_factory=set)
    _before: Sums = field(default_factory=Sums)  # the last total: of a page, or of one of several files put together
    _since: Sums = field(default_factory=Sums)
    _day: str = ""  # of the line before

    @property
    def all(self) -> Sums:
        """Of every line so far."""
        return self._before.plus(self._since)

    @property
    def lines(self) -> int:
        """All lines of the file."""
        return self.all.lines.total() + self.unread

    @property
    def part(self) -> tuple[int, int] | None:
        """Which part of how many the file says that it is."""
        return next((mark.part for mark, _ in self.marks if mark.part is not None), None)

    @property
    def part_words(self) -> str | None:
        """The same as `1/2`."""
        return None if self.part is None else f"{self.part[0]}/{self.part[1]}"

    def add(self, line_class: LineClass, amount: int, *, ours: bool, negative: bool = False) -> None:
        """A line of the file; ours: it may be of the campaign. negative: its amount has a sign."""
        self._since.add(line_class, amount, negative=negative)
        if not ours:
            self.elsewhere.add(line_class, amount, negative=negative)

    def note(self, mark: Mark) -> bool | None:
        """Keep a row that is no line; whether its figures are those of the lines before it."""
        agrees: bool | None = None
        if mark.numbers and not self.unread:
            since = self._since.lines.total() > 0 and self._since.agree_with(mark.numbers)
            agrees = since or self.all.agree_with(mark.numbers)
            self._before, self._since = self.all, Sums()
        self.marks.append((mark, agrees))
        return agrees

    def note_day(self, text: str) -> None:
        """The day of a time in RFC 3339; anything else says nothing."""
        day = text[:10]
        if day == self._day:
            return
        self._day = day
        if len(self.days) < DAYS_MAX and len(day) == 10 and day[4] == day[7] == "-" and day.replace("-", "").isdigit():
            self.days.add(day)

    def described(self, file: str, campaign_id: int, *, proof: str | None, partial: bool) -> list[Refusal]:
        """For people: classes and sums, whose lines they are and by what, and each row that is no line."""
        said = [Refusal("SETTLEMENT_SUMS", {"file": file, "line_count": self.lines, "sums": tuple(_classes(self.all))})]
        if proof is not None:
            facts: dict[str, object] = {"campaign_id": campaign_id, "proof": proof}
            others, ours = self.elsewhere.lines.total() + self.unread, self.all.without(self.elsewhere)
            if others:
                facts |= {"line_count": ours.lines.total(), "other_line_count": others, "sums": tuple(_classes(ours))}
            said.append(Refusal("SETTLEMENT_OURS" if others else "SETTLEMENT_ALL_OURS", facts))
        for mark, agrees in self.marks:
            facts = {"row": mark.row, "text": quoted(mark.text, MARK_CHARACTERS_SHOWN)}
            if agrees is None:
                said.append(Refusal("MARK_NAMED", facts))
            else:
                said.append(Refusal("MARK_AGREES", facts) if agrees else Refusal("MARK_DIFFERS", facts))
        if len(self.days) > 1:
            days = sorted(self.days)
            said.append(Refusal("SETTLEMENT_DAYS", {"days": len(days), "first": days[0], "last": days[-1]}))
        if partial:
            said.append(Refusal("SETTLEMENT_PARTIAL", {"part": self.part_words or "--partial"}))
        return said


def _classes(sums: Sums) -> list[Refusal]:
    said = [
        Refusal(
            "LINES_OF_CLASS", {"line_class": each, "line_count": sums.lines[each], "point_count": sums.points[each]}
        )
        for each in LineClass
        if sums.lines[each] or each is LineClass.CREDITED
    ]
    if sums.lines[LineClass.CREDITED] and sums.lines[LineClass.REVERSED]:
        said.append(Refusal("LINES_NET", {"point_count": sums.net}))
    return said
