"""A story that breaks: its first reader shows why, the others say where in one line, and nobody passes."""

import pytest

from tests.world.stories import Story, StoryBrokeError


class Tale(Story):
    told: str
    missing: str
    missing_too: str


def play(tale: Tale) -> None:
    with tale.chapter("a beginning"):
        tale.told = "once upon a time"
    with tale.chapter("a dragon comes"):
        raise ZeroDivisionError("no dragon")


def test_what_a_story_told_before_it_broke_is_there() -> None:
    assert Tale("dragon").played(play).told == "once upon a time"


def test_the_first_reader_of_what_is_missing_shows_the_cause_and_the_others_where_to_look() -> None:
    tale = Tale("dragon").played(play)
    with pytest.raises(
        StoryBrokeError, match="story of the dragon broke in chapter 2, a dragon comes: no dragon"
    ) as told:
        assert tale.missing
    assert isinstance(told.value.__cause__, ZeroDivisionError)
    this = "test_the_first_reader_of_what_is_missing_shows_the_cause_and_the_others_where_to_look"
    for _ in range(2):
        with pytest.raises(pytest.fail.Exception) as again:
            assert tale.missing_too
        assert again.value.msg == f"the story of the dragon broke in chapter 2, a dragon comes: see {this}"
        assert not again.value.pytrace


def test_a_fact_that_a_whole_story_never_tells_is_a_defect_of_the_test() -> None:
    with pytest.raises(AttributeError, match="tells nothing of 'missing'"):
        assert Tale("dragon").played(lambda tale: setattr(tale, "told", "all")).missing
