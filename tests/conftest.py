"""One embedded PostgreSQL for the session, and for each test a database of its own, cloned from a migrated one."""

import itertools
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql

from bulkpoint.embedded.kafka import KafkaBroker, embedded_kafka
from bulkpoint.embedded.postgres import embedded_postgres
from bulkpoint.embedded.postgres_programs import VERSION, PostgresPrograms
from bulkpoint.errors import BulkpointError
from bulkpoint.store.connect import Connection, Database, connect
from bulkpoint.store.migrate import migrate
from bulkpoint.views.languages import LANGUAGES
from bulkpoint.views.sentences import sentence
from tests.world.campaigns import World

_TEMPLATE = "bulkpoint_template"
_clone_numbers = itertools.count(1)


@pytest.fixture(scope="session", autouse=True)
def _settings_of_nobody() -> Iterator[None]:
    """What the developer has set in the shell must not decide a test."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("BULKPOINT_")]:
            patch.delenv(name)
        yield


@pytest.fixture(scope="session", autouse=True)
def _sigint_is_heard() -> None:
    """A shell that runs the tests in the background hands SIGINT down ignored, to what the tests start too."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _every_error_can_be_said() -> Iterator[None]:
    """An error that lacks a fact of its own sentence, in either language, fails the test that meets it."""
    make = BulkpointError.__init__

    def make_and_say(error: BulkpointError, *arguments: Any, **facts: Any) -> None:
        make(error, *arguments, **facts)
        for language in LANGUAGES:
            sentence(error, language=language)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BulkpointError, "__init__", make_and_say)
        yield


@pytest.fixture(scope="session")
def reachable_tmp() -> Iterator[Path]:
    """A folder that the server's account can reach also when the tests run as root; pytest's own cannot be reached."""
    folder = Path(tempfile.mkdtemp(prefix="bulkpoint-test-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def postgres_server(reachable_tmp: Path) -> Iterator[Database]:
    """The session's server, with PGPASSFILE set; it is stopped at the end."""
    programs = PostgresPrograms(os.environ.get("TEST_POSTGRES", VERSION))  # another one: make check-oldest-postgres
    with embedded_postgres(reachable_tmp / "session", programs) as database, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PGPASSFILE", str(database.passfile))
        yield database


@pytest.fixture(scope="session")
def _template(postgres_server: Database) -> str:
    with psycopg.connect(postgres_server.url, autocommit=True) as connection:
        # A database a test waits for the disk four times as long as for all else; here no power fails.
        connection.execute("ALTER SYSTEM SET fsync = off")
        connection.execute("SELECT pg_reload_conf()")
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(_TEMPLATE)))
    migrate(_with_name(postgres_server.url, _TEMPLATE))
    return _TEMPLATE


@pytest.fixture
def database_url(postgres_server: Database, _template: str) -> Iterator[str]:
    """The address of a migrated database of this test's own."""
    with _clone(postgres_server.url, _template) as url:
        yield url


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    """A connection to this test's own database."""
    with connect(database_url) as connection:
        yield connection


@pytest.fixture
def world(connection: Connection) -> World:
    """This test's own database with a limit of 100 TPS in two shares, ready for campaigns (tests/world)."""
    return World(connection)


@pytest.fixture(scope="module")
def database_url_of_module(postgres_server: Database, _template: str) -> Iterator[str]:
    """The same, for tests that look at one run from several sides."""
    with _clone(postgres_server.url, _template) as url:
        yield url


@pytest.fixture(scope="session")
def _kafka_of_session() -> Iterator[KafkaBroker]:
    with tempfile.TemporaryDirectory(prefix="bulkpoint-kafka-") as folder, embedded_kafka(Path(folder)) as broker:
        yield broker


@pytest.fixture
def kafka(_kafka_of_session: KafkaBroker) -> KafkaBroker:
    """The session's broker, running, whatever the last test did to it; no topic comes about by itself. Each test makes
    topics of its own."""
    _kafka_of_session.start()
    return _kafka_of_session


@contextmanager
def _clone(server_url: str, template: str) -> Iterator[str]:
    name = sql.Identifier(f"test_{next(_clone_numbers)}")
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(name, sql.Identifier(template)))
        yield _with_name(server_url, name.as_string().strip('"'))
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))


def _with_name(url: str, database: str) -> str:
    return urlsplit(url)._replace(path=f"/{database}").geturl()
