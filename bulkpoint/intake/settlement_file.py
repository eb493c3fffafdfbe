"""Reads the money API's settlement, a CSV file with a line for each credit, as a stream; lines are counted from 1.

Columns, in any order: member_id, amount, transaction_id; and where the file has them campaign_id, idempotency_key and
status. A column that is not known is refused, since it may say that a line is no credit; it is mapped to one of ours,
or named as one that says nothing about that. Lines of other campaigns and of other keys are skipped, unread.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import IO, NamedTuple
from uuid import UUID

from bulkpoint.errors import RefusedError, UsageError
from bulkpoint.intake.delimited import TextTable
from bulkpoint.intake.form import ListForm
from bulkpoint.intake.problems import Problems, shorten
from bulkpoint.intake.source import Kind, open_source
from bulkpoint.rules.answers import TRANSACTION_ID_CHARACTERS_MAX, is_transaction_id
from bulkpoint.rules.keys import idempotency_key
from bulkpoint.rules.refusals import Refusal
from bulkpoint.rules.targets import check_row

COLUMNS = ("member_id", "amount", "transaction_id")
CAMPAIGN, KEY, STATUS = "campaign_id", "idempotency_key", "status"
# Of the contract's own list, and without meaning for whether a line is a credit.
SAY_NOTHING = frozenset({"reason", "credited_at"})
CAMPAIGN_DIGITS_MAX = 19


class LineClass(StrEnum):
    """What a line says happened."""

    CREDITED = "credited"
    NOT_CREDITED = "not_credited"  # failed, refused, or not yet
    REVERSED = "reversed"  # taken back


# Words of a status column, in any case. Others are refused until a person maps them.
STATUSES = {
    **dict.fromkeys(("credited", "success", "succeeded", "paid", "completed"), LineClass.CREDITED),
    **dict.fromkeys(
        ("failed", "rejected", "declined", "cancelled", "canceled", "error", "pending", "in_progress"),
        LineClass.NOT_CREDITED,
    ),
    **dict.fromkeys(("reversed", "reversal", "returned", "refunded", "clawback"), LineClass.REVERSED),
}


@dataclass(frozen=True)
class SettlementForm:
    """How a file says what we need. columns: our name to the file's; ignored: the file's names that say nothing.

    statuses: words of its status column, in small letters, besides the known ones.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    ignored: frozenset[str] = frozenset()
    statuses: Mapping[str, LineClass] = field(default_factory=dict)

    def name_of(self, column: str) -> str:
        """The file's name of our column."""
        return self.columns.get(column, column)

    @classmethod
    def of_options(cls, columns: str | None, ignored: Sequence[str], statuses: Sequence[str]) -> "SettlementForm":
        """From --columns ours=theirs,..., --ignore-column and --status theirs=class; UsageError for another form."""
        ours = (*COLUMNS, CAMPAIGN, KEY, STATUS)
        mapped = dict(_pair(each, "--columns", ours, first=True) for each in columns.split(",")) if columns else {}
        words = dict(_pair(each, "--status", tuple(LineClass), first=False) for each in statuses)
        return cls(mapped, frozenset(ignored), {word.casefold(): LineClass(name) for word, name in words.items()})


class SettlementLine(NamedTuple):
    """One line of the file. amount in points, never negative: a negative one is a reversal.

    proven: the line itself says that it is of this campaign, by campaign_id or by our idempotency key.
    """

    line: int
    member_id: str
    amount: int
    transaction_id: str | None
    line_class: LineClass
    proven: bool


class _Places(NamedTuple):
    """Where each of our columns is; None: the file does not have it."""

    member: int
    amount: int
    transaction: int
    campaign: int | None
    key: int | None
    status: int | None


def read_settlement(
    path: Path, campaign_id: int, namespace: UUID, form: SettlementForm | None = None
) -> Iterator[SettlementLine]:
    """The lines of one campaign, whose keys are made from `namespace`.

    Raises RefusedError, after the last line, naming the first 20 bad ones.
    """
    if path.suffix.lower() != ".csv":
        raise UsageError("SETTLEMENT_NOT_CSV", file=str(path))
    problems = Problems()
    reader = _Reader(path, campaign_id, namespace, form or SettlementForm(), problems)
    with open_source(path, COLUMNS) as (stream, kind):
        if kind != Kind.TEXT:
            raise UsageError("SETTLEMENT_NOT_CSV", file=str(path))
        yield from reader.lines(stream)
    if problems.count:
        raise RefusedError(_refusal(path, problems))


class _Reader:
    """One file, read once."""

    def __init__(self, path: Path, campaign_id: int, namespace: UUID, form: SettlementForm, problems: Problems) -> None:
        self._path = path
        self._campaign_id = campaign_id
        self._namespace = namespace
        self._form = form
        self._problems = problems
        self._statuses = STATUSES | dict(form.statuses)

    def lines(self, stream: IO[bytes]) -> Iterator[SettlementLine]:
        form = ListForm(columns=self._form.columns)
        table = TextTable(self._path, stream, form, [form.name_of(name) for name in COLUMNS], self._problems)
        header = table.names()
        places = self._places(header)
        for line, values in table.rows():
            if len(values) != len(header):
                self._problems.add(line, "", f"The row has {len(values)} values, the header {len(header)}.")
            elif self._is_ours(values, places, line):
                read = self._read(values, places, line)
                if read is not None:
                    yield read

    def _places(self, header: list[str]) -> _Places:
        form, facts = self._form, {"file": self._path.name, "row": 1, "columns": ",".join(COLUMNS)}
        ours = {name: form.name_of(name) for name in (*COLUMNS, CAMPAIGN, KEY, STATUS)}
        for name in header:
            if header.count(name) > 1:
                raise RefusedError("COLUMN_TWICE", "at_least_these_columns", column=shorten(name), **facts)
        for name in (*COLUMNS, *form.columns):
            if ours[name] not in header:
                raise RefusedError("COLUMN_MISSING", "map_columns", column=shorten(ours[name]), **facts)
        known = {*ours.values(), *form.ignored, *SAY_NOTHING}
        for name in header:
            if name not in known:
                raise RefusedError("COLUMN_NOT_KNOWN", "map_or_ignore_column", column=shorten(name) or '""', **facts)
        found = [header.index(ours[name]) if ours[name] in header else None for name in (CAMPAIGN, KEY, STATUS)]
        member, amount, transaction = (header.index(ours[name]) for name in COLUMNS)
        return _Places(member, amount, transaction, *found)

    def _is_ours(self, values: list[str], places: _Places, line: int) -> bool:
        """Whether a line is of this campaign, as far as it says so."""
        if places.campaign is not None:
            text = values[places.campaign]
            if not (text.isascii() and text.isdigit() and len(text) <= CAMPAIGN_DIGITS_MAX):
                said = shorten(text) or "empty"
                self._problems.add(line, CAMPAIGN, f"campaign_id is {said}: it must be the number of a campaign.")
                return False
            if int(text) != self._campaign_id:
                return False
        if places.key is None:
            return True
        ours = idempotency_key(self._namespace, values[places.member])
        if values[places.key].strip().lower() == str(ours):
            return True
        if places.campaign is not None:
            rule = f"idempotency_key is {shorten(values[places.key]) or 'empty'}: it is not that of this member."
            self._problems.add(line, KEY, rule)
        return False

    def _read(self, values: list[str], places: _Places, line: int) -> SettlementLine | None:
        """The line, if nothing is wrong with it."""
        before = self._problems.count
        line_class = self._class_of(values, places, line)
        member_id, amount, transaction_id = values[places.member], values[places.amount], values[places.transaction]
        if amount.startswith("-"):
            amount = amount[1:]
            line_class = line_class if line_class == LineClass.NOT_CREDITED else LineClass.REVERSED
        for violation in check_row(member_id, amount, "a settlement has none"):
            self._problems.add(line, "", violation.sentence)
        if transaction_id or line_class == LineClass.CREDITED:
            self._check_transaction(transaction_id, line)
        if self._problems.count > before:
            return None
        proven = places.campaign is not None or places.key is not None
        return SettlementLine(line, member_id, int(amount), transaction_id or None, line_class, proven)

    def _class_of(self, values: list[str], places: _Places, line: int) -> LineClass:
        if places.status is None:
            return LineClass.CREDITED
        text = values[places.status]
        found = self._statuses.get(text.strip().casefold())
        if found is None:
            said = shorten(text) or "empty"
            rule = f"status is {said}: say what it means with --status {said}={'|'.join(LineClass)}."
            self._problems.add(line, STATUS, rule)
        return found or LineClass.NOT_CREDITED

    def _check_transaction(self, text: str, line: int) -> None:
        if not is_transaction_id(text):
            what = shorten(text) or "empty"
            rule = f"transaction_id is {what}: it must have 1 to {TRANSACTION_ID_CHARACTERS_MAX} printable characters."
            self._problems.add(line, "transaction_id", rule)


def _pair(text: str, option: str, allowed: Sequence[str], *, first: bool) -> tuple[str, str]:
    """`left=right`, of which the first or the second is one of ours."""
    left, sign, right = (part.strip() for part in text.partition("=")) if first else _last_sign(text)
    if not (sign and left and right and (left if first else right) in allowed):
        raise UsageError("MAPPING_WRONG", option=option, value=shorten(text) or '""', allowed=tuple(map(str, allowed)))
    return left, right


def _last_sign(text: str) -> tuple[str, str, str]:
    left, sign, right = text.rpartition("=")
    return left.strip(), sign, right.strip()


def _refusal(path: Path, problems: Problems) -> Refusal:
    lines = problems.lines()
    if problems.count > len(problems.first):
        lines.append(Refusal("MORE_ERRORS", {"more": problems.count - len(problems.first)}))
    return Refusal("SETTLEMENT_FILE_WRONG", {"file": path.name, "error_count": problems.count, "lines": tuple(lines)})
