"""A server that has no connection, no lock or no memory left says so in sentences of their own, by real errors."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from bulkpoint.rules.causes import Cause
from bulkpoint.store.connect import Connection, DatabaseAwayError, Link, connect, reachable
from tests.world.campaigns import World
from tests.world.command_line import CommandLine
from tests.world.logins import new_login
from tests.world.refusals import refused

# More than the lock table of any test server has room for.
LOCKS = 200_000


@contextmanager
def full_lock_table(database_url: str) -> Iterator[None]:
    """Another session has taken every lock there is room for."""
    with connect(database_url) as other, other.transaction(force_rollback=True):
        taken, step = 0, 4_096
        while step:
            try:
                with other.transaction():
                    other.execute(
                        "select pg_advisory_xact_lock(n) from generate_series(%s::bigint, %s::bigint) n",
                        (taken + 1, taken + step),
                    )
                taken += step
                assert taken < LOCKS, "the lock table has no end"
            except psycopg.errors.OutOfMemory:
                step //= 2
        yield


def test_a_lock_table_that_is_full_is_said_and_waited_for(connection: Connection, database_url: str) -> None:
    link = Link(database_url, name="the test", answer_s_max=20, patience_s=0)
    link.open()
    with (
        full_lock_table(database_url),
        refused(
            "lock table of the database .* is full.*out of shared memory.*campaign archive.*max_locks_per_transaction",
            DatabaseAwayError,
            code="DATABASE_LOCKS_SPENT",
        ) as away,
    ):
        link.ask(lambda theirs: theirs.execute("select pg_advisory_lock(-n) from generate_series(1, 5000) n"))
    assert isinstance(away.value, DatabaseAwayError)
    assert away.value.ruling.cause is Cause.LOCK_TABLE_FULL
    assert link.ask(lambda theirs: theirs.execute("select 1").fetchall()) == [(1,)]


def test_a_command_that_finds_the_lock_table_full_ends_with_6_and_says_what_to_do(
    world: World, database_url: str, bulkpoint: CommandLine
) -> None:
    world.campaign(3).begun().ended("COMPLETED")
    with full_lock_table(database_url):
        answer = bulkpoint("check")
    assert answer.returncode == 6, answer.stderr
    assert "The lock table of the database" in answer.stderr
    assert "`bulkpoint campaign archive`" in answer.stderr


def test_a_server_without_memory_is_said(database_url: str, connection: Connection) -> None:
    with (
        refused("is out of memory: .*work_mem", DatabaseAwayError, code="DATABASE_MEMORY_SPENT"),
        reachable(database_url),
    ):
        connection.execute("do $$ begin raise exception 'out of memory' using errcode = '53200'; end $$")


def test_a_command_without_a_free_connection_ends_with_6_and_says_what_to_do(
    connection: Connection, database_url: str, bulkpoint: CommandLine
) -> None:
    with new_login(connection, database_url) as login:
        login.alter("nosuperuser connection limit 0")
        answer = bulkpoint(
            "campaign",
            "list",
            "--json",
            BULKPOINT_DATABASE_URL=re.sub("//[^@/]*@", f"//{login.name}@", database_url),
            PGPASSFILE=passfile(bulkpoint, login.passfile_line),
        )
    assert answer.returncode == 6
    assert answer.json["error"]["code"] == "DATABASE_CONNECTIONS_SPENT"
    assert "has no connection left for this login" in answer.stderr
    assert "Raise the limit of the login, the database or the server" in answer.stderr


def passfile(bulkpoint: CommandLine, line: str) -> str:
    file = bulkpoint.folder / "passfile"
    file.write_text(line)
    file.chmod(0o600)
    return str(file)


@pytest.mark.parametrize(("share", "kinds"), [(1.5, []), (0.7, ["LOCK_TABLE_SMALL"]), (0.2, ["LOCK_TABLE_SMALL"])])
def test_more_tables_than_a_dump_has_locks_for_are_named(
    world: World, monkeypatch: pytest.MonkeyPatch, share: float, kinds: list[str]
) -> None:
    """share: of what the tables and their indexes need, so much room there is."""
    from bulkpoint.campaigns.check import find_troubles
    from bulkpoint.settings import load_settings
    from bulkpoint.store.trouble import read_lock_table

    locks = read_lock_table(world.connection)
    assert locks.indexes > locks.tables / 2
    room = (locks.tables + locks.indexes) * share
    monkeypatch.setattr("bulkpoint.campaigns.check.LOCKS_SHARE_MAX", room / locks.room)
    found = [each for each in find_troubles(world.connection, load_settings(), notified=()) if "SMALL" in each.kind]
    assert [each.kind for each in found] == kinds
    for each in found:
        assert each.needs_person == (locks.tables > room)
