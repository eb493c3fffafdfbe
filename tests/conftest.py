"""One embedded PostgreSQL for the session, and for each test a database of its own, cloned from a migrated one."""

import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from bulkpoint.embedded.kafka import KafkaBroker, embedded_kafka
from bulkpoint.embedded.postgres import embedded_postgres
from bulkpoint.embedded.postgres_programs import VERSION, PostgresPrograms
from bulkpoint.errors import BulkpointError
from bulkpoint.store.connect import Connection, Database, connect
from bulkpoint.views.languages import LANGUAGES
from bulkpoint.views.sentences import sentence
from tests.world.browser import WebPage, served
from tests.world.campaigns import World
from tests.world.command_line import CommandLine
from tests.world.databases import TestServer
from tests.world.logins import NewPerson, people

NewDatabase = Callable[[], AbstractContextManager[str]]


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
def new_database(postgres_server: Database) -> Iterator[NewDatabase]:
    """Makes a migrated database and gives its address, for a block."""
    server = TestServer(postgres_server.url)
    yield server.new_database
    server.close()


@pytest.fixture
def database_url(new_database: NewDatabase) -> Iterator[str]:
    """The address of a migrated database of this test's own."""
    with new_database() as url:
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
def database_url_of_module(new_database: NewDatabase) -> Iterator[str]:
    """The same, for tests that look at one run from several sides."""
    with new_database() as url:
        yield url


@pytest.fixture
def bulkpoint(database_url: str, tmp_path: Path) -> CommandLine:
    """The command line, as `bulkpoint("campaign", "list")`, with this test's own database and folder (tests/world)."""
    ours = {"BULKPOINT_DATABASE_URL": database_url, "BULKPOINT_DATA_DIR": str(tmp_path / "data")}
    return CommandLine(os.environ | ours, tmp_path)


@pytest.fixture
def web(database_url: str, tmp_path: Path) -> Iterator[WebPage]:
    """The page over this test's own database; `web.signed_in(login, password)` is a person's browser (tests/world)."""
    with served(database_url, tmp_path) as page:
        yield page


@pytest.fixture
def person(connection: Connection, database_url: str) -> Iterator[NewPerson]:
    """`person("start", "throttle")` makes a login of the operators with these rights, for the page (tests/world)."""
    with people(connection, database_url) as new_person:
        yield new_person


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
