"""Rows of a settlement file that are no lines of members: totals, trailers, header records, comments, "part 1 of 2".

A row is one only where it cannot be a member's: it names neither transaction nor status, has another number of values,
begins with the name of a record (TRL, HDR), or says nothing but "part 1 of 2". Its figures are compared with the lines
before it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class MarkKind(StrEnum):
    """What such a row is."""

    TOTAL = "total"  # or subtotal, count, trailer: with the figures of the lines, or of those since the last one
    HEADER = "header"  # a record before the lines; its figures are dates and numbers of files
    COMMENT = "comment"


_WORDS = {
    **dict.fromkeys(
        (
            "total", "totals", "sum", "summary", "grand", "count", "records", "trl", "trlr", "trailer", "tlr", "ftr",
            "footer", "eof", "end", "subtotal", "sub", "sub-total",
            "합계", "총계", "총합계", "총합", "합", "계", "소계", "누계", "총액", "총금액", "총건수",
            "건수", "총", "전체",
        ),
        MarkKind.TOTAL,
    ),
    **dict.fromkeys(("hdr", "hdrr", "header", "fhdr", "bof", "file"), MarkKind.HEADER),
}  # fmt: skip
# No member is called so: such a row is a record whatever its values are.
_RECORDS = frozenset({"trl", "trlr", "trailer", "tlr", "ftr", "footer", "eof", "hdr", "hdrr", "header", "fhdr", "bof"})
_NO_TRANSACTION = frozenset({"", "-", "--", "—", "n/a", "na", "null", "none"})
_NUMBER = re.compile(r"[-(\u2212△▲]?\d[\d,]*(?:\.0+)?\)?")
_DATE = re.compile(r"(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:\d{4}|\d{6})?")
_PART = re.compile(
    r"\b(?:part|page|file|파트|분할)\s*(\d{1,4})\s*(?:of|/)\s*(\d{1,4})|(\d{1,4})\s*/\s*(\d{1,4})\s*(?:부|파트|parts?)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Mark:
    """One such row. numbers: its figures, without signs; dates are left out. part: of so many, where it says so."""

    row: int
    kind: MarkKind
    text: str
    numbers: tuple[int, ...]
    part: tuple[int, int] | None


def find_mark(
    row: int,
    values: Sequence[str],
    *,
    width: int,
    transaction: int,
    member: int,
    campaign: int | None = None,
    status: int | None = None,
) -> Mark | None:
    """The mark that a row is; None: it is a line of a member, good or bad. width: of the header; the others: places.

    campaign: its number is no figure of the lines. status: only a line has one.
    """
    named = len(values) == width and (
        values[transaction].strip().casefold() not in _NO_TRANSACTION
        or (status is not None and values[status].strip() != "")
    )
    is_record = values[0].casefold() in _RECORDS
    if named and not is_record and values[member].strip():  # as nearly all are
        return None
    filled = [value.strip() for value in values if value.strip()]
    in_member = values[member].strip() if len(values) == width else ""
    kind = None
    if is_record or not named:
        kind = _kind_of(in_member) or _kind_of(filled[0])
    if kind is None and (len(filled) == 1 or (not named and len(values) == width)):
        kind = _kind_by_part(filled, in_member)
    if kind is None:
        return None
    if kind is MarkKind.TOTAL and campaign is not None and len(values) == width and _says_whose(values[campaign]):
        filled = [value.strip() for at, value in enumerate(values) if at != campaign and value.strip()]
    return _mark(row, kind, filled)


def find_record(row: int, line: str, delimiters: str = ",;\t|") -> Mark | None:
    """The same for a line before the header, where delimiter and columns are not known yet."""
    filled = [value.strip().strip('"') for value in re.split(f"[{re.escape(delimiters)}]", line) if value.strip()]
    kind = _kind_of(filled[0]) if filled else None
    if kind is None and len(filled) == 1 and _part_of(filled[0]) is not None:
        kind = MarkKind.COMMENT
    return _mark(row, kind, filled) if kind in (MarkKind.HEADER, MarkKind.COMMENT) else None


def _kind_of(value: str) -> MarkKind | None:
    if value.startswith("#"):
        return MarkKind.COMMENT
    words = re.split(r"[\s:=()\[\]{}]+", value.casefold().strip("*:=[](){}<> "))
    return _WORDS.get(words[0]) if words else None


def _says_whose(campaign: str) -> bool:
    """Whether the cell is a campaign's number, and no word of the row itself."""
    return _kind_of(campaign) is None and _part_of(campaign) is None


def _kind_by_part(filled: Sequence[str], in_member: str) -> MarkKind | None:
    """Of a row with "part 1 of 2" in any cell, and no member: a trailer where it has figures too."""
    others = [value for value in filled if _part_of(value) is None]
    if len(others) == len(filled) or in_member in others:
        return None
    return MarkKind.TOTAL if any(_NUMBER.fullmatch(value) for value in others) else MarkKind.COMMENT


def _mark(row: int, kind: MarkKind, filled: Sequence[str]) -> Mark:
    text = " ".join(filled)
    part = _part_of(text)
    numbers: list[int] = []
    if kind is MarkKind.TOTAL:
        for value in filled:
            for found in _NUMBER.findall(_PART.sub(" ", value)):
                digits = re.sub(r"\.0+$|[^\d.]", "", re.sub(r"\.0+\)?$", "", found))
                if digits and not _DATE.fullmatch(digits):
                    numbers.append(int(digits))
    return Mark(row, kind, text, tuple(numbers), part)


def _part_of(text: str) -> tuple[int, int] | None:
    found = _PART.search(text)
    if found is None:
        return None
    number, of = (int(group) for group in found.groups() if group is not None)
    return (number, of) if 1 <= number <= of else None
