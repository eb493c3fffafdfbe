"""The rules of a target row: what a careless, broken or hostile file can hold, and that good rows pass untouched."""

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkpoint import files
from bulkpoint.rules.targets import AMOUNT_MAX, MEMBER_ID_CHARACTERS_MAX, REASON_CHARACTERS_MAX, check_row
from bulkpoint.text import INVISIBLE


def broken(member_id: object = "member-1", amount: object = "1500", reason: object = "Gift", **bound: int) -> list[str]:
    return [violation.rule for violation in check_row(member_id, amount, reason, **bound)]


@pytest.mark.parametrize(
    "member_id",
    [
        "a",
        "x" * MEMBER_ID_CHARACTERS_MAX,
        "회원" * 64,
        "🎁member",
        "=1+1",
        "+82",
        "-1",
        "@me",
        "A1",
        "two words",
        "e\u0301",
        "\u00e9",
        "'; drop table payment; --",
        "00123",
    ],
)
def test_a_member_id_is_taken_as_it_is(member_id: str) -> None:
    assert broken(member_id=member_id) == []


@pytest.mark.parametrize(
    ("member_id", "rule"),
    [
        ("", "member_id_length"),
        (None, "member_id_length"),
        (17, "member_id_length"),
        ("x" * 129, "member_id_length"),
        ("x" * 10_000, "member_id_length"),
        ("회" * 129, "member_id_length"),
        ("a\x00b", "member_id_no_control_characters"),
        ("a\tb", "member_id_no_control_characters"),
        ("a\r\nb", "member_id_no_control_characters"),
        ("a\x7fb", "member_id_no_control_characters"),
        ("a\x85b", "member_id_no_control_characters"),
        ("a\u2028b", "member_id_no_control_characters"),
        ("\ufeffa", "member_id_no_invisible_characters"),  # a byte order mark in mid-file, after `cat`
        ("a\u200bb", "member_id_no_invisible_characters"),
        ("a\u00adb", "member_id_no_invisible_characters"),
        ("a\u202eb", "member_id_no_invisible_characters"),
        ("회원\u3164", "member_id_no_invisible_characters"),  # a Hangul filler is a letter, and nothing is seen
        ("1\ufe0f", "member_id_no_invisible_characters"),
        ("a\U000e0041", "member_id_no_invisible_characters"),
        ("a\ud800b", "member_id_storable"),
        (" a", "member_id_no_space_at_the_ends"),
        ("a ", "member_id_no_space_at_the_ends"),
        (" ", "member_id_no_space_at_the_ends"),
        ("\u3000a", "member_id_no_space_at_the_ends"),
        ("a\u00a0", "member_id_no_space_at_the_ends"),
        ("a\u2003", "member_id_no_space_at_the_ends"),
        ("m-••••1", "member_id_not_masked"),  # a list that somebody made of what they may not see
    ],
)
def test_a_member_id_that_breaks_a_rule_is_named(member_id: object, rule: str) -> None:
    assert broken(member_id=member_id) == [rule]


@pytest.mark.parametrize("amount", ["1", "1500", str(AMOUNT_MAX), "007", "0" * 5000 + "1", 1, AMOUNT_MAX])
def test_an_amount_from_one_point_to_the_bound_is_good(amount: object) -> None:
    assert broken(amount=amount) == []


@pytest.mark.parametrize(
    ("amount", "rule", "word"),
    [
        ("0", "amount_range", "1 to"),
        ("000", "amount_range", "1 to"),
        ("1000000000001", "amount_range", "1 to"),
        ("9223372036854775808", "amount_range", "1 to"),
        ("9" * 5000, "amount_range", "1 to"),
        (0, "amount_range", "1 to"),
        (-5, "amount_range", "1 to"),
        (AMOUNT_MAX + 1, "amount_range", "1 to"),
        pytest.param(10**5000, "amount_range", "1 to", id="10**5000"),
        ("", "amount_form", "empty"),
        (None, "amount_form", "empty"),
        ("-5", "amount_form", "sign"),
        ("+5", "amount_form", "sign"),
        ("1.0", "amount_form", "decimal point"),
        ("10.50", "amount_form", "decimal point"),
        ("1,500", "amount_form", "separators"),
        ("1e3", "amount_form", "whole number"),
        ("0x10", "amount_form", "whole number"),
        ("1_000", "amount_form", "whole number"),
        ("NaN", "amount_form", "whole number"),
        ("Infinity", "amount_form", "whole number"),
        (" 5", "amount_form", "space"),
        ("5 ", "amount_form", "space"),
        ("5\n", "amount_form", "space"),
        ("\u30005", "amount_form", "space"),
        ("１５００", "amount_form", "digits are not 0 to 9"),
        ("٣", "amount_form", "digits are not 0 to 9"),
        ("²", "amount_form", "digits are not 0 to 9"),
        ("5\x00", "amount_form", "whole number"),
        ("\ud800", "amount_form", "whole number"),
        (1.0, "amount_form", "whole number"),
        (float("nan"), "amount_form", "whole number"),
        (True, "amount_form", "whole number"),
        (b"5", "amount_form", "whole number"),
    ],
)
def test_an_amount_that_breaks_a_rule_gets_its_own_sentence(amount: object, rule: str, word: str) -> None:
    (violation,) = check_row("member-1", amount, "Gift")
    assert violation.rule == rule
    assert word in violation.sentence
    assert violation.sentence.isprintable()
    assert len(violation.sentence) < 200


def test_a_deployment_may_allow_less() -> None:
    assert broken(amount="5000", amount_max=5000) == broken(amount=5000, amount_max=5000) == []
    assert broken(amount="5001", amount_max=5000) == broken(amount=5001, amount_max=5000) == ["amount_range"]


@pytest.mark.parametrize(
    ("reason", "rules"),
    [
        ("설 선물 🎁", []),
        ("two\nlines", []),
        (" ", []),
        ("x" * REASON_CHARACTERS_MAX, []),
        ("x" * 501, ["reason_length"]),
        ("", ["reason_length"]),
        (None, ["reason_length"]),
        ("a\x00", ["reason_storable"]),
        ("\udfff", ["reason_storable"]),
    ],
)
def test_a_reason_is_any_text_that_can_be_stored(reason: object, rules: list[str]) -> None:
    assert broken(reason=reason) == rules


def test_every_broken_rule_of_a_row_is_named_at_once() -> None:
    assert broken(member_id=" a\x01", amount="-1", reason="") == [
        "member_id_no_control_characters",
        "member_id_no_space_at_the_ends",
        "amount_form",
        "reason_length",
    ]


def is_good_member_id(text: str) -> bool:
    """The rule again, said another way."""
    categories = [unicodedata.category(character) for character in text]
    return (
        1 <= len(text) <= MEMBER_ID_CHARACTERS_MAX
        and not {"Cc", "Cs", "Cf", "Zl", "Zp"} & set(categories)
        and not re.search(f"[{INVISIBLE}]", text)
        and not {"Zs"} & {categories[0], categories[-1]}
        and "••••" not in text
    )


ids = (
    st.text(max_size=140)
    | st.text(st.characters(categories=["Cf", "Mn", "Ll"]), max_size=4)
    | st.text(st.characters(categories=["Cc", "Cs", "Zs", "Zl", "Zp", "Ll"]), max_size=5)
)
amounts = st.integers() | st.integers(-2, AMOUNT_MAX + 2).map(str) | st.text() | st.text("0123456789 +-.e", max_size=15)


@given(ids)
def test_the_short_way_and_the_long_way_agree_about_a_member_id(member_id: str) -> None:
    assert (broken(member_id=member_id) == []) == is_good_member_id(member_id)


@given(amounts)
def test_a_good_amount_is_read_the_same_by_everybody(amount: str | int) -> None:
    good = broken(amount=amount) == []
    text = str(amount)
    assert good == (re.fullmatch("[0-9]+", text, re.ASCII) is not None and 1 <= int(text) <= AMOUNT_MAX)


@given(ids, amounts, st.text(max_size=510) | st.none())
def test_a_row_that_passes_can_be_stored_and_sent(member_id: str, amount: str | int, reason: str | None) -> None:
    violations = check_row(member_id, amount, reason)
    if not violations:
        assert reason is not None
        assert "\x00" not in member_id + reason
        assert (member_id + reason).encode()
    assert all(violation.sentence.isprintable() and violation.sentence.encode() for violation in violations)


def test_the_bounds_are_the_tables() -> None:
    sql = files.read_text("sql/schema.sql")
    assert f"length(member_id) between 1 and {MEMBER_ID_CHARACTERS_MAX}" in sql
    assert f"amount between 1 and {AMOUNT_MAX}" in sql
    assert f"length(reason) between 1 and {REASON_CHARACTERS_MAX}" in sql
    for rule in (
        "member_id_length",
        "member_id_no_control_characters",
        "member_id_no_invisible_characters",
        "member_id_no_space_at_the_ends",
        "member_id_not_masked",
        "amount_range",
    ):
        assert f"constraint {rule} " in sql
    assert f"'[{INVISIBLE}]'" in re.sub(r"'\n +'", "", sql), "what cannot be seen is the same for both"
