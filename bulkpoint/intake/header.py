"""The header of a list: where our columns are in it, and what to do if they are not there."""

import re
import shlex
from collections.abc import Mapping, Sequence
from unicodedata import normalize

from bulkpoint.errors import RefusedError
from bulkpoint.intake.form import ListForm
from bulkpoint.text import quoted

NAMES_SHOWN = 12
NAME_CHARACTERS_SHOWN = 40
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
}  # fmt: skip


def place_columns(
    file: str, row: int, header: Sequence[str], form: ListForm, ours: Sequence[str], *, only: bool = True
) -> list[int]:
    """Where each of our columns is in the header of `file`, which stands in `row`.

    only: whether the header may have no other column. Raises RefusedError that shows the header as it is.
    """
    # The same letters may be composed or not (macOS writes the latter); nobody sees the difference.
    header = [normalize("NFC", name) for name in header]
    theirs = [normalize("NFC", form.name_of(name)) for name in ours]
    facts = {"file": file, "row": row, "columns": ",".join(ours), "header": shown_header(header)}
    missing = [name for name in theirs if name not in header]
    if missing:
        shown = shown_name(missing[0])
        if not set(theirs) & set(header) and _looks_like_data(header):
            raise RefusedError("HEADER_MISSING", "put_header", **facts)
        if len(header) == 1 and (found := _delimiter_of(header[0], theirs)):
            delimiter = shlex.quote(found)
            raise RefusedError("COLUMN_MISSING", "name_delimiter_found", column=shown, delimiter=delimiter, **facts)
        proposed = propose_columns(header, form, ours)
        if proposed is not None:
            raise RefusedError("COLUMN_MISSING", "columns_proposed", column=shown, proposed=proposed, **facts)
        raise RefusedError("COLUMN_MISSING", "columns_or_map", column=shown, **facts)
    for name in theirs:
        if header.count(name) > 1:
            raise RefusedError("COLUMN_TWICE", "columns_or_map", column=shown_name(name), **facts)
    others = [name for name in header if name not in theirs]
    if others and only:
        shown = shown_header(others)
        raise RefusedError("COLUMN_NOT_OURS", "remove_columns", column=shown_name(others[0]), others=shown, **facts)
    return [header.index(name) for name in theirs]


def propose_columns(header: Sequence[str], form: ListForm, ours: Sequence[str]) -> str | None:
    """The --columns with which this header would do, if each missing column has exactly one name that is near ours."""
    mapped = dict(form.columns)
    for name in ours:
        if form.name_of(name) in header:
            continue
        near = [theirs for theirs in header if _key(theirs) in (_key(name), *_OTHER_NAMES.get(name, ()))]
        near = [theirs for theirs in near if theirs not in mapped.values()]
        # A name with a comma, or with what cannot be seen, cannot be typed.
        if len(near) != 1 or near[0] != near[0].strip() or shown_name(near[0]) != f"'{near[0]}'" or "," in near[0]:
            return None
        mapped[name] = near[0]
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
