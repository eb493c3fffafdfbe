"""The header of a list: where our columns are in it, and what to do if they are not there."""

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from unicodedata import normalize

from bulkpoint.errors import RefusedError
from bulkpoint.intake.form import ListForm
from bulkpoint.rules.targets import LIST_HEADERS
from bulkpoint.text import quoted

NAMES_SHOWN = 12
NAME_CHARACTERS_SHOWN = 40
TITLE_ROWS_MAX = 10  # a header may stand below a title, as far as this row
# What people call our columns, written as _key does it. A name is only proposed, never taken.
_OTHER_NAMES: Mapping[str, tuple[str, ...]] = {
    "member_id": (
        "memberid", "member", "memberno", "membernumber", "memberkey", "userid", "user", "customerid", "customer",
        "custid", "accountid", "id", "회원번호", "회원id",
        "회원아이디", "회원", "고객번호", "고객id", "아이디", "사용자id",
    ),
    "amount": (
        "amount", "amt", "points", "point", "value", "pointamount", "금액", "포인트", "지급액", "지급금액",
        "지급포인트", "적립금", "적립금액", "적립포인트", "point금액", "수량",
    ),
    "reason": (
        "reason", "why", "memo", "note", "comment", "description", "사유", "지급사유", "적립사유", "이유", "비고",
        "내용", "메모", "적요",
    ),
    "transaction_id": (
        "transactionid", "transaction", "txid", "txno", "거래번호", "거래id", "승인번호",
    ),
    "campaign_id": (
        "campaignid", "campaign", "campaignno", "campaignnumber", "캠페인", "캠페인번호", "캠페인id",
    ),
    "idempotency_key": ("idempotencykey", "멱등키", "요청키"),
    "status": ("status", "state", "상태", "처리상태", "거래상태", "지급상태", "처리결과", "결과"),
}  # fmt: skip


def place_columns(
    file: str,
    row: int,
    header: Sequence[str],
    form: ListForm,
    ours: Sequence[str],
    *,
    below: Iterable[tuple[int, Sequence[str]]] = (),
) -> list[int]:
    """Where each of our columns is in the header of `file`, which stands in `row`; it may have no other column.

    below: the next rows with their numbers, which are looked at where this is no header. Raises RefusedError that shows
    the header as it is.
    """
    # The same letters may be composed or not (macOS writes the latter); nobody sees the difference.
    header = [normalize("NFC", name) for name in header]
    for given in LIST_HEADERS.values():  # of a list that we gave out to be filled in
        if not form.columns and tuple(ours) == LIST_HEADERS["en"] and sorted(header) == sorted(given):
            return [header.index(name) for name in given]
    theirs = [normalize("NFC", form.name_of(name)) for name in ours]
    facts = {"file": file, "row": row, "columns": ",".join(ours), "header": shown_header(header)}
    missing = [name for name in theirs if name not in header]
    if missing:
        facts["column"] = shown_name(missing[0])
        mapped = _mapping_of(header, form, ours)
        if mapped is None:
            _look_below(below, form, ours, facts)
        raise _missing(header, theirs, ours, mapped, facts)
    for name in theirs:
        if header.count(name) > 1:
            raise RefusedError("COLUMN_TWICE", "columns_or_map", column=shown_name(name), **facts)
    others = [name for name in header if name not in theirs]
    if others:
        shown = shown_header(others)
        raise RefusedError("COLUMN_NOT_OURS", "remove_columns", column=shown_name(others[0]), others=shown, **facts)
    return [header.index(name) for name in theirs]


def column_missing(
    header: Sequence[str], form: ListForm, needed: Sequence[str], optional: Sequence[str], facts: Mapping[str, Any]
) -> RefusedError:
    """The refusal of a header that may have other columns too, and lacks one that is needed. optional: of ours.

    facts: `ours`, the missing column; what the sentences have of the file.
    """
    theirs = [form.name_of(name) for name in needed]
    facts = {**facts, "column": shown_name(form.name_of(facts["ours"])), "header": shown_header(header)}
    return _missing(header, theirs, needed, _mapping_of(header, form, needed, optional), facts, only=False)


def _look_below(
    below: Iterable[tuple[int, Sequence[str]]], form: ListForm, ours: Sequence[str], facts: Mapping[str, Any]
) -> None:
    """Raise RefusedError where one of these rows looks like the header, so that what is above it is a title."""
    for row, composed in below:
        names = [normalize("NFC", name) for name in composed]
        mapped = _mapping_of(names, form, ours)
        if mapped is not None:
            found = {**facts, "header_row": row, "header": shown_header(names)}
            if mapped == dict(form.columns):
                raise RefusedError("COLUMN_MISSING", "delete_rows_above", **found)
            raise RefusedError(
                "COLUMN_MISSING", "delete_rows_above", "then_columns", proposed=_option_of(mapped), **found
            )


def _missing(
    header: Sequence[str],
    theirs: Sequence[str],
    ours: Sequence[str],
    mapped: Mapping[str, str] | None,
    facts: Mapping[str, Any],
    *,
    only: bool = True,
) -> RefusedError:
    """The refusal of a header without one of our columns, with what would help. mapped: as _mapping_of gives it.

    only: whether it may have no other column.
    """
    if not set(theirs) & set(header) and _looks_like_data(header):
        return RefusedError("HEADER_MISSING", "put_header", **facts)
    if len(header) == 1 and (found := _delimiter_of(header[0], theirs)):
        return RefusedError("COLUMN_MISSING", "name_delimiter_found", delimiter=shlex.quote(found), **facts)
    if mapped is None and not only:
        return RefusedError("COLUMN_MISSING", "map_columns", **facts)
    if mapped is None:
        return RefusedError("COLUMN_MISSING", "columns_or_map", **facts)
    proposed = _option_of(mapped)
    taken = {normalize("NFC", mapped.get(name, name)) for name in ours}
    others = [name for name in header if name not in taken]
    if others and only:
        shown = shown_header(others)
        return RefusedError(
            "COLUMN_MISSING", "columns_proposed", "remove_others_too", proposed=proposed, others=shown, **facts
        )
    return RefusedError("COLUMN_MISSING", "columns_proposed", proposed=proposed, **facts)


def _mapping_of(
    header: Sequence[str], form: ListForm, ours: Sequence[str], optional: Sequence[str] = ()
) -> dict[str, str] | None:
    """The columns with which this header would do, if each missing one has exactly one name that is near ours.

    optional: columns that a file may have; one without exactly one near name is left out.
    """
    mapped = dict(form.columns)
    for name in (*ours, *optional):
        if form.name_of(name) in header:
            continue
        near = [theirs for theirs in header if _key(theirs) in (_key(name), *_OTHER_NAMES.get(name, ()))]
        near = [theirs for theirs in near if theirs not in mapped.values()]
        # A name with a comma, or with what cannot be seen, cannot be typed.
        if len(near) != 1 or near[0] != near[0].strip() or shown_name(near[0]) != f"'{near[0]}'" or "," in near[0]:
            if name in ours:
                return None
            continue
        mapped[name] = near[0]
    return mapped


def _option_of(mapped: Mapping[str, str]) -> str:
    """The value of --columns, quoted for a shell where it needs that."""
    said = ",".join(f"{our}={their}" for our, their in mapped.items())
    return said if re.fullmatch(r"[\w=,.\-]+", said) else "'" + said.replace("'", "'\\''") + "'"


def shown_header(header: Sequence[str]) -> str:
    """The names of a header for a sentence, what cannot be seen in them as <U+FEFF>"""
    shown = ", ".join(map(shown_name, header[:NAMES_SHOWN]))
    return shown if len(header) <= NAMES_SHOWN else f"{shown}, ... ({len(header)} columns)"


def shown_name(name: str) -> str:
    """One name, in quotes, not too long."""
    return quoted(name, NAME_CHARACTERS_SHOWN)


def _key(name: str) -> str:
    """A name without what people do not look at: case, width, spaces, marks, what is in brackets."""
    plain = re.sub(r"\([^)]*\)|\[[^]]*\]", "", normalize("NFKC", name)).casefold()
    return "".join(letter for letter in plain if letter.isalnum())


def _delimiter_of(name: str, theirs: Sequence[str]) -> str | None:
    """The character that divides a header, taken for one name, into just our columns; None where none does."""
    for character in dict.fromkeys(name):
        if not character.isalnum() and sorted(theirs) == sorted(part.strip(' "') for part in name.split(character)):
            return character
    return None


def _looks_like_data(header: Sequence[str]) -> bool:
    """Whether a first row has a value that no header has: a whole number, as an amount is."""
    return any(re.fullmatch(r"[0-9][0-9,.]*", name.strip()) for name in header)
