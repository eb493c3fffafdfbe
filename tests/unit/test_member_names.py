"""A halt's reason names its member to the operator, and to nobody outside."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bulkpoint.rules.member_names import named, without_members


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
