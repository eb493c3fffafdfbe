"""Findings: what makes a list look wrong although no row breaks a rule; and no false alarm over an ordinary list."""

import unicodedata
from array import array
from collections.abc import Sequence
from random import Random
from string import ascii_lowercase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkpoint.campaigns.findings import check_names
from bulkpoint.errors import UsageError
from bulkpoint.intake.list_looks import BLOCK_ROWS, ListLooks
from bulkpoint.rules.damage import begins_like_total, damage_of, may_be_damaged, names_total
from bulkpoint.rules.findings import (
    AT_STAKE,
    EXAMPLES_MAX,
    Example,
    FileFindings,
    Finding,
    FindingName,
    accept,
    from_facts,
    refusing,
    to_facts,
)
from bulkpoint.rules.likeness import caseless, caseless_ascii, folded
from bulkpoint.rules.outliers import AmountAt, find_outliers
from bulkpoint.rules.refusals import Refusal
from bulkpoint.views.languages import LANGUAGES
from bulkpoint.views.preview import FindingView, finding_line
from tests.world.refusals import refused

Targets = Sequence[tuple[str, int] | tuple[str, int, str]]


def looked_at(targets: Targets) -> dict[FindingName, Finding]:
    """What is found in a list; its rows begin at 2, as after a header."""
    rows = [
        (row, target[0], target[1], "gift" if len(target) < 3 else target[2]) for row, target in enumerate(targets, 2)
    ]
    findings = FileFindings()
    looks = ListLooks(findings)
    for begin in range(0, len(rows), BLOCK_ROWS):
        looks.look_at(*zip(*rows[begin : begin + BLOCK_ROWS], strict=True))
    hashes = array("q", [hash(member_id) for _, member_id, _, _ in rows])
    looks.finish(hashes, lambda: ((row, member_id) for row, member_id, _, _ in rows))
    return {finding.name: finding for finding in findings.found()}


def places(targets: Targets, name: FindingName) -> list[int | None]:
    found = looked_at(targets)
    return [each.row for each in found[name].examples] if name in found else []


def members(count: int, amount: int = 1_000) -> list[tuple[str, int]]:
    return [(f"m-{number:06d}", amount) for number in range(count)]


@pytest.mark.parametrize(
    "member_id",
    [
        "1.23457E+15", "1E+16", "1.23457e+15", "1,23457E+15", "12345.0", "12345.00", "12345,0", "1,234", "12,345,678",
        "#REF!", "#N/A", "#NAME?", "#DIV/0!", "#VALUE!", "######", "NaN", "nan", "null", "NULL", "None", "<NA>", "N/A",
        "\\N", "-", "TRUE", "False", "member_id", "MEMBER_ID", "Member_ID", "회원번호", "1-Jan",
        "01-Jan-26", "Jan-26", "1월 2일", "nAn",
        "2026-01-31", "2026-01-31 00:00:00", "1/2/2026", "12:30", "[object Object]", "undefined",
        "'=x", "'-001", "'＝1+1", "' =1", "'+82",
    ],
)  # fmt: skip
def test_an_id_that_a_spreadsheet_or_a_program_damaged_is_found_with_its_row(member_id: str) -> None:
    listed = [*members(5), (member_id, 1_000), *[(f"n-{number}", 1_000) for number in range(5)]]
    assert places(listed, FindingName.SPREADSHEET_DAMAGE) == [7]


@pytest.mark.parametrize(
    "member_id",
    [
        "1E5", "12E45678", "00123", "1", "0", "123456789012345678", "m-000001", "M1-2", "2026-01-31-0001",
        "a@b.co.kr", "1.5", "kim.0", "null1", "nana", "none-1", "summer", "totally", "합계원", "회원1", "#1", "jan",
        "mar-y", "3f2504e0-4f89", "1-2", "true-love", "A-1.0", "1:2", "+821012345678", "=1+1", "계영배",
        "'a", "'", "o'=x",
    ],
)  # fmt: skip
def test_an_ordinary_id_is_not_damaged_and_no_total(member_id: str) -> None:
    listed = [*members(5), (member_id, 1_000), *[(f"n-{number}", 1_000) for number in range(5)]]
    assert looked_at(listed) == {}
    assert looked_at([*members(5), (member_id, 1_000)]) == {}, "at the end"


@given(st.lists(st.text(ascii_lowercase + "0123456789-_", min_size=1), min_size=1))
def test_the_quick_look_misses_nothing(member_ids: list[str]) -> None:
    slow = any(damage_of(each) or names_total(each) for each in member_ids)
    assert may_be_damaged("\n" + "\n".join(member_ids).lower()) >= slow


def test_a_quick_look_at_ids_of_many_shapes_misses_nothing() -> None:
    many = [ascii_lowercase[: number % 26 + 1] + "-" * (number // 26) for number in range(300)]
    listed: Targets = [(each, 10) for each in [*many, "1.23457E+15", *many]]
    assert places(listed, FindingName.SPREADSHEET_DAMAGE) == [302]
    assert places([("회원", 5), ("김-1", 5), ("12345.0", 5)], FindingName.SPREADSHEET_DAMAGE) == [2, 4]


@pytest.mark.parametrize(
    ("ids", "row"),
    [
        ([unicodedata.normalize("NFC", "회원A"), "b", unicodedata.normalize("NFD", "회원A")], 4),
        (["A1", "\uff21\uff11"], 3),
        (["\uff21\uff11", "A1"], 3),
        (["00123", "b", "123"], 4),
        (["0123", "00123"], 3),
        (["\u2160", "I"], 3),
        (["e\u0301", "\u00e9"], 3),
        (["\uff10\uff11", "1"], 3),
        (["ﬁ1", "fi1"], 3),
    ],
)
def test_ids_that_look_the_same_are_found_with_both_rows(ids: list[str], row: int) -> None:
    found = looked_at([(each, 10) for each in ids])
    assert list(found) == [FindingName.LOOK_ALIKE_IDS]
    [example] = found[FindingName.LOOK_ALIKE_IDS].examples
    assert (example.row, example.why.facts["other_row"]) == (row, 2)


def test_ids_that_differ_in_capital_letters_may_be_two_people_and_are_only_shown() -> None:
    found = looked_at([("a1", 10), ("b", 10), ("A1", 10), ("\uff21\uff11", 10)])
    assert (found[FindingName.IDS_DIFFER_IN_CASE].count, found[FindingName.LOOK_ALIKE_IDS].count) == (1, 1)
    assert not AT_STAKE[FindingName.IDS_DIFFER_IN_CASE]


def test_numbers_of_every_length_and_capital_ids_are_no_look_alikes() -> None:
    assert looked_at([(str(number), 10) for number in range(1, 6_000)]) == {}
    assert looked_at([(f"{number:08d}", 10) for number in range(6_000)]) == {}
    assert looked_at([(f"M-{number:x}".upper(), 10) for number in range(6_000)]) == {}


@given(st.text(min_size=1), st.text("aA0123", min_size=1))
def test_a_form_is_the_same_however_often_it_is_made(text: str, ascii_text: str) -> None:
    assert folded(folded(text)) == folded(text) or not unicodedata.is_normalized("NFKC", folded(text))
    assert caseless_ascii(ascii_text) == caseless(ascii_text)


def test_the_last_row_that_is_the_sum_of_the_others_is_found_by_its_word_and_by_its_sum() -> None:
    assert places([("M1", 1_000), ("M2", 2_000), ("합계", 3_000)], FindingName.TOTAL_ROW) == [4]
    assert places([*members(5), ("X", 5_000)], FindingName.TOTAL_ROW) == [7]
    assert places([*members(5), ("X", 5_000 + 7), ("footer", 7)], FindingName.TOTAL_ROW) == [7], "a footer after it"
    assert places([*members(9_000), ("X", 9_000_000)], FindingName.TOTAL_ROW) == [9_002]


@pytest.mark.parametrize(
    "word", ["합계", "총계", "소계", "계", "Total", "TOTAL", "subtotal", "Grand Total", "합 계", "Total:"]
)
def test_a_word_for_a_total_is_found_in_any_row(word: str) -> None:
    assert places([*members(3), (word, 7), *[(f"n-{number}", 9) for number in range(9)]], FindingName.TOTAL_ROW) == [5]


@pytest.mark.parametrize("word", ["Total (3)", "합계: 3", "합계 3명", "총계(3건)", "* 합계 *"])
def test_a_word_for_a_total_with_something_after_it_is_found_at_the_end(word: str) -> None:
    assert begins_like_total(word)
    assert places([*members(5), (word, 7)], FindingName.TOTAL_ROW) == [7]


def test_a_list_whose_greatest_amount_is_the_sum_of_the_others_by_chance_is_let_be() -> None:
    assert looked_at([("a", 1_000), ("b", 2_000), ("c", 3_000)]) == {}, "three rows"
    assert looked_at([("a", 6_000), *members(6)]) == {}, "at the beginning"
    assert looked_at([("a", 4_000), *members(4)]) == {}, "at the beginning of a list that is all end"


def test_an_amount_far_above_all_others_is_found() -> None:
    found = looked_at([*members(50), ("whale", 10_000_000), *[(f"n-{number}", 1_500) for number in range(50)]])
    assert [each.row for each in found[FindingName.OUTLIER_AMOUNT].examples] == [52]
    assert found[FindingName.OUTLIER_AMOUNT].examples[0].why.facts == {"points": 10_000_000, "next_points": 1_500}
    assert places([*members(4), ("x", 100_000), ("y", 7)], FindingName.OUTLIER_AMOUNT) == [6]


def test_a_few_phone_numbers_among_the_amounts_of_a_long_list_are_found() -> None:
    wrong = [("a", 1_012_345_678), ("b", 1_098_765_432), ("c", 1_011_112_222)]
    assert len(places([*members(3_000), *wrong, *[("d", 10)]], FindingName.OUTLIER_AMOUNT)) == 3
    assert places([*members(100), *wrong, *[("d", 10)]], FindingName.OUTLIER_AMOUNT) == [], "a class of members"
    prizes = [(f"p-{number}", 10_000_000) for number in range(4)]
    assert places([*members(9_000), *prizes, ("d", 10)], FindingName.OUTLIER_AMOUNT) == [], "four first prizes"


def test_a_total_row_is_not_an_outlier_too() -> None:
    assert list(looked_at([*members(500), ("X", 500_000)])) == [FindingName.TOTAL_ROW]
    assert list(looked_at([*members(500), ("합계", 500_000)])) == [FindingName.TOTAL_ROW]


def amounts_of(spread: float, count: int, seed: int) -> list[int]:
    random = Random(seed)
    return [max(1, round(1_000 * random.lognormvariate(0, spread))) for _ in range(count)]


@pytest.mark.parametrize("spread", [0, 0.5, 1, 1.5])
def test_a_flat_or_heavy_tailed_list_has_no_outlier(spread: float) -> None:
    for seed in range(150):
        amounts = amounts_of(spread, count := 100 if seed % 2 else 1_500, seed)
        greatest = [AmountAt(amount, None, "m") for amount in sorted(amounts, reverse=True)]
        assert find_outliers(greatest[:4], count) == ()


@given(st.integers(1, 10**6), st.integers(1, 10**6), st.integers(4, 500), st.integers(4, 500))
def test_two_classes_of_members_are_no_outliers(low: int, times: int, few: int, many: int) -> None:
    amounts = [low * times] * few + [low] * many
    assert find_outliers([AmountAt(amount, 1, "m") for amount in amounts[:4]], len(amounts)) == ()


@given(st.lists(st.integers(1, 10**12), max_size=3))
def test_a_list_of_three_has_no_outlier(amounts: list[int]) -> None:
    greatest = [AmountAt(amount, 1, "m") for amount in sorted(amounts, reverse=True)]
    assert find_outliers(greatest, len(amounts)) == ()


def test_what_cannot_be_seen_in_a_reason_is_shown_and_joined_emoji_are_not() -> None:
    found = looked_at([("a", 1, "event\u202e"), ("b", 1, "설날\ufeff"), ("c", 1, "👨\u200d👩\u200d👧 ❤\ufe0f\n줄")])
    hidden = found[FindingName.INVISIBLE_IN_REASON]
    assert [(each.row, each.value, each.why.facts["character"]) for each in hidden.examples] == [
        (2, "'event<U+202E>'", "U+202E"), (3, "'설날<U+FEFF>'", "U+FEFF")
    ]  # fmt: skip
    assert refusing([hidden]) == ()


def test_all_places_are_counted_and_the_first_few_are_kept() -> None:
    findings = FileFindings()
    for row in range(100):
        findings.note(FindingName.SPREADSHEET_DAMAGE, row=row, value="x" * 100, why=Refusal("ID_IS_DATE"))
    [found] = findings.found()
    assert (found.count, len(found.examples)) == (100, EXAMPLES_MAX)
    assert found.examples[0].value == f"'{'x' * 60}'... (100 characters)"


def test_a_finding_refuses_until_it_is_accepted_by_its_name() -> None:
    found = [Finding.of(name, 1) for name in FindingName]
    assert {each.name for each in refusing(found)} == {name for name in FindingName if AT_STAKE[name]}
    accepted = accept(found, [FindingName.TOTAL_ROW], "kim")
    assert {each.name for each in refusing(accepted)} == {name for name in FindingName if AT_STAKE[name]} - {
        "TOTAL_ROW"
    }
    again = accept(accepted, [FindingName.TOTAL_ROW], "lee")
    assert [each.accepted_by for each in again if each.accepted_by] == ["kim"], "the first one stays"


def test_a_finding_is_the_same_after_it_was_kept() -> None:
    findings = FileFindings()
    why = Refusal("LOOKS_LIKE_ROW", {"other_row": 3, "other": "'A1'"})
    findings.note(FindingName.LOOK_ALIKE_IDS, row=7, value="\uff21\uff11", why=why, places=(1, 2))
    [found] = findings.found()
    kept = from_facts(found.name, to_facts(found), at_stake=True, accepted_by=None)
    assert (kept, kept.as_refusal()) == (found, found.as_refusal())


def test_a_name_that_is_none_is_refused_with_all_there_are() -> None:
    assert check_names(["TOTAL_ROW", "total-row", "outlier_amount"]) == (
        FindingName.TOTAL_ROW, FindingName.OUTLIER_AMOUNT,
    )  # fmt: skip
    with refused("names no finding. There are: FIELD_OVER_LINES, LAST_LINE_CUT", UsageError):
        check_names(["TOTALS"])


# These have no place in the list itself: tests/unit/test_copies.py, tests/database/test_findings.py.
IN_OTHER_LISTS = (FindingName.NEAR_COPY, FindingName.MEMBERS_WAITING, FindingName.LIST_CHANGED)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", [name for name in FindingName if name not in IN_OTHER_LISTS])
def test_every_finding_is_said_with_its_place_and_what_to_type(name: FindingName, language: str) -> None:
    findings = FileFindings()
    findings.note(name, row=1_234, value="x\u202e", why=Refusal("ID_IS_DATE"))
    said = FindingView.of(findings.found()[0], language=language).sentence
    assert "1,234" in said
    assert "x<U+202E>" in said
    assert (f"--accept {name}" in said) == AT_STAKE[name]


def test_a_finding_that_was_accepted_says_by_whom() -> None:
    found = Finding.of(FindingName.TOTAL_ROW, 1, [Example(2, "'X'", Refusal("ID_IS_TOTAL_WORD"))])
    [accepted] = accept([found], [FindingName.TOTAL_ROW], "kim\x1b")
    assert finding_line(accepted).endswith("Accepted by kim\\x1b.")
