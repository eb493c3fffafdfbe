"""Waiting for what comes in its own time: one bounded loop for all tests, which says what it waited for."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

# How often it is looked; a look at the database costs a millisecond.
LOOK_EVERY_S = 0.02


def wait_for(look: Callable[[], T], what: str | Callable[[], str], *, seconds: float = 30.0) -> T:
    """Look until there is something true, and return it.

    what: what is waited for, as the end of "waited ... s for"; a function where saying it means looking again. After so
    many seconds the test fails.
    """
    deadline = time.monotonic() + seconds
    while not (found := look()):
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds:g} s for {what if isinstance(what, str) else what()}")
        time.sleep(LOOK_EVERY_S)
    return found


def sleep_until(at: float) -> None:
    """Until this moment of the wall clock, seconds since 1970: where a test is about what does not happen before it."""
    time.sleep(max(0.0, at - time.time()))
