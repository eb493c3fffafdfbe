"""Connections that outlast their loss: a thread's turns on a link of its own, each question asked once a turn."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from bulkpoint.errors import UnreachableError
from bulkpoint.rules.causes import Cause
from bulkpoint.rules.invariants import DefectError
from bulkpoint.store import connect as connect_module
from bulkpoint.store import session
from bulkpoint.store.connect import Connection, DatabaseAwayError, Link, PeriodicLink, connect
from tests.world.logins import Login, new_login
from tests.world.refusals import refused
from tests.world.waiting import wait_for


def ask_backend(connection: Connection) -> int:
    row = connection.execute("select pg_backend_pid()").fetchone()
    assert row is not None
    return int(row[0])


@contextmanager
def turning(
    database_url: str, turn: Callable[[Link], bool], heard: list[Exception] | None = None
) -> Iterator[PeriodicLink]:
    heard = [] if heard is None else heard
    link = PeriodicLink(
        database_url,
        turn,
        name="turns",
        thread_name="turns",
        every_s=0.02,
        answer_s_max=0.5,
        on_trouble=heard.append,
    )
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


def test_a_turn_that_raises_ends_the_turns_and_its_owner_hears_why(
    database_url: str, recwarn: pytest.WarningsRecorder
) -> None:
    heard: list[Exception] = []

    def turn(_link: Link) -> bool:
        raise DefectError("the sums do not hold")

    with turning(database_url, turn, heard) as link:
        wait_for(lambda: heard, "the owner to hear of it")
        wait_for(lambda: not threads_named("turns"), "the end of the turns")
    assert link.trouble is heard[0]
    assert str(heard[0]) == "the sums do not hold"
    assert not recwarn.list, "no thread ends with a traceback"


# What a DBA does to the server, the database or the login


@pytest.fixture
def login(connection: Connection, database_url: str) -> Iterator[Login]:
    with new_login(connection, database_url) as login:
        yield login


def soon(link: Link, statement: str) -> list[tuple[Any, ...]]:
    """What the statement returns when it is asked until there is an answer."""
    with closing(link):
        return link.ask(lambda connection: connection.execute(statement.encode()).fetchall())


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connect_module, "ASK_AGAIN_S", 0.05)
    monkeypatch.setattr(connect_module, "WAIT_S", 0.1)


def later(do: Callable[[], object], seconds: float) -> threading.Timer:
    timer = threading.Timer(seconds, do)
    timer.start()
    return timer


def test_a_database_that_turns_read_only_is_waited_for_on_a_new_connection(
    connection: Connection, login: Login
) -> None:
    connection.execute("create table t (at int, backend int default pg_backend_pid())")
    link = Link(login.url, name="the test", answer_s_max=5, patience_s=20)
    first = link.ask(ask_backend)
    login.alter("set default_transaction_read_only = on")
    connection.execute("select pg_terminate_backend(%s)", (first,))
    timer = later(lambda: login.alter("reset default_transaction_read_only"), 0.5)
    rows = soon(link, "insert into t values (1) returning backend")
    timer.join()
    assert len(rows) == 1
    assert connection.execute("select count(*) from t").fetchone() == (1,), "once"


def test_a_session_that_turns_read_only_is_given_up_for_another_one(connection: Connection, database_url: str) -> None:
    """As with a switch-over that leaves the old node readable: a new connection may reach the new primary."""
    connection.execute("create table t ()")
    link = Link(database_url, name="the test", answer_s_max=5, patience_s=20)
    link.open().execute("set default_transaction_read_only = on")
    assert soon(link, "insert into t default values returning 1") == [(1,)]


def test_a_database_that_stays_read_only_is_named_so(login: Login) -> None:
    login.alter("set default_transaction_read_only = on")
    link = Link(login.url, name="the test", answer_s_max=5, patience_s=0.3)
    words = r"cannot be used now: it is read-only, so it accepts no writes \(cannot execute CREATE TABLE in a read-only"
    with refused(words, DatabaseAwayError):
        soon(link, "create table t ()")


def test_a_login_without_a_free_connection_waits_for_one(connection: Connection, login: Login) -> None:
    login.alter("nosuperuser connection limit 1")
    taken = connect(login.url)
    link = Link(login.url, name="the test", answer_s_max=5, patience_s=20)
    with refused("too many connections.*Raise the limit .*BULKPOINT_PARTITIONS", DatabaseAwayError) as away:
        link.open()
    assert isinstance(away.value, DatabaseAwayError)
    assert away.value.ruling.cause is Cause.TOO_MANY_CONNECTIONS
    timer = later(taken.close, 0.5)
    assert soon(link, "select 1") == [(1,)]
    timer.join()


def test_a_permission_that_is_missing_is_said_at_once(connection: Connection, login: Login) -> None:
    connection.execute("create table t ()")
    login.alter("nosuperuser")
    link = Link(login.url, name="the test", answer_s_max=5, patience_s=600)
    with refused(r"refuses this login: permission denied for table t\. Its administrator grants"):
        soon(link, "select from t")


@pytest.mark.parametrize(
    "setting",
    [
        "statement_timeout = '200ms'",
        "lock_timeout = '200ms'",
        "idle_in_transaction_session_timeout = '200ms'",
        "idle_session_timeout = '200ms'",
        pytest.param("transaction_timeout = '200ms'", id="transaction_timeout"),
    ],
)
def test_a_time_out_of_the_login_ends_none_of_our_sessions(connection: Connection, login: Login, setting: str) -> None:
    if connection.info.server_version < 170000 and "transaction_timeout" in setting:
        setting = "statement_timeout = '200ms'"  # this one came with PostgreSQL 17
    connection.execute("create table t ()")
    login.alter(f"set {setting}")
    with connect(login.url) as theirs:
        locked = threading.Thread(target=lock_for, args=(connection, 0.4))
        locked.start()
        time.sleep(0.05)
        with theirs.transaction():
            theirs.execute("select from t")
            time.sleep(0.3)
            theirs.execute("select pg_sleep(0.3)")
        locked.join()
        time.sleep(0.3)
        assert theirs.execute("select 1").fetchone() == (1,)


def lock_for(connection: Connection, seconds: float) -> None:
    with connection.transaction():
        connection.execute("lock table t")
        time.sleep(seconds)


@pytest.mark.parametrize("isolation", ["serializable", "repeatable read"])
def test_an_isolation_that_the_login_has_by_default_is_not_ours(login: Login, isolation: str) -> None:
    login.alter(f"set default_transaction_isolation = '{isolation}'")
    with connect(login.url) as theirs:
        shown = "select current_setting('transaction_isolation')"
        assert theirs.execute(shown.encode()).fetchone() == ("read committed",)
        with theirs.transaction():
            assert theirs.execute(shown.encode()).fetchone() == ("read committed",)


def test_behind_a_pooler_the_session_is_left_alone_and_a_conflict_is_asked_again(
    connection: Connection, login: Login, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The session of a transaction pooler has another process id than the one that we are given."""
    monkeypatch.setattr(session, "settle_session", lambda theirs: session._SESSION.all(theirs, pid=1))
    monkeypatch.setattr(connect_module, "settle_session", session.settle_session)
    connection.execute("create table t as select 0 as n")
    login.alter("set default_transaction_isolation = 'repeatable read'")
    link = Link(login.url, name="the test", answer_s_max=5, patience_s=20)
    asked = []

    def question(theirs: Connection) -> None:
        asked.append(theirs)
        assert theirs.execute("select current_setting('transaction_isolation')").fetchone() == ("repeatable read",)
        theirs.execute("update t set n = n + 1 where pg_advisory_xact_lock(1) is not null")

    def change() -> None:
        waits = "select pid from pg_stat_activity where datname = current_database() and wait_event = 'advisory'"
        wait_for(lambda: connection.execute(waits).fetchone(), "the statement, which has its snapshot")
        connection.execute("update t set n = n + 10")
        connection.execute("select pg_advisory_unlock(1)")

    connection.execute("select pg_advisory_lock(1)")
    timer = later(change, 0)
    link.ask(question)
    timer.join()
    link.close()
    assert connection.execute("select n from t").fetchone() == (11,)
    assert len(asked) == 2, "the first one met the other's change"
    assert asked[0] is asked[1], "on the same connection"


def test_a_transition_is_not_ended_by_the_time_outs_of_the_login_even_behind_a_pooler(
    connection: Connection, login: Login
) -> None:
    login.alter("set statement_timeout = '50ms'")
    with psycopg.connect(login.url, autocommit=True) as theirs, theirs.transaction():
        session.settle_transaction(theirs)
        theirs.execute("select pg_sleep(0.2)")


def test_a_statement_cancelled_by_hand_is_asked_again(connection: Connection, database_url: str) -> None:
    asked: list[int] = []

    def question(theirs: Connection) -> None:
        asked.append(theirs.info.backend_pid)
        theirs.execute("select pg_sleep(%s)", (30 if len(asked) == 1 else 0,))

    def cancel() -> None:
        sleeps = "select pid from pg_stat_activity where pid = any(%s) and wait_event = 'PgSleep'"
        wait_for(lambda: connection.execute(sleeps, (asked,)).fetchone(), "the statement")
        connection.execute("select pg_cancel_backend(%s)", (asked[0],))

    timer = later(cancel, 0)
    with closing(Link(database_url, name="the test", answer_s_max=20, patience_s=20)) as link:
        link.ask(question)
    timer.join()
    assert len(asked) == 2


def test_a_password_that_changed_is_read_anew_for_the_next_connection(
    connection: Connection, login: Login, tmp_path: Path
) -> None:
    passfile = tmp_path / "pgpass"
    passfile.write_text(login.passfile_line)
    passfile.chmod(0o600)
    url = make_conninfo(login.address, passfile=str(passfile))
    link = Link(url, name="the test", answer_s_max=5, patience_s=20)
    backend = link.ask(ask_backend)
    login.alter("password 'another'")
    connection.execute("select pg_terminate_backend(%s)", (backend,))
    new = login.passfile_line.rpartition(":")[0] + ":another\n"
    timer = later(lambda: passfile.write_text(new), 0.5)
    assert soon(link, "select 1") == [(1,)]
    timer.join()
