"""Connections that outlast their loss: a thread's turns on a link of its own, each question asked once a turn."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from bulkpoint.errors import UnreachableError
from bulkpoint.store.connect import Connection, Link, PeriodicLink, connect
from tests.world.waiting import wait_for


def ask_backend(connection: Connection) -> int:
    row = connection.execute("select pg_backend_pid()").fetchone()
    assert row is not None
    return int(row[0])


@contextmanager
def turning(database_url: str, turn: Callable[[Link], bool]) -> Iterator[PeriodicLink]:
    link = PeriodicLink(database_url, turn, name="turns", thread_name="turns", every_s=0.02, answer_s_max=0.5)
    try:
        yield link
    finally:
        link.stop()


def threads_named(name: str) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == name]


def test_turns_come_again_on_one_connection_until_they_are_stopped(database_url: str) -> None:
    backends: list[int] = []

    def turn(link: Link) -> bool:
        backends.append(link.ask(ask_backend))
        return True

    with turning(database_url, turn):
        wait_for(lambda: len(backends) >= 3, "three turns")
    turns = len(backends)
    assert len(set(backends)) == 1
    assert threads_named("turns") == [], "stop joins"
    time.sleep(0.1)
    assert len(backends) == turns
    with connect(database_url) as connection:
        left = "select count(*) from pg_stat_activity where application_name = 'turns'"
        wait_for(lambda: connection.execute(left).fetchone() == (0,), "the end of its connection")


def test_the_turn_after_a_lost_connection_has_another_one(database_url: str) -> None:
    backends: list[int] = []
    lost: list[UnreachableError] = []

    def turn(link: Link) -> bool:
        try:
            backends.append(link.ask(ask_backend))
        except UnreachableError as error:
            lost.append(error)
        return True

    with turning(database_url, turn), connect(database_url) as connection:
        wait_for(lambda: backends, "a turn")
        connection.execute("select pg_terminate_backend(%s)", (backends[0],))
        wait_for(lambda: len(set(backends)) == 2, "a turn on a new connection")
    assert len(lost) == 1, "a question is asked once; the next turn asks on a new connection"


def test_an_answer_that_takes_too_long_is_not_waited_for(database_url: str) -> None:
    asked_s: list[float] = []

    def turn(link: Link) -> bool:
        began = time.monotonic()
        with pytest.raises(UnreachableError):
            link.ask(lambda connection: connection.execute("select pg_sleep(30)"))
        asked_s.append(time.monotonic() - began)
        return False

    with turning(database_url, turn):
        wait_for(lambda: asked_s, "the time-out")
    assert asked_s[0] < 5


def test_a_turn_may_be_the_last_by_its_own_word(database_url: str) -> None:
    turns: list[int] = []

    def turn(_link: Link) -> bool:
        turns.append(1)
        return False

    with turning(database_url, turn):
        wait_for(lambda: not threads_named("turns"), "the end of the turns")
        time.sleep(0.1)
    assert turns == [1]
