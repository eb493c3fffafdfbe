"""Text of others is fit for the place where it is shown, and nothing of it is lost where it does no harm."""

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bulkpoint.text import clean, defused, escaped, escaped_for_slack, one_line, quoted, visible

HOSTILE = "a\x1b[2J\r\nb\u202ec\u2028\udc80"


def test_what_moves_the_cursor_or_turns_the_line_is_escaped_for_a_terminal() -> None:
    assert escaped(HOSTILE) == "a\\x1b[2J\\r\\nb<U+202E>c\\u2028\\udc80"


@pytest.mark.parametrize(
    "text", ["추석 감사", unicodedata.normalize("NFD", "추석"), "e\u0301", "👨\u200d👩\u200d👧", "a\u00a0b"]
)
def test_letters_of_any_language_stay_as_they_are(text: str) -> None:
    assert escaped(text) == text


@given(st.text())
def test_nothing_escaped_can_move_the_cursor(text: str) -> None:
    assert not {unicodedata.category(character) for character in escaped(text)} & {"Cc", "Cs", "Zl", "Zp"}


@pytest.mark.parametrize("unseen", ["\ufeff", "\u200b", "\u00ad", "\u202e", "\u2066", "\u3164", "\u2800"])
def test_what_cannot_be_seen_is_named_wherever_text_is_shown(unseen: str) -> None:
    named = f"a<U+{ord(unseen):04X}>b"
    assert escaped(f"a{unseen}b") == visible(f"a{unseen}b") == named
    assert quoted(f"a{unseen}b", 40) == f"'{named}'"


def test_a_page_keeps_line_ends_and_letters() -> None:
    assert visible("설날\n👨\u200d👩") == "설날\n👨\u200d👩"


def test_a_wrong_value_is_quoted_and_its_length_is_said_where_it_is_cut() -> None:
    assert quoted(" 1\t", 40) == "' 1\\t'"
    assert quoted("x" * 1_234, 5) == "'xxxxx'... (1,234 characters)"


def test_what_a_table_would_not_take_is_replaced_in_a_row_that_is_kept() -> None:
    assert clean(HOSTILE, 100) == "a�[2J��b�c��"
    assert clean("추석 감사", 2) == "추석"


def test_a_message_gets_one_line_and_not_too_much_of_it() -> None:
    assert one_line(" first\n\n second ", 100) == "first second"
    assert one_line("123456", 5) == "1234…"


def test_a_formula_is_text_for_a_spreadsheet() -> None:
    assert [defused(text) for text in ("=1+1", "+82", "-1", "@me", "\tx", "\rx")] == [
        "'=1+1", "'+82", "'-1", "'@me", "'\tx", "'\rx",
    ]  # fmt: skip
    assert [defused(text) for text in ("a=b", "", None)] == ["a=b", "", None]


# What a spreadsheet may take away before it looks at a cell: what is not seen.
NOT_SEEN = {"Cc", "Cf", "Zs", "Zl", "Zp"}
ODD = st.sampled_from("=+-@\t\r\n \u00a0\u200b\ufeff\u202e\u3000\u3164\uffa0＝＋－＠﹢⁺−'\"a1가")


@example("\u200b =1")
@given(st.text(st.one_of(ODD, st.characters(codec="utf-8")), max_size=12))
def test_whatever_a_text_is_its_cell_does_not_begin_like_a_formula(text: str) -> None:
    cell = defused(text)
    assert cell is not None
    assert cell in (text, f"'{text}")
    assert not cell.startswith(("\t", "\r", "\n"))
    seen = "".join(letter for letter in cell if unicodedata.category(letter) not in NOT_SEEN)
    assert not unicodedata.normalize("NFKC", seen).startswith(("=", "+", "-", "@", "\N{MINUS SIGN}"))


@pytest.mark.parametrize("text", ["\n=1+1", "＝1+1", " =1+1", "-001", "=x", "\ufeff=1", "\u3164=1", "⁺82", "\x00@a"])
def test_a_formula_behind_what_is_not_seen_is_text_too(text: str) -> None:
    assert defused(text) == f"'{text}"


@pytest.mark.parametrize("text", ["00123", "1E5", "a=b", "추석", "'=x", '"=x"', "m-1", "(=1)"])
def test_other_texts_stay_as_they_are(text: str) -> None:
    assert defused(text) is text


def test_slack_takes_its_three_characters_for_markup() -> None:
    assert escaped_for_slack("A&B <!channel>") == "A&amp;B &lt;!channel&gt;"
