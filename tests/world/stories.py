"""Stories: one long course of events, played once, that many tests look at from their several sides.

    class Drivers(Story):
        first: Ended                  # a fact: an annotation, told where the story comes to it

    def play(story: Drivers) -> None:
        with story.chapter("the first driver falls asleep"):
            story.first = job.end()

A test that reads a fact which the story did not come to fails: the first of them with the cause, the others with a line
that names that chapter and that test.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self

import pytest


class StoryBrokeError(AssertionError):
    """What a story was to tell did not come about."""


class Story:
    """Facts by name, as far as the story came."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._chapter = "before its first chapter"
        self._chapters = 0
        self._error: Exception | None = None
        self._shown_in: str | None = None

    def played(self, play: Callable[[Self], None]) -> Self:
        """The story after it was played, to its end or to where it broke."""
        try:
            play(self)
        except Exception as error:  # noqa: BLE001 (whoever reads a fact that is missing gets it)
            self._error = error
        return self

    @contextmanager
    def chapter(self, title: str) -> Iterator[None]:
        """What goes wrong in the block, goes wrong in this chapter."""
        self._chapters += 1
        self._chapter = f"in chapter {self._chapters}, {title}"
        yield

    def __getattr__(self, fact: str) -> Any:
        __tracebackhide__ = True
        if fact.startswith("_"):
            raise AttributeError(fact)
        if self._error is None:
            raise AttributeError(f"the story of the {self._name} tells nothing of {fact!r}")
        broke = f"the story of the {self._name} broke {self._chapter}"
        if self._shown_in is None:
            self._shown_in = os.environ.get("PYTEST_CURRENT_TEST", "").partition(" ")[0].rpartition("::")[2]
            raise StoryBrokeError(f"{broke}: {self._error}") from self._error
        pytest.fail(f"{broke}: see {self._shown_in}", pytrace=False)
