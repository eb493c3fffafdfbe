"""How a settlement file says what we need: the form of any list, and what its columns, words and amounts mean."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from bulkpoint.errors import UsageError
from bulkpoint.intake.form import PLAIN_FORM, ListForm
from bulkpoint.intake.problems import shorten

COLUMNS = ("member_id", "amount", "transaction_id")
CAMPAIGN, KEY, STATUS = "campaign_id", "idempotency_key", "status"
OUR_COLUMNS = (*COLUMNS, CAMPAIGN, KEY, STATUS)


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

# How a file writes a thousand points, and what it may then write; only zeros after a decimal sign are points.
PLAIN_AMOUNTS = "1000"
_AMOUNTS = {
    PLAIN_AMOUNTS: re.compile(r"\d+"),
    "1,000": re.compile(r"\d{1,3}(?:,\d{3})*"),
    "1.000": re.compile(r"\d{1,3}(?:\.\d{3})*"),
    "1000.00": re.compile(r"\d+(?:\.0{1,2})?"),
    "1000,00": re.compile(r"\d+(?:,0{1,2})?"),
    "1,000.00": re.compile(r"\d{1,3}(?:,\d{3})*(?:\.0{1,2})?"),
    "1.000,00": re.compile(r"\d{1,3}(?:\.\d{3})*(?:,0{1,2})?"),
}
AMOUNT_FORMS = tuple(_AMOUNTS)
# A minus sign before or after, brackets, or the triangles of Korean and Japanese accounts.
_NEGATIVE = re.compile(r"[-\u2212△▲]\s*(.+)|\(\s*(.+?)\s*\)|(.+?)\s*[-\u2212]", re.DOTALL)


@dataclass(frozen=True)
class SettlementForm:
    """How a file says what we need. file: encoding, delimiter, columns, sheet. ignored: columns that say nothing.

    statuses: words of its status column, in small letters, besides the known ones. amounts: one of AMOUNT_FORMS.
    partial: it is one part of several, so what it does not list is not "not credited".
    """

    file: ListForm = PLAIN_FORM
    ignored: frozenset[str] = frozenset()
    statuses: Mapping[str, LineClass] = field(default_factory=dict)
    amounts: str = PLAIN_AMOUNTS
    partial: bool = False

    @classmethod
    def of_options(
        cls,
        columns: str | None,
        ignored: Sequence[str],
        statuses: Sequence[str],
        *,
        encoding: str | None = None,
        delimiter: str | None = None,
        sheet: str | None = None,
        amounts: str | None = None,
        partial: bool = False,
    ) -> "SettlementForm":
        """From --columns ours=theirs,..., --ignore-column, --status theirs=class and the rest.

        Raises UsageError for another form.
        """
        file = ListForm.of_options(
            ours=OUR_COLUMNS, encoding=encoding, delimiter=delimiter, columns=columns, sheet=sheet
        )
        words = {word.casefold(): found for word, found in map(_status, statuses)}
        return cls(file, frozenset(ignored), words, amounts or PLAIN_AMOUNTS, partial)

    def read_amount(self, text: str) -> tuple[str, bool]:
        """The digits of an amount, and whether it is negative; in another form than this one, as it stands."""
        if text.isdigit():  # as nearly all are
            return text, False
        negative = _NEGATIVE.fullmatch(text)
        rest = next(filter(None, negative.groups())) if negative else text
        return self._digits(rest) or rest, negative is not None

    def amounts_proposed(self, text: str) -> str | None:
        """The plainest value of --amounts with which this amount could be read; None where there is none."""
        negative = _NEGATIVE.fullmatch(text)
        rest = next(filter(None, negative.groups())) if negative else text
        return next((name for name, form in _AMOUNTS.items() if form.fullmatch(rest)), None)

    def _digits(self, text: str) -> str | None:
        if self.amounts == PLAIN_AMOUNTS or not _AMOUNTS[self.amounts].fullmatch(text):
            return None
        decimal = self.amounts[-3] if self.amounts.endswith("00") and self.amounts[-3] in ".," else None
        whole = text.partition(decimal)[0] if decimal else text
        return whole.replace(",", "").replace(".", "")


def _status(text: str) -> tuple[str, LineClass]:
    """`word=class`; the word may have a `=` in it."""
    word, sign, name = (part.strip() for part in text.rpartition("="))
    if not (sign and word and name in tuple(LineClass)):
        allowed = tuple(map(str, LineClass))
        raise UsageError("MAPPING_WRONG", option="--status", value=shorten(text) or '""', allowed=allowed)
    return word, LineClass(name)
