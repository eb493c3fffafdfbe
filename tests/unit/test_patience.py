"""What goes on for ever says once that something is out of reach, and once that it is back."""

import time
from collections.abc import Iterator
from itertools import islice

import pytest

from bulkpoint.errors import RefusedError, UnreachableError
from bulkpoint.events import patience
from bulkpoint.events.patience import Recovered, repeat

SPARK = UnreachableError("SPARK_DID_NOT_START", why="x")
DATABASE = UnreachableError("DATABASE_WENT_AWAY", database="db", why="x")


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "TRY_AGAIN_S", 0.0)


def turns(*outcomes: int | Exception) -> Iterator[object]:
    """What is seen of turns that end so."""
    left = iter(outcomes)

    def turn() -> int:
        outcome = next(left)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return repeat(turn, pause_s=lambda _: 0.0)


def test_the_same_absence_is_said_once_and_another_one_again() -> None:
    again = UnreachableError("SPARK_DID_NOT_START", why="x")
    seen = list(islice(turns(1, SPARK, again, again, DATABASE, SPARK, 2), 6))
    assert seen == [1, SPARK, DATABASE, SPARK, Recovered(), 2]


def test_an_absence_after_a_recovery_is_said_again() -> None:
    assert list(islice(turns(SPARK, 1, SPARK, 2), 6)) == [SPARK, Recovered(), 1, SPARK, Recovered(), 2]


def test_the_pause_after_a_turn_is_what_the_turn_asks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    left = iter([3.0, 4.0, 5.0])

    def turn() -> float:
        return next(left)

    def as_asked(seconds: float) -> float:
        return seconds

    seen = repeat(turn, pause_s=as_asked)
    assert list(islice(seen, 3)) == [3.0, 4.0, 5.0]
    assert slept == [3.0, 4.0]


def test_a_refusal_is_not_waited_out() -> None:
    with pytest.raises(RefusedError):
        next(turns(RefusedError("ENDED_MEANWHILE", campaign_id=1)))
