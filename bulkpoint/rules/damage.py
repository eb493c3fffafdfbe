"""Member ids that a spreadsheet, a database or a program has damaged, and rows that are a total and not a member.

What a spreadsheet does to ids: https://support.microsoft.com/office/3de9ed35-37a3-4aa6-8e4e-1e1c0ee5b6b2 (leading
zeros, long numbers); its error values: ECMA-376, part 1, 18.17.3.
"""

import re
from enum import StrEnum


class Damage(StrEnum):
    """What an id looks like; its words are `parts.<name>` of the language files."""

    ID_IS_ERROR_VALUE = "ID_IS_ERROR_VALUE"
    ID_IS_NO_VALUE = "ID_IS_NO_VALUE"
    ID_IS_TRUTH_VALUE = "ID_IS_TRUTH_VALUE"
    ID_IS_HEADER = "ID_IS_HEADER"
    ID_IS_ROUNDED = "ID_IS_ROUNDED"
    ID_HAS_DECIMALS = "ID_HAS_DECIMALS"
    ID_HAS_SEPARATORS = "ID_HAS_SEPARATORS"
    ID_IS_DATE = "ID_IS_DATE"
    ID_IS_DEFUSED = "ID_IS_DEFUSED"


_WORDS = {
    Damage.ID_IS_ERROR_VALUE: (
        "#ref!", "#n/a", "#na", "#name?", "#value!", "#div/0!", "#num!", "#null!", "#spill!", "#calc!", "#getting_data",
        "#error!", "#blocked!", "#connect!", "#field!", "#unknown!", "#busy!", "#python!", "-nan", "+nan", "inf",
        "-inf", "infinity", "-infinity", "[object object]",
    ),
    Damage.ID_IS_NO_VALUE: (
        "nan", "null", "none", "nil", "n/a", "na", "<na>", "nat", "undefined", "(null)", "<null>", "[null]", "\\n",
        "(blank)", "(empty)", "(비어 있음)", "(공백)", "없음", "해당없음", "해당 없음", "미상",
        "-", "--", "---", "—", ".", "?",
    ),
    Damage.ID_IS_TRUTH_VALUE: ("true", "false"),
    Damage.ID_IS_HEADER: (
        "member_id", "memberid", "member id", "member-id", "user_id", "userid", "customer_id", "customerid", "amount",
        "reason", "회원번호", "회원id", "회원 id", "회원_id", "회원 번호", "회원아이디", "고객번호", "고객id", "회원",
    ),
}  # fmt: skip
_TOTALS = (
    "total", "totals", "subtotal", "sub total", "sub-total", "sub_total", "subtotals", "grand total", "grand_total",
    "grandtotal", "grand totals", "sum", "합계", "합 계", "총계", "총 계", "소계", "소 계", "중계", "계", "총합",
    "총합계", "총 합계", "누계", "누적합계", "합산", "합계금액", "합계 금액", "총액", "총금액", "합계(원)", "합계(p)",
)  # fmt: skip
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_MONTH = f"(?:{'|'.join(_MONTHS)})"
_DAY = r"\d{1,2}"
_SHAPES = {
    Damage.ID_IS_ROUNDED: r"[+-]?\d(?:[.,]\d+)?e[+-]\d{1,3}",
    Damage.ID_HAS_DECIMALS: r"\d+(?:\.0+|,0)",
    Damage.ID_HAS_SEPARATORS: r"\d{1,3}(?:,\d{3})+(?:\.0+)?",
    Damage.ID_IS_ERROR_VALUE: r"#+",
    # As the CSV of a report has an id that a spreadsheet would take for a formula: another member's.
    Damage.ID_IS_DEFUSED: r"'\s*[=+@\-＝＋－＠].*",
    Damage.ID_IS_DATE: rf"{_DAY}-{_MONTH}(?:-\d{{2,4}})?|{_MONTH}-\d{{2,4}}|{_DAY}월 ?{_DAY}일"
    rf"|\d{{4}}년 ?{_DAY}월(?: ?{_DAY}일)?"
    rf"|\d{{4}}-\d\d-\d\d(?:[ t]{_DAY}:\d\d(?::\d\d)?)?|{_DAY}/{_DAY}/(?:\d\d|\d{{4}})|{_DAY}:\d\d(?::\d\d)?",
}
_ANY_DIGIT = str.maketrans("123456789", "000000000")
_SHAPES_MAX = 64  # of a block of ids; more are searched as one text
_SHAPE = re.compile("|".join(f"(?P<{damage}>{shape})" for damage, shape in _SHAPES.items()), re.ASCII)
_SHAPED = re.compile(rf"\n(?:{'|'.join(_SHAPES.values())})(?=\n|\Z)", re.ASCII)
# Total words with what is written after them: `합계:`, `Total (3)`, `합계 3건`.
_TOTAL = re.compile(
    rf"\W*(?:{'|'.join(sorted(map(re.escape, _TOTALS), key=len, reverse=True))})"
    r"(?:\W*(?:\(.*\))?\W*|[\s:]+\d[\d,]*|[\s:]*\d[\d,]*\s*(?:명|건|개))"
)


_DAMAGED = {word: damage for damage, words in _WORDS.items() for word in words}
_TOTALLED = frozenset(_TOTALS) | {f"{word}:" for word in _TOTALS}
_SUSPECT_WORDS = frozenset(_DAMAGED) | _TOTALLED


def damage_of(member_id: str) -> Damage | None:
    """How an id is damaged, as far as it can be seen; None for an ordinary one."""
    small = member_id.lower()
    if known := _DAMAGED.get(small):
        return known
    found = _SHAPE.fullmatch(small)
    return Damage(str(found.lastgroup)) if found else None


def names_total(member_id: str) -> bool:
    """Whether an id is a word for a total, in any row of a list."""
    return member_id.lower() in _TOTALLED


def begins_like_total(member_id: str) -> bool:
    """Whether an id is a word for a total with something after it, which counts at the end of a list only."""
    return _TOTAL.fullmatch(member_id.lower()) is not None


def may_be_damaged(together: str) -> bool:
    """A quick look at many ids: false where none is damaged or names a total.

    together: the ids in small letters, each after a line end.
    """
    if not together.isascii():
        return not _SUSPECT_WORDS.isdisjoint(together.split("\n")) or _SHAPED.search(together) is not None
    # Thousands of ids with the same letters and the same number of digits are one shape.
    shapes = set(together.translate(_ANY_DIGIT).split("\n"))
    if not _SUSPECT_WORDS.isdisjoint(shapes):
        return True
    if len(shapes) <= _SHAPES_MAX:
        return any(_SHAPE.fullmatch(shape) for shape in shapes)
    return _SHAPED.search(together) is not None
