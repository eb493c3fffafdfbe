"""Findings: what makes a list look wrong although no row breaks a rule. A person decides, and accepts it by its name.

A finding with money at stake refuses the list until then; the others are only shown. Which is which, with the reasons:
docs/lists.md, "Findings".
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from bulkpoint.rules.member_names import MASK, masked_value
from bulkpoint.rules.refusals import Refusal, pack, unpack
from bulkpoint.text import quoted

EXAMPLES_MAX = 5
_VALUE_CHARACTERS_MAX = 60


class FindingName(StrEnum):
    """Every finding there is: what people type after --accept. Its sentence is `parts.<name>` of the language files."""

    FIELD_OVER_LINES = "FIELD_OVER_LINES"
    LAST_LINE_CUT = "LAST_LINE_CUT"
    LOOK_ALIKE_IDS = "LOOK_ALIKE_IDS"
    IDS_DIFFER_IN_CASE = "IDS_DIFFER_IN_CASE"
    SPREADSHEET_DAMAGE = "SPREADSHEET_DAMAGE"
    TOTAL_ROW = "TOTAL_ROW"
    OUTLIER_AMOUNT = "OUTLIER_AMOUNT"
    NUMBERS_AS_IDS = "NUMBERS_AS_IDS"
    HIDDEN_ROWS = "HIDDEN_ROWS"
    INVISIBLE_IN_REASON = "INVISIBLE_IN_REASON"
    NEAR_COPY = "NEAR_COPY"
    MEMBERS_WAITING = "MEMBERS_WAITING"
    LIST_CHANGED = "LIST_CHANGED"


# Whether a list with this finding is refused until a person accepts it: true where a wrong member or a wrong amount
# would be paid if the finding is right.
AT_STAKE: Mapping[FindingName, bool] = {
    FindingName.FIELD_OVER_LINES: True,
    FindingName.LAST_LINE_CUT: True,
    FindingName.LOOK_ALIKE_IDS: True,
    FindingName.IDS_DIFFER_IN_CASE: False,
    FindingName.SPREADSHEET_DAMAGE: True,
    FindingName.TOTAL_ROW: True,
    FindingName.OUTLIER_AMOUNT: True,
    FindingName.NUMBERS_AS_IDS: False,
    FindingName.HIDDEN_ROWS: True,
    FindingName.INVISIBLE_IN_REASON: False,
    FindingName.NEAR_COPY: True,
    FindingName.MEMBERS_WAITING: False,
    FindingName.LIST_CHANGED: True,
}

# What helps where it is not --accept: an option of the command that refuses, and of another one.
_REMEDIES = {
    FindingName.NEAR_COPY: ("pay_again", "pay_again_by"),
    FindingName.LIST_CHANGED: ("find_change_or_accept", "find_change_or_accept_by"),
}
_ACCEPT = ("correct_or_accept", "correct_or_accept_by")
# Whose examples are whole lines of a file, and whose are no member ids: those of all others are.
_LINES = frozenset({FindingName.FIELD_OVER_LINES, FindingName.LAST_LINE_CUT})
_NO_MEMBERS = frozenset({FindingName.INVISIBLE_IN_REASON})


@dataclass(frozen=True, slots=True)
class Example:
    """One place of a finding. row: of the file, None for targets in the database. value: as shown, quoted, short."""

    row: int | None
    value: str
    why: Refusal


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding in one list. count: how often; examples: the first of them. facts: what else its sentence says.

    accepted_by: the person who accepted it for this very list; None if nobody has. members_hidden: whoever it is shown
    to may not see member ids; it is kept whole.
    """

    name: FindingName
    count: int
    examples: tuple[Example, ...]
    at_stake: bool
    facts: Mapping[str, Any] = field(default_factory=dict)
    accepted_by: str | None = None
    members_hidden: bool = False

    @classmethod
    def of(cls, name: FindingName, count: int, examples: Iterable[Example] = (), **facts: Any) -> "Finding":
        """The finding, with money at stake as the table says."""
        return cls(name, count, tuple(examples), AT_STAKE[name], facts)

    @property
    def refuses(self) -> bool:
        """Whether the list may not be paid because of it."""
        return self.at_stake and self.accepted_by is None

    @property
    def shown_examples(self) -> tuple[Example, ...]:
        """The examples as they may be shown."""
        if not self.members_hidden or self.name in _NO_MEMBERS:
            return self.examples
        return tuple(_without_member(each, whole=self.name in _LINES) for each in self.examples)

    def as_refusal(self, command: str | None = None) -> Refusal:
        """What is said about it, with the option to type where it refuses.

        command: the one that takes the option, `campaign start 3`, where another one says this.
        """
        facts = {"finding": str(self.name), "count": self.count, **self.facts}
        if command is not None:
            facts["command"] = command
        if self.examples:
            first = self.shown_examples[0]
            place = {"row": first.row, "value": first.value, "why": first.why}
            facts["first"] = Refusal("VALUE_FOUND" if first.row is None else "ROW_FOUND", place)
        remedies = (_REMEDIES.get(self.name, _ACCEPT)[command is not None],) if self.refuses else ()
        return Refusal(self.name, facts, remedies)


def hide_members(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The findings, to be shown to somebody who may not see member ids."""
    return tuple(replace(finding, members_hidden=True) for finding in findings)


def _without_member(example: Example, *, whole: bool) -> Example:
    """whole: nothing of the value may be shown, because nobody knows where in it the id is."""
    facts = {name: masked_value(fact) if name == "other" else fact for name, fact in example.why.facts.items()}
    value = f"'{MASK}'" if whole else masked_value(example.value)
    return replace(example, value=example.value and value, why=replace(example.why, facts=facts))


# Parts of a sentence that show an example, and its facts that are values of a list.
_EXAMPLES = frozenset({"VALUE_FOUND", "ROW_FOUND", "LOOKS_LIKE_ID", "LOOKS_LIKE_ROW"})


def refusal_without_members(refusal: Refusal) -> Refusal:
    """A refusal for what others read too, a log or a request that is kept: the examples of findings are masked."""

    def hide(name: str, fact: Any) -> Any:
        if isinstance(fact, Refusal):
            return refusal_without_members(fact)
        if isinstance(fact, (list, tuple)):
            return tuple(hide(name, each) for each in fact)
        is_value = refusal.code in _EXAMPLES and name in ("value", "other") and isinstance(fact, str)
        return masked_value(fact) if is_value else fact

    return replace(refusal, facts={name: hide(name, fact) for name, fact in refusal.facts.items()})


def refusing(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Those that refuse the list until a person accepts them."""
    return tuple(finding for finding in findings if finding.refuses)


def accept(findings: Iterable[Finding], names: Collection[str], actor: str) -> tuple[Finding, ...]:
    """The findings, with those of these names accepted by `actor`; what is accepted already stays as it is."""
    return tuple(
        replace(finding, accepted_by=actor) if finding.name in names and finding.accepted_by is None else finding
        for finding in findings
    )


def why_refused(findings: Iterable[Finding]) -> dict[str, Any]:
    """The facts of a refusal: the names, and a sentence for each, a line each."""
    refused = refusing(findings)
    return {
        "findings": tuple(str(finding.name) for finding in refused),
        "lines": tuple(finding.as_refusal() for finding in refused),
    }


def to_facts(finding: Finding) -> dict[str, Any]:
    """As the table campaign_finding keeps it (JSON); from_facts makes it again."""
    return {
        "count": finding.count,
        "examples": [[each.row, each.value, pack(each.why)] for each in finding.examples],
        "facts": {name: pack(fact) for name, fact in finding.facts.items()},
    }


def from_facts(name: FindingName, facts: Mapping[str, Any], *, at_stake: bool, accepted_by: str | None) -> Finding:
    """The finding of a row of the table."""
    examples = tuple(Example(row, value, unpack(why)) for row, value, why in facts["examples"])
    others = {key: unpack(fact) for key, fact in facts["facts"].items()}
    return Finding(name, facts["count"], examples, at_stake, others, accepted_by)


class FileFindings:
    """Collects what is found while a file is read: counts all of it, keeps the first few examples of each name."""

    def __init__(self) -> None:
        self._counts: dict[FindingName, int] = {}
        self._examples: dict[FindingName, list[Example]] = {}
        self._facts: dict[FindingName, dict[str, Any]] = {}

    def note(
        self, name: FindingName, *, why: Refusal, row: int | None = None, value: object = "", **facts: Any
    ) -> None:
        """Count one place. why: a code of `parts`, the rule in a few words. facts: of the finding as a whole."""
        self._counts[name] = self._counts.get(name, 0) + 1
        examples = self._examples.setdefault(name, [])
        if len(examples) < EXAMPLES_MAX:
            examples.append(Example(row, shown(value), why))
        if facts:
            self._facts.setdefault(name, {}).update(facts)

    def found(self) -> tuple[Finding, ...]:
        """Every finding so far, in the order of FindingName."""
        return tuple(
            Finding.of(name, self._counts[name], self._examples[name], **self._facts.get(name, {}))
            for name in FindingName
            if name in self._counts
        )


def shown(value: object) -> str:
    """A value as an example shows it."""
    return "" if value == "" else quoted(value if isinstance(value, str) else str(value), _VALUE_CHARACTERS_MAX)
