"""Spark starts beside the work that makes the run: either may fail, and neither leaves the other behind."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bulkpoint.errors import RefusedError, UnreachableError
from bulkpoint.launch import spark_session
from bulkpoint.launch.signals import Terminated
from bulkpoint.launch.spark_session import starting_spark
from bulkpoint.settings import load_settings


class Session:
    """A Spark session that only knows whether it was stopped."""

    def __init__(self) -> None:
        self.stopped = False

    def stop(self) -> None:
        self.stopped = True


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Session:
    session = Session()
    monkeypatch.setattr(spark_session, "_refuse_speculation", lambda: None)
    monkeypatch.setattr(spark_session, "start_spark", lambda *_: session)
    monkeypatch.setattr(spark_session, "count_shares", lambda *_: 3)
    monkeypatch.setattr(spark_session, "_get_ready", lambda *_: None)
    return session


def starting() -> Any:
    return starting_spark(1, load_settings({}), Path("passfile"), "dbname=none")


def fails(error: BaseException) -> Callable[..., Any]:
    def fail(*_: object) -> Any:
        raise error

    return fail


def test_spark_is_stopped_when_the_run_has_ended(session: Session) -> None:
    with starting() as spark:
        assert (spark().session, spark().shares) == (session, 3)
        assert not session.stopped
    assert session.stopped


def test_a_refused_run_stops_a_spark_that_is_still_starting(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = threading.Event()

    def start(*_: object) -> Session:
        assert refused.wait(10)
        return session

    monkeypatch.setattr(spark_session, "start_spark", start)
    threading.Timer(0.1, refused.set).start()
    with pytest.raises(RefusedError), starting():
        raise RefusedError("SPARK_SPECULATES", "set_speculation_off")
    assert session.stopped


@pytest.mark.parametrize("step", ["start_spark", "count_shares"])
def test_why_spark_does_not_start_is_raised_where_it_is_waited_for(
    session: Session, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    why = UnreachableError("SPARK_DID_NOT_START", why="no Java")
    monkeypatch.setattr(spark_session, step, fails(why))
    with pytest.raises(UnreachableError) as raised, starting() as spark:
        spark()
    assert raised.value is why
    assert session.stopped == (step == "count_shares"), "what has started is stopped"


def test_a_signal_waits_for_no_spark_that_never_starts(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    never = threading.Event()
    monkeypatch.setattr(spark_session, "start_spark", lambda *_: never.wait(30))
    done = threading.Event()

    def work() -> None:
        with pytest.raises(Terminated), starting():
            raise Terminated(15)
        done.set()

    threading.Thread(target=work, daemon=True).start()
    ended = done.wait(5)
    never.set()
    assert ended


def test_a_warm_up_whose_session_is_stopped_says_nothing(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    warm = threading.Event()
    said: list[Any] = []

    def warm_up(*_: object) -> None:
        warm.set()
        raise AttributeError("'NoneType' object has no attribute 'setCallSite'")

    monkeypatch.setattr(spark_session, "_get_ready", warm_up)
    monkeypatch.setattr(threading, "excepthook", said.append)
    with starting() as spark:
        assert warm.wait(10)
        spark()
        for thread in threading.enumerate():
            if thread.name == "spark":
                thread.join(10)
    assert said == []


def test_a_run_that_waits_for_spark_already_is_not_kept_waiting(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting, readied = threading.Event(), threading.Event()

    def start(*_: object) -> Session:
        assert waiting.wait(10)
        return session

    monkeypatch.setattr(spark_session, "start_spark", start)
    monkeypatch.setattr(spark_session, "_get_ready", lambda *_: readied.set())
    with starting() as spark:
        threading.Timer(0.1, waiting.set).start()
        assert spark().session is session
        for thread in threading.enumerate():
            if thread.name == "spark":
                thread.join(10)
    assert not readied.is_set()
