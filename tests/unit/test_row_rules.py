"""What is wrong with a row is said in Korean, too: every sentence that the readers of lists make."""

import re
from pathlib import Path

import pytest

from bulkpoint.intake.cells import cell_rule
from bulkpoint.intake.delimited import describe_width
from bulkpoint.intake.problems import Problems
from bulkpoint.intake.target_file import HEADER_AGAIN
from bulkpoint.rules.targets import check_row
from bulkpoint.views.row_rules import row_problem

ROWS = [
    ("", "1", "r"), ("x" * 200, "1", "r"), ("a\n", "1", "r"), ("a\u200bb", "1", "r"), (" a", "1", "r"),
    ("a\ud800", "1", "r"), ("a", "", "r"), ("a", None, "r"), ("a", 1.5, "r"), ("a", "1.5", "r"), ("a", " 1", "r"),
    ("a", "+1", "r"), ("a", "١", "r"), ("a", "abc. it has a sign", "r"), ("a", "0", "r"), ("a", 10**13, "r"),
    ("a", "1", ""), ("a", "1", "x" * 501), ("a", "1", "\0"), ("", "x", ""), ("cus••••7", "1", "r"),
]  # fmt: skip
CELLS = [
    (None, True), (["padded", "007", 7], False), (["error", "#REF!"], False), (["date", "2026-01-31"], False),
    (True, False), (1e16, False), (1.5, False),
]  # fmt: skip


def is_korean(said: str) -> bool:
    """Nothing of it is English, but for values and names of columns."""
    plain = re.sub(r"'[^']*'|member_id|amount|reason|null|UTF-8|CSV|ID|U\+\w+|#REF!|TRUE", "", said)
    return not re.search(r"[A-Za-z]{2,}", plain)


@pytest.mark.parametrize("row", ROWS)
def test_a_row_that_breaks_rules_is_said_in_korean(row: tuple[object, object, object]) -> None:
    violations = check_row(*row)
    assert violations
    for violation in violations:
        said = row_problem(f"row 1,234: {violation.sentence}", "ko")
        assert said.startswith("1,234행: ")
        assert is_korean(said), said


@pytest.mark.parametrize(("cell", "merged"), CELLS)
def test_a_cell_that_is_no_value_is_said_in_korean(cell: object, merged: bool) -> None:
    rule = cell_rule("member_id", cell, merged=merged)
    assert rule is not None
    assert is_korean(row_problem(f"row 2: {rule}", "ko")), rule


def test_many_rows_that_break_the_same_rule_are_one_line_in_korean() -> None:
    problems = Problems()
    for row in range(2, 40):
        problems.add(row, "amount", check_row("a", "1.5", "r")[0].sentence, "1.5")
    [line] = map(str, problems.summed_up())
    said = row_problem(line, "ko")
    assert said.startswith("38개 행(2, 3, 4, 5, 6, ...), 예를 들어 2행: 포인트가 '1.5'입니다.")


@pytest.mark.parametrize(
    "rule",
    [
        HEADER_AGAIN,
        describe_width(["a", "1"], 3, ","),
        describe_width(["a", "1", "2", "3"], 3, ","),
        f"{describe_width(['합계'], 3, ',')} It looks like a total row ('합계'): delete it.",
        "member_id 'm. is in row 2 already.' is in row 3 already.",
        "There is a value in column D, which has no name in the header.",
        "amount is null.",
    ],
)
def test_other_sentences_about_rows_are_said_in_korean(rule: str) -> None:
    said = re.sub("column D|D열|쉼표|comma", "", row_problem(f"row 2: {rule}", "ko"))
    assert is_korean(said), said


def test_what_is_not_known_stays_as_it_is_and_english_is_untouched() -> None:
    assert row_problem("row 2: something new.", "ko") == "2행: something new."
    assert row_problem("row 2: amount is empty.", "en") == "row 2: amount is empty."


def test_every_rule_that_the_readers_write_has_its_form() -> None:
    """Their sources name no sentence that the language files do not have."""
    folder = Path(__file__).parents[2] / "bulkpoint" / "intake"
    for file in ("delimited.py", "decoding.py", "workbook.py", "target_file.py"):
        for rule in re.findall(r'rule = f?"(.*?)"$', (folder / file).read_text(), re.MULTILINE):
            example = re.sub(r"\{[^}]*\}", "7", rule.removeprefix("{rule} "))
            assert "." in example
            assert is_korean(row_problem(example, "ko").replace("7", "")), rule
