"""A member is named to the operator, masked for who may not see it, and named to nobody outside."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bulkpoint.rules.member_names import MASK, is_masked, masked, masked_in, named, without_members
from bulkpoint.rules.targets import check_row


@given(st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=4), st.text("abc «»", max_size=5))
@example("«»«»", "")
@example("m-1»", "")
def test_no_part_of_a_member_is_left_in_a_reason_that_leaves_the_system(member_id: str, word: str) -> None:
    reason = f"MISMATCH: {word.replace('«', '').replace('»', '')} (payment 1, member {named(member_id)})"
    outside = without_members(reason)
    assert outside.endswith("(payment 1, member ***)")
    assert named(member_id) not in outside


@pytest.mark.parametrize("reason", ["", "token expired", "a person's own «word", "MISMATCH: no"])
def test_a_reason_without_a_member_stays_as_it_is(reason: str) -> None:
    assert without_members(reason) == reason


@pytest.mark.parametrize(
    ("member_id", "shown"),
    [
        ("7", "••••"), ("m-123", "••••"), ("m-1234", "m••••"), ("1234567", "1••••"), ("m-000001", "m-••••1"),
        ("01012345678", "010••••8"), ("kim@example.com", "kim••••m"), ("회원번호000001", "회원••••1"),
    ],
)  # fmt: skip
def test_a_mask_shows_where_an_id_belongs_and_not_whose_it_is(member_id: str, shown: str) -> None:
    assert masked(member_id) == shown


@given(st.text(min_size=1, max_size=128))
@example("x" * 128)
def test_a_mask_tells_at_most_a_third_of_an_id_and_never_its_length(member_id: str) -> None:
    mask = masked(member_id)
    assert len(mask.replace(MASK, "", 1)) * 2 <= len(member_id)
    assert len(mask) <= 8
    assert mask == masked(member_id)


@given(st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=128))
def test_a_mask_is_never_taken_for_a_member(member_id: str) -> None:
    assert is_masked(masked(member_id))
    assert "member_id_not_masked" in [violation.rule for violation in check_row(masked(member_id), 5, "r")]


@pytest.mark.parametrize(
    ("text", "member_id", "shown"),
    [
        ("no member m-000001 here, m-000001!", "m-000001", "no member m-••••1 here, m-••••1!"),
        ("key=xm-000001y", "m-000001", "key=xm-••••1y"),
        ("member 7 of 17, code 707, 회원7님", "7", "member •••• of 17, code 707, 회원••••님"),
        ("no member", "m-000001", "no member"),
        ("a\\1b a\\1bcdef", "a\\1bcdef", "a\\1b a\\••••f"),
    ],
)
def test_an_id_is_masked_inside_a_text_about_its_member(text: str, member_id: str, shown: str) -> None:
    assert masked_in(text, member_id) == shown
