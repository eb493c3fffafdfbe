"""Findings are kept whole and shown without member ids to whoever may not see them; a log and a request name nobody."""

import pytest

from bulkpoint.errors import RefusedError
from bulkpoint.intake.problems import Problems
from bulkpoint.rules.findings import (
    FileFindings,
    Finding,
    FindingName,
    from_facts,
    hide_members,
    refusal_without_members,
    shown,
    to_facts,
    why_refused,
)
from bulkpoint.rules.refusals import Refusal
from bulkpoint.views.preview import FindingView, finding_line
from bulkpoint.views.sentences import sentence

MEMBER, OTHER = "member-7410001", "member-7410002"


@pytest.fixture
def findings() -> tuple[Finding, ...]:
    """Of a list in the database, but for what only a file can have."""
    found = FileFindings()
    alike = Refusal("LOOKS_LIKE_ID", {"other_row": None, "other": shown(OTHER)})
    found.note(FindingName.LOOK_ALIKE_IDS, row=None, value=MEMBER, why=alike)
    far = Refusal("IS_FAR_ABOVE", {"points": 9_000, "next_points": 5})
    found.note(FindingName.OUTLIER_AMOUNT, row=None, value=OTHER, why=far)
    found.note(FindingName.LAST_LINE_CUT, row=3, value=f"{MEMBER},5", why=Refusal("NO_LINE_END"))
    unseen = Refusal("HAS_UNSEEN_CHARACTER", {"character": "U+FEFF"})
    found.note(FindingName.INVISIBLE_IN_REASON, row=None, value="spring", why=unseen)
    return found.found()


def said_of(findings: tuple[Finding, ...]) -> str:
    lines = [finding_line(finding, "campaign start 3") for finding in findings]
    views = [FindingView.of(finding, language=language).as_json() for finding in findings for language in ("en", "ko")]
    return "\n".join([*lines, *views])


def test_a_finding_is_shown_with_or_without_its_members(findings: tuple[Finding, ...]) -> None:
    assert {name in said_of(findings) for name in (MEMBER, OTHER)} == {True}
    hidden = said_of(hide_members(findings))
    assert "7410" not in hidden
    assert "mem••••1" in hidden
    assert "9,000" in hidden, "an amount is no member"
    assert "spring" in hidden, "a reason is no member"


def test_a_finding_that_is_shown_without_members_is_kept_with_them(findings: tuple[Finding, ...]) -> None:
    for finding in hide_members(findings):
        kept = from_facts(finding.name, to_facts(finding), at_stake=finding.at_stake, accepted_by=None)
        assert kept.examples == finding.examples


def test_what_a_log_or_a_kept_request_says_of_a_refused_list_names_no_member(findings: tuple[Finding, ...]) -> None:
    facts = {"campaign_id": 3, "finding_count": len(findings), **why_refused(findings)}
    error = RefusedError("LIST_HAS_FINDINGS", **facts)
    assert MEMBER in sentence(error)
    said = sentence(refusal_without_members(error.refusal))
    assert "7410" not in said
    assert "LOOK_ALIKE_IDS" in said


def test_a_value_that_is_no_example_of_a_list_stays_in_a_log() -> None:
    refusal = Refusal("SETTING_WRONG", {"value": "'12 apples'", "why": Refusal("AS_EXPECTED")})
    assert refusal_without_members(refusal) == refusal


def test_the_lines_about_a_file_can_be_said_without_its_members() -> None:
    problems = Problems()
    problems.add(2, "member_id", f"member_id '{MEMBER}' is in row 1 already.", MEMBER)
    problems.add(3, "amount", "amount is '1.5': points are whole.", "1.5")
    problems.add(4, "", "two values are missing.", f"{MEMBER},5")
    for row in range(10, 40):
        problems.add(row, "member_id", "member_id has a control character (U+0007): remove it.", f"{OTHER}\x07")
    for line in problems.summed_up():
        assert "7410" not in line.without_member()
    assert any("'1.5'" in line.without_member() for line in problems.summed_up())
