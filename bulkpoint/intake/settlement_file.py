"""Reads the money API's settlement, a list with a line for each credit, as a stream; lines are counted from 1.

Columns, in any order: member_id, amount, transaction_id; and where the file has them campaign_id, idempotency_key and
status. A column that is not known is refused, since it may say that a line is no credit; it is mapped to one of ours,
or named as one that says nothing about that. Lines of other campaigns and of other keys are counted and left out.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

from bulkpoint.errors import RefusedError
from bulkpoint.files import name_of
from bulkpoint.intake.header import column_missing
from bulkpoint.intake.problems import Problems, shorten
from bulkpoint.intake.settlement_form import (
    CAMPAIGN,
    COLUMNS,
    KEY,
    OUR_COLUMNS,
    STATUS,
    STATUSES,
    LineClass,
    SettlementForm,
)
from bulkpoint.intake.settlement_marks import Mark, MarkKind, find_mark
from bulkpoint.intake.settlement_sums import SettlementSums
from bulkpoint.intake.settlement_table import Dialect, Table, open_table
from bulkpoint.rules.answers import TRANSACTION_ID_CHARACTERS_MAX, is_transaction_id
from bulkpoint.rules.findings import FileFindings, FindingName
from bulkpoint.rules.keys import idempotency_key
from bulkpoint.rules.refusals import Refusal
from bulkpoint.rules.targets import check_row

# Of the contract's own list, and without meaning for whether a line is a credit.
CREDITED_AT = "credited_at"
SAY_NOTHING = frozenset({"reason", CREDITED_AT})
CAMPAIGN_DIGITS_MAX = 19
# What a spreadsheet makes of a long number, or of a formula that fails.
_DAMAGED = re.compile(r"\d(?:[.,]\d+)?E\+\d+|#(?:REF!|N/A|NAME\?|VALUE!|NUM!|NULL!|DIV/0!)", re.IGNORECASE)
# A spreadsheet keeps 15 digits of a number. So many zeros after them, and no other digit, are no chance.
_DIGITS_KEPT, _ZEROS_MIN = 15, 4


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
    credited_at: int | None


class SettlementFile:
    """One file, read once, for one campaign, whose keys are made from `namespace`.

    sums: what it has, when lines() has ended. proof: by which of its columns a line is of this campaign, None without.
    dialect: what it is read as.
    """

    def __init__(self, path: Path, campaign_id: int, namespace: UUID, form: SettlementForm | None = None) -> None:
        self.name = name_of(path)
        self.sums = SettlementSums()
        self.proof: str | None = None
        self.dialect = Dialect()
        self._path = path
        self._campaign_id = campaign_id
        self._namespace = namespace
        self._form = form or SettlementForm()
        self._statuses = STATUSES | dict(self._form.statuses)
        self._problems = Problems()
        self._remarks: list[Refusal] = []
        self._digits_beyond = self._zeros_beyond = 0

    @property
    def partial(self) -> bool:
        """Whether it is one part of several, by a person's word or its own."""
        part = self.sums.part
        return self._form.partial or (part is not None and part[1] > 1)

    def lines(self) -> Iterator[SettlementLine]:
        """The lines that may be of the campaign.

        Raises RefusedError for a file that is no list, or has no lines; after the last line, naming the first 20 that
        are wrong, or a trailer whose figures are not those of the lines.
        """
        noticed = FileFindings()
        with open_table(self._path, self._form, self._problems, noticed) as table:
            yield from self._lines(table)
        self._take(noticed)
        if self._zeros_beyond >= _ZEROS_MIN and self._zeros_beyond == self._digits_beyond:
            raise RefusedError("TRANSACTIONS_CUT", "export_as_text", file=self.name, digits=_DIGITS_KEPT)
        if self._problems.count:
            raise RefusedError(_refusal(self._path, self._problems))
        if not self.sums.lines and not any(0 in mark.numbers for mark, _ in self.sums.marks):
            raise RefusedError("SETTLEMENT_WITHOUT_LINES", file=self.name)

    def described(self) -> list[Refusal]:
        """For people, when lines() has ended and before anything is changed: dialect, columns, sums."""
        sums = self.sums.described(self.name, self._campaign_id, proof=self.proof, partial=self.partial)
        return [*self.dialect.described(self.name), *self._remarks, *sums]

    def _lines(self, table: Table) -> Iterator[SettlementLine]:
        for record in table.records:
            self.sums.note(record)
        header, self.dialect = table.header, table.dialect
        places = self._places(header, table.dialect.header_row)
        for line, values in table.rows:
            mark = find_mark(
                line,
                values,
                width=len(header),
                transaction=places.transaction,
                member=places.member,
                campaign=places.campaign,
                status=places.status,
            )
            if mark is None and values[0].lstrip("\ufeff") == header[0] and values[1:] == header[1:]:
                mark = Mark(line, MarkKind.HEADER, "the header again", (), None)
            if mark is not None:
                self._note(mark)
            elif len(values) != len(header):
                self._problems.add(line, "", _describe_width(values, len(header)))
            elif (read := self._read(values, places, line)) is not None:
                yield read

    def _take(self, noticed: FileFindings) -> None:
        """A line that a quote hides may be a reversal: it refuses the file. Other findings are said."""
        for finding in noticed.found():
            if finding.name is FindingName.FIELD_OVER_LINES:
                for example in finding.examples:
                    rule = f"a field over several lines hides {example.value}, which reads like a row of its own."
                    self._problems.add(example.row or 0, "", rule)
            else:
                said = finding.as_refusal()
                self._remarks.append(Refusal(said.code, said.facts))

    def _places(self, header: list[str], row: int) -> _Places:
        form = self._form
        facts = {"file": self.name, "row": row, "columns": ",".join(COLUMNS)}
        ours = {name: form.file.name_of(name) for name in OUR_COLUMNS}
        for name in header:
            if header.count(name) > 1:
                raise RefusedError("COLUMN_TWICE", "at_least_these_columns", column=shorten(name), **facts)
        for name in (*COLUMNS, *form.file.columns):
            if ours[name] not in header:
                needed = [*COLUMNS, *(each for each in form.file.columns if each not in COLUMNS)]
                optional = [each for each in OUR_COLUMNS if each not in needed]
                raise column_missing(header, form.file, needed, optional, facts | {"ours": name})
        known = {*ours.values(), *form.ignored, *SAY_NOTHING}
        for name in header:
            if name not in known:
                raise RefusedError("COLUMN_NOT_KNOWN", "map_or_ignore_column", column=shorten(name) or '""', **facts)
        member, amount, transaction = (header.index(ours[name]) for name in COLUMNS)
        proving = [name for name in (CAMPAIGN, KEY) if ours[name] in header]
        self.proof = " and ".join(proving) or None
        place = {name: header.index(theirs) for name, theirs in ours.items() if theirs in header}
        times = header.index(CREDITED_AT) if CREDITED_AT in header and CREDITED_AT not in ours.values() else None
        campaign, key, status = (place.get(name) for name in (CAMPAIGN, KEY, STATUS))
        return _Places(member, amount, transaction, campaign, key, status, times)

    def _note(self, mark: Mark) -> None:
        """A total that is not that of the lines: the file was cut or changed, unless it is one part of several."""
        agrees = self.sums.note(mark)
        if agrees is False and not self.partial:
            numbers = " and ".join(f"{number:,}" for number in mark.numbers)
            rule = (
                f"{shorten(mark.text)} says {numbers}, which is not how many lines there are before it, nor their"
                " points: is the file cut? With --partial it is taken as one part of several."
            )
            self._problems.add(mark.row, "", rule)

    def _read(self, values: list[str], places: _Places, line: int) -> SettlementLine | None:
        """The line, if it may be of this campaign and nothing is wrong with it."""
        before = self._problems.count
        ours = self._is_ours(values, places, line)
        if self._problems.count > before:
            return None
        member_id, transaction_id = values[places.member], values[places.transaction]
        line_class = self._class_of(values, places, line, ours=ours)
        amount, negative = self._form.read_amount(values[places.amount])
        if negative and line_class != LineClass.NOT_CREDITED:
            line_class = LineClass.REVERSED
        if not ours:
            self._count_elsewhere(line_class, member_id, amount, negative=negative)
            return None
        for violation in check_row(member_id, amount, "a settlement has none"):
            self._problems.add(line, "", violation.sentence + self._help(violation.rule, values[places.amount]))
        self._check_ids(member_id, transaction_id, line, needed=line_class == LineClass.CREDITED)
        if self._problems.count > before:
            return None
        self.sums.add(line_class, int(amount), ours=True, negative=negative)
        if places.credited_at is not None:
            self.sums.note_day(values[places.credited_at])
        return SettlementLine(line, member_id, int(amount), transaction_id or None, line_class, self.proof is not None)

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

    def _count_elsewhere(self, line_class: LineClass, member_id: str, amount: str, *, negative: bool) -> None:
        """A line of another campaign counts in the sums, and is otherwise not looked at."""
        if check_row(member_id or "-", amount, "-"):
            self.sums.unread += 1
        else:
            self.sums.add(line_class, int(amount), ours=False, negative=negative)

    def _class_of(self, values: list[str], places: _Places, line: int, *, ours: bool) -> LineClass:
        if places.status is None:
            return LineClass.CREDITED
        text = values[places.status]
        found = self._statuses.get(text.strip().casefold())
        if found is None and ours:
            said = shorten(text) or "empty"
            rule = f"status is {said}: say what it means with --status {said}={'|'.join(LineClass)}."
            self._problems.add(line, STATUS, rule)
        return found or LineClass.NOT_CREDITED

    def _help(self, rule: str, amount: str) -> str:
        """Where an amount has separators: that their form can be named. It is never guessed."""
        proposed = self._form.amounts_proposed(amount) if rule == "amount_form" else None
        if proposed is not None:
            return f" Or say that all amounts are written so: --amounts {proposed}."
        return " Its form may be named with --amounts." if rule == "amount_form" and re.search("[.,]", amount) else ""

    def _check_ids(self, member_id: str, transaction_id: str, line: int, *, needed: bool) -> None:
        for column, text in (("member_id", member_id), ("transaction_id", transaction_id)):
            if ("+" in text or text.startswith("#")) and _DAMAGED.fullmatch(text):
                rule = f"{column} is {shorten(text)}: a spreadsheet has made that of it. Export the column as text."
                self._problems.add(line, column, rule)
        if (transaction_id or needed) and not is_transaction_id(transaction_id):
            what = shorten(transaction_id) or "empty"
            rule = f"transaction_id is {what}: it must have 1 to {TRANSACTION_ID_CHARACTERS_MAX} printable characters."
            self._problems.add(line, "transaction_id", rule)
        if len(transaction_id) > _DIGITS_KEPT and transaction_id.isdigit():
            beyond = transaction_id[_DIGITS_KEPT:]
            self._digits_beyond += len(beyond)
            self._zeros_beyond += beyond.count("0")


def _describe_width(values: Sequence[str], width: int) -> str:
    said = f"The row has {len(values)} values, the header {width}."
    return f"{said} Is there a separator inside a value? Put that value in quotes." if len(values) > width else said


def _refusal(path: Path, problems: Problems) -> Refusal:
    lines = problems.lines()
    if more := problems.unsaid():
        lines.append(Refusal("MORE_ERRORS", {"more": more}))
    return Refusal(
        "SETTLEMENT_FILE_WRONG", {"file": name_of(path), "error_count": problems.count, "lines": tuple(lines)}
    )
