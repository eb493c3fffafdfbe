"""The result of a reconciliation: figures, and every payment or credit on which we and the money API do not agree."""

import json
from collections.abc import Iterable, Iterator
from typing import Self

from bulkpoint.errors import BulkpointError
from bulkpoint.rules.member_names import Eyes
from bulkpoint.store.reconcile import Difference, Kind
from bulkpoint.text import escaped
from bulkpoint.views.format import aligned
from bulkpoint.views.languages import phrase
from bulkpoint.views.sentences import error_fields
from bulkpoint.views.view import Screen, View

DIFFERENCES_SHOWN = 20
# What a settlement has besides this campaign's credits, and what is counted of it.
CLASSES = (
    ("elsewhere", "line"),
    ("unnamed", "line"),
    ("not_credited", "line"),
    ("reversed", "line"),
    ("taken_back", "payment"),
    ("other_part", "payment"),
)
HEADS = ("DIFFERENCE", "MEMBER", "WITH US", "AT MONEY")


class OursView(View):
    """A payment as we have it; amount in points."""

    state: str
    failure_kind: str | None
    amount: int
    transaction_id: str | None


class TheirsView(View):
    """What the money API has. credits, line: of a settlement: how many lines name the member, and one of them."""

    campaign_id: int | None
    member_id: str
    amount: int
    transaction_id: str | None
    credits: int
    line: int | None


class DifferenceView(View):
    """One payment, or one credit, on which we and the money API do not agree, or not yet."""

    difference: Kind
    member_id: str
    with_us: OursView | None
    at_money: TheirsView | None

    @classmethod
    def of(cls, difference: Difference, eyes: Eyes) -> Self:
        """The view of one difference, as somebody may see it."""
        kind, member_id, ours, theirs = difference
        if ours is not None:
            ours = ours._replace(transaction_id=eyes.optional(ours.transaction_id, member_id))
        if theirs is not None:
            transaction_id = eyes.optional(eyes.optional(theirs.transaction_id, member_id), theirs.member_id)
            theirs = theirs._replace(member_id=eyes.member(theirs.member_id), transaction_id=transaction_id)
        return cls.model_validate(
            {"difference": kind, "member_id": eyes.member(member_id), "with_us": ours, "at_money": theirs}
        )

    def as_row(self) -> tuple[str, ...]:
        """Its line of the table under HEADS."""
        ours = "-" if self.with_us is None else _ours(self.with_us)
        return (
            self.difference,
            escaped(self.member_id),
            ours,
            "-" if self.at_money is None else _theirs(self.at_money),
        )


class _Reconciled(View):
    """What both ways of reconciling have in common. There may be as many differences as payments."""

    campaign_id: int
    settlement: str | None
    difference_count: int
    difference_kinds: dict[Kind, int]
    differences: list[DifferenceView]

    def figures(self) -> str:
        """What was asked and found, in words."""
        raise NotImplementedError

    def words_of(self, kind: Kind) -> str:
        """What a kind of difference means."""
        return phrase("en", f"differences.{kind}")

    def as_json_pieces(self, differences: Iterable[str], error: BulkpointError | None = None) -> Iterator[str]:
        """The one JSON object, piece by piece; `differences` are all of them, as JSON."""
        head = self.model_dump(mode="json", exclude={"differences"})
        yield json.dumps(head, ensure_ascii=False)[:-1] + ', "differences": ['
        for number, difference in enumerate(differences):
            yield (", " if number else "") + difference
        end = "" if error is None else ", " + json.dumps(error_fields(error), ensure_ascii=False)[1:-1]
        yield f"]{end}}}\n"

    def as_text(self, screen: Screen) -> Iterator[str]:  # noqa: ARG002 (has no times)
        if self.difference_count:
            shown = self.differences[:DIFFERENCES_SHOWN]
            yield from aligned([HEADS, *(difference.as_row() for difference in shown)], left=HEADS)
            if self.difference_count > len(shown):
                yield f"... and {self.difference_count - len(shown):,} more: --json lists all of them"
            yield ""
            for kind, number in self.difference_kinds.items():
                yield f"{kind} {number:,}: {self.words_of(kind)}"
            yield ""
        plural = "" if self.difference_count == 1 else "s"
        yield f"campaign {self.campaign_id}: {self.figures()}; {self.difference_count:,} difference{plural}"


class LookedUpView(_Reconciled):
    """Payments that may have been credited were looked up; credited: found so, and SUCCESS now."""

    printed_by = ("reconcile",)

    looked_up: int
    credited: int
    not_credited: int
    unknown: int

    def figures(self) -> str:
        return (
            f"looked up {self.looked_up:,}, found credited {self.credited:,} (now SUCCESS),"
            f" not credited {self.not_credited:,}, still unknown {self.unknown:,}"
        )


class MarkView(View):
    """A row of a settlement that is no line of a member. agrees: its figures are the lines'; null: it has none."""

    row: int
    text: str
    agrees: bool | None


class SettlementView(View):
    """What a settlement file was read as, and has. sheet: of a workbook; delimiter: of a text.

    columns: our names to the file's. proof: those that say of which campaign a line is; null: it has none. lines,
    points: of all classes and all campaigns. part: `1/2`, where the file says so.
    """

    encoding: str
    delimiter: str
    sheet: str | None
    header_row: int
    columns: dict[str, str]
    proof: str | None
    lines: int
    points: int
    marks: list[MarkView]
    part: str | None


class ComparedView(_Reconciled):
    """Our payments were compared with a settlement's credits; credited: found so, and SUCCESS now.

    unknown: payments still in doubt. only_reported: the file does not say of which campaign its lines are, or it was a
    dry_run, so nothing was changed. not_credited: lines that say so (failed, or not yet); reversed: taken back;
    elsewhere: credits of other campaigns, by the file or by our own record; unnamed: of members whom the campaign does
    not have, in a file that does not say whose they are. Points are those of the lines. taken_back: SUCCESS payments
    that the file reverses. partial: the file is one part of several; other_part: SUCCESS payments that it lacks.
    """

    printed_by = ("reconcile",)

    payments: int
    credits: int
    credited: int
    unknown: int
    only_reported: bool
    dry_run: bool
    partial: bool
    not_credited_lines: int
    not_credited_points: int
    reversed_lines: int
    reversed_points: int
    elsewhere_lines: int
    elsewhere_points: int
    unnamed_lines: int
    unnamed_points: int
    taken_back_payments: int
    taken_back_points: int
    other_part_payments: int
    other_part_points: int
    file: SettlementView

    def figures(self) -> str:
        found = "nothing was changed" if self.only_reported else f"found credited {self.credited:,} (now SUCCESS)"
        sides = f"{self.payments:,} payments with {self.credits:,} credits"
        return f"compared {sides}, {found}, still unknown {self.unknown:,}"

    def words_of(self, kind: Kind) -> str:
        if self.dry_run and kind is Kind.NOT_SUCCESS:
            return phrase("en", "settlement_lines.would_be_success")
        return super().words_of(kind)

    def as_text(self, screen: Screen) -> Iterator[str]:
        lines = list(super().as_text(screen))
        for name, what in CLASSES:
            count, points = getattr(self, f"{name}_{what}s"), getattr(self, f"{name}_points")
            if count:
                words = phrase("en", f"settlement_lines.{name}")
                lines.insert(-1, f"{count:,} {what}{'' if count == 1 else 's'}, {points:,} points: {words}")
        yield from lines


def _ours(ours: OursView) -> str:
    words = [ours.state, ours.failure_kind, f"{ours.amount:,}", ours.transaction_id]
    return escaped(" ".join(word for word in words if word))


def _theirs(theirs: TheirsView) -> str:
    words = [f"{theirs.amount:,}", theirs.transaction_id]
    if theirs.campaign_id is not None:
        words += [f"(campaign {theirs.campaign_id}, member {theirs.member_id})"]
    if theirs.credits > 1:
        words += [f"({theirs.credits:,} lines from row {theirs.line:,})"]
    elif theirs.line is not None:
        words += [f"(row {theirs.line:,})"]
    return escaped(" ".join(word for word in words if word))
