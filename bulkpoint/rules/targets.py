"""The rules for a target row. This is their only definition in code; the constraints of campaign_target repeat them."""

import re
from dataclasses import dataclass

from bulkpoint.rules.member_names import MASK, is_masked
from bulkpoint.text import INVISIBLE, code_point, quoted

MEMBER_ID_CHARACTERS_MAX = 128
AMOUNT_MAX = 10**12  # points
REASON_CHARACTERS_MAX = 500

# The header of the lists that are given out to be filled in, by language: each is read as it is.
LIST_HEADERS = {
    "en": ("member_id", "amount", "reason"),
    "ko": ("회원 번호", "지급 포인트", "지급 사유"),
}

_AMOUNT_DIGITS_MAX = len(str(AMOUNT_MAX))
_SHOWN_MAX = 40  # characters of a wrong amount in a sentence

# Matches most rows of most files; a row that does not match is checked in full, and may still be valid.
_PLAIN_MEMBER_ID = re.compile(rf"[!-~]{{1,{MEMBER_ID_CHARACTERS_MAX}}}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_INVISIBLE = re.compile(f"[{INVISIBLE}]")
_NOT_STORABLE = re.compile(r"[\x00\ud800-\udfff]")  # PostgreSQL cannot store NUL; UTF-8 has no half characters


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule that a row breaks: its name, for counting, and a sentence for the person who fixes the file."""

    rule: str
    sentence: str


def check_row(member_id: object, amount: object, reason: object, *, amount_max: int = AMOUNT_MAX) -> list[Violation]:
    """Every rule that the row breaks; empty for a valid row.

    amount: a whole number, or its text from a file, which must be ASCII digits and nothing else, so that int(amount)
    is what every reader sees. A null in a file is None. amount_max: points, where the deployment allows less.
    """
    if (
        type(member_id) is str
        and type(reason) is str
        and _PLAIN_MEMBER_ID.fullmatch(member_id)
        and 0 < len(reason) <= REASON_CHARACTERS_MAX
        and not _NOT_STORABLE.search(reason)
        and (
            0 < amount <= amount_max
            if type(amount) is int
            else type(amount) is str
            and amount.isascii()
            and amount.isdigit()
            and len(amount) <= _AMOUNT_DIGITS_MAX
            and 0 < int(amount) <= amount_max
        )
    ):
        return []
    return [*_check_member_id(member_id), *_check_amount(amount, amount_max), *_check_reason(reason)]


def _check_member_id(member_id: object) -> list[Violation]:
    if not isinstance(member_id, str) or member_id == "":
        return [Violation("member_id_length", "member_id is empty.")]
    if len(member_id) > MEMBER_ID_CHARACTERS_MAX:
        sentence = f"member_id has {len(member_id)} characters, {MEMBER_ID_CHARACTERS_MAX} are allowed."
        return [Violation("member_id_length", sentence)]
    violations = []
    if found := _CONTROL.search(member_id):
        sentence = f"member_id has a control character ({code_point(found[0])}), such as a line end: remove it."
        violations.append(Violation("member_id_no_control_characters", sentence))
    elif found := _INVISIBLE.search(member_id):
        sentence = f"member_id has a character that cannot be seen ({code_point(found[0])}): remove it."
        violations.append(Violation("member_id_no_invisible_characters", sentence))
    elif found := _NOT_STORABLE.search(member_id):
        violations.append(_half_character("member_id", found[0]))
    if is_masked(member_id):
        sentence = f"member_id is masked ({MASK}): whoever made this list has not the right `members`."
        violations.append(Violation("member_id_not_masked", sentence))
    if member_id[0].isspace() or member_id[-1].isspace():
        space = member_id[0] if member_id[0].isspace() else member_id[-1]
        sentence = f"member_id has a space ({code_point(space)}) at one of its ends: remove it."
        violations.append(Violation("member_id_no_space_at_the_ends", sentence))
    return violations


def _check_amount(amount: object, amount_max: int) -> list[Violation]:
    if isinstance(amount, str):
        return _check_amount_text(amount, amount_max)
    if type(amount) is not int:
        shown = quoted(str(amount), _SHOWN_MAX)
        sentence = "amount is empty." if amount is None else f"amount is {shown}, not a whole number."
        return [Violation("amount_form", sentence)]
    if not 1 <= amount <= amount_max:
        return [_out_of_range(f"{amount:,}" if abs(amount) < 10**30 else "far", amount_max)]
    return []


def _check_amount_text(amount: str, amount_max: int) -> list[Violation]:
    if amount == "":
        return [Violation("amount_form", "amount is empty.")]
    if amount.isascii() and amount.isdigit():
        digits = amount.lstrip("0") or "0"
        if len(digits) > _AMOUNT_DIGITS_MAX or not 1 <= int(digits) <= amount_max:
            return [_out_of_range(quoted(digits, _SHOWN_MAX), amount_max)]
        return []
    if amount != amount.strip():
        why = "it has a space at one of its ends"
    elif amount[0] in "+-":
        why = "it has a sign"
    elif amount.isdigit():
        why = "its digits are not 0 to 9"
    elif "." in amount or "," in amount:
        why = "points are whole, without a decimal point or separators"
    else:
        why = "it is not a whole number"
    sentence = f"amount is {quoted(amount, _SHOWN_MAX)}: {why}. Write the digits 0 to 9 and nothing else."
    return [Violation("amount_form", sentence)]


def _check_reason(reason: object) -> list[Violation]:
    if not isinstance(reason, str) or reason == "":
        return [Violation("reason_length", "reason is empty.")]
    if len(reason) > REASON_CHARACTERS_MAX:
        sentence = f"reason has {len(reason)} characters, {REASON_CHARACTERS_MAX} are allowed."
        return [Violation("reason_length", sentence)]
    if found := _NOT_STORABLE.search(reason):
        return [_half_character("reason", found[0])]
    return []


def _half_character(column: str, character: str) -> Violation:
    sentence = f"{column} has a character that cannot be stored ({code_point(character)}): is the file really UTF-8?"
    return Violation(f"{column}_storable", sentence)


def _out_of_range(amount: str, amount_max: int) -> Violation:
    return Violation("amount_range", f"amount is {amount}: it must be 1 to {amount_max:,} points.")
