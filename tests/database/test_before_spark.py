"""Whatever is wrong is found before Spark starts: each broken thing alone, its exit code, no Java, nothing changed."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bulkpoint.store.connect import Connection
from tests.world.campaigns import World
from tests.world.command_line import CommandLine
from tests.world.listeners import closes, listener, says
from tests.world.ports import free_port

Changes = dict[str, str]
TABLES = b"""
    select relname::text, (xpath('/row/n/text()', query_to_xml(format('select count(*) as n from %I', relname),
                                                               false, true, '')))[1]::text
    from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')
      and not relispartition
    order by 1
"""


@pytest.fixture
def installation(bulkpoint: CommandLine, world: World, tmp_path: Path) -> CommandLine:
    """A campaign that is ready, a money API that accepts connections, and a Java that keeps a note when it starts."""
    world.campaign(3)
    java = tmp_path / "java-home"
    (java / "bin").mkdir(parents=True)
    (java / "release").write_text('JAVA_VERSION="17.0.9"\n')
    (java / "bin" / "java").write_text(f"#!/bin/sh\necho started >> {tmp_path}/java-started\nexit 1\n")
    (java / "bin" / "java").chmod(0o755)
    (tmp_path / "token").write_text("t0ken\n")
    bulkpoint.environment |= {
        "JAVA_HOME": str(java),
        "BULKPOINT_MONEY_TOKEN_FILE": str(tmp_path / "token"),
        "BULKPOINT_MONEY_TRANSPORT": "curl",
    }
    return bulkpoint


def state_of(connection: Connection) -> list[tuple[Any, ...]]:
    runs = connection.execute("select campaign_id, state::text from campaign_overview").fetchall()
    return [*connection.execute(TABLES).fetchall(), *runs]


def a_file(name: str, content: bytes) -> Callable[[Path], str]:
    def make(folder: Path) -> str:
        (folder / name).write_bytes(content)
        return str(folder / name)

    return make


def a_pipe(folder: Path) -> str:
    os.mkfifo(folder / "pipe")
    return str(folder / "pipe")


def an_adapter(text: str) -> Callable[[Path], str]:
    """In the working folder, where workers of this machine find it too."""

    def make(folder: Path) -> str:
        module = f"theirs_{folder.name}"
        (folder.parent / f"{module}.py").write_text(text)
        return f"{module}:Api"

    return make


NEEDS_A_SECRET = """
class Api:
    pay = look_up = read_pay = read_look_up = lambda *_: None
    def __init__(self, secrets):
        self.key = secrets["signing-key"]
"""


MISSPELT = """
class Api:
    look_up = read_pay = read_look_up = lambda *_: None
    def __init__(self, secrets):
        pass
    def pay(self, call):
        return HttpReqest("POST", "/pay", {}, b"")
"""


def an_old_java(folder: Path) -> str:
    (folder / "old").mkdir()
    (folder / "old" / "bin").mkdir()
    (folder / "old" / "bin" / "java").write_text("#!/bin/sh\nexit 1\n")
    (folder / "old" / "bin" / "java").chmod(0o755)
    (folder / "old" / "release").write_text('JAVA_VERSION="1.8.0_392"\n')
    return str(folder / "old")


BROKEN: list[tuple[str, Callable[[Path], str], str, int]] = [
    ("BULKPOINT_MONEY_TOKEN_FILE", lambda _: "/nonexistent", "SECRET_FILE_MISSING", 2),
    ("BULKPOINT_MONEY_TOKEN_FILE", a_file("t", b""), "SECRET_FILE_EMPTY", 2),
    ("BULKPOINT_MONEY_TOKEN_FILE", a_file("t", b"\xef\xbb\xbft0ken\n"), "SECRET_FILE_HOLDS_NO_SECRET", 2),
    ("BULKPOINT_MONEY_TOKEN_FILE", a_file("t", b"t0ken\n\n"), "SECRET_FILE_HOLDS_NO_SECRET", 2),
    ("BULKPOINT_MONEY_TOKEN_FILE", a_file("t", b"t0\0ken"), "SECRET_FILE_HOLDS_NO_SECRET", 2),
    ("BULKPOINT_MONEY_TOKEN_FILE", str, "SECRET_FILE_IS_NO_FILE", 2),
    ("BULKPOINT_MONEY_TOKEN_FILE", a_pipe, "SECRET_FILE_IS_NO_FILE", 2),
    ("BULKPOINT_MONEY_SECRET_FILES", lambda folder: f"key={folder}/none", "SECRET_FILE_MISSING", 2),
    ("BULKPOINT_MONEY_CA_FILE", a_file("ca", b""), "MONEY_CA_FILE_UNREADABLE", 2),
    ("BULKPOINT_MONEY_CA_FILE", lambda _: "/nonexistent", "MONEY_CA_FILE_UNREADABLE", 2),
    ("BULKPOINT_MONEY_ADAPTER", lambda _: "nowhere:Api", "ADAPTER_NOT_IMPORTABLE", 2),
    ("BULKPOINT_MONEY_ADAPTER", an_adapter("Api = 3"), "ADAPTER_CLASS_MISSING", 2),
    ("BULKPOINT_MONEY_ADAPTER", an_adapter("class Api: pass"), "ADAPTER_LACKS_METHODS", 2),
    ("BULKPOINT_MONEY_ADAPTER", an_adapter("def broken(:"), "ADAPTER_RAISES", 2),
    ("BULKPOINT_MONEY_ADAPTER", an_adapter(NEEDS_A_SECRET), "ADAPTER_LACKS_SECRET", 2),
    ("BULKPOINT_MONEY_ADAPTER", an_adapter(MISSPELT), "REQUEST_RAISES", 2),
    ("BULKPOINT_MONEY_ADAPTER", an_adapter("import sys; sys.exit(0)"), "ADAPTER_RAISES", 2),
    ("BULKPOINT_MONEY_URL", lambda _: f"http://127.0.0.1:{free_port()}", "MONEY_UNREACHABLE", 6),
    ("BULKPOINT_MONEY_URL", lambda _: "https://no-such-host.invalid", "MONEY_UNREACHABLE", 6),
    ("BULKPOINT_JDBC_JAR", lambda _: "/nonexistent.jar", "JDBC_DRIVER_MISSING", 2),
    ("BULKPOINT_JDBC_JAR", a_file("driver.jar", b"no zip"), "JDBC_DRIVER_NOT_IN_JAR", 2),
    ("JAVA_HOME", lambda _: "/nonexistent", "JAVA_MISSING", 6),
    ("JAVA_HOME", an_old_java, "JAVA_TOO_OLD", 2),
    ("SPARK_HOME", str, "SPARK_SUBMIT_MISSING", 6),
    ("SPARK_LOCAL_DIRS", a_file("no-folder", b""), "FOLDER_IS_A_FILE", 2),
    ("BULKPOINT_SPARK_MASTER", lambda _: "local[2]", "MORE_PARTITIONS_THAN_SLOTS", 2),
    ("BULKPOINT_SPARK_MASTER", lambda _: "yarn", "YARN_WITHOUT_CONFIGURATION", 2),
]


def test_each_broken_thing_is_refused_before_spark_and_changes_nothing(
    installation: CommandLine, connection: Connection, tmp_path: Path
) -> None:
    before = state_of(connection)
    with listener(closes) as port:
        whole = {"BULKPOINT_MONEY_URL": f"http://127.0.0.1:{port}", "BULKPOINT_PARTITIONS": "3"}
        for number, (setting, value, code, exit_code) in enumerate(BROKEN):
            folder = tmp_path / str(number)
            folder.mkdir()
            changes = whole | {setting: value(folder)}
            ended = installation("campaign", "start", "1", "--yes", "--json", **changes)
            what = f"{setting} as {code}: {ended.stdout}{ended.stderr}"
            assert (ended.json["error"]["code"], ended.returncode) == (code, exit_code), what
            assert len(ended.stderr.splitlines()) == 1, what
    assert state_of(connection) == before
    assert not (tmp_path / "java-started").exists()


def test_with_nothing_broken_java_is_started(installation: CommandLine, tmp_path: Path) -> None:
    """So the note would be there above."""
    with listener(closes) as port:
        ended = installation("campaign", "start", "1", "--yes", BULKPOINT_MONEY_URL=f"http://127.0.0.1:{port}")
    assert ended.returncode != 0
    assert (tmp_path / "java-started").exists(), ended.stderr


def test_everything_that_is_wrong_is_said_at_once_by_every_way_to_a_run(
    installation: CommandLine, connection: Connection, tmp_path: Path
) -> None:
    before = state_of(connection)
    wrong = {
        "BULKPOINT_MONEY_TOKEN_FILE": "/nonexistent",
        "BULKPOINT_MONEY_URL": f"http://127.0.0.1:{free_port()}",
        "BULKPOINT_SLACK_CHANNEL": "#points",
    }
    for ended in (
        installation("campaign", "start", "1", "--yes", **wrong),
        installation("campaign", "start", "next", "--yes", **wrong),
        installation.submit("1", **wrong),
        installation.submit("next", **wrong),
        installation("doctor", **wrong),
    ):
        said = ended.stdout + ended.stderr
        assert ended.returncode == 2, said
        assert "BULKPOINT_MONEY_TOKEN_FILE names a file that is not there" in said
        assert "connection refused" in said
        assert "BULKPOINT_SLACK_TOKEN_FILE is not" in said
    assert state_of(connection) == before
    assert not (tmp_path / "java-started").exists()


def test_next_without_a_campaign_that_is_due_does_not_ask_for_what_is_out_of_reach(
    installation: CommandLine, connection: Connection, tmp_path: Path
) -> None:
    away = {"BULKPOINT_MONEY_URL": f"http://127.0.0.1:{free_port()}"}
    assert installation.submit("next", **away).returncode == 6
    assert not (tmp_path / "java-started").exists()
    connection.execute("update campaign set not_before = clock_timestamp() + interval '1 h'")
    assert "connection refused" not in installation.submit("next", **away).stderr
    assert (tmp_path / "java-started").exists(), "the job itself says that none is ready"


def test_a_plain_port_that_is_spoken_to_with_https_is_said_in_words(installation: CommandLine) -> None:
    with listener(says(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as port:
        ended = installation("campaign", "start", "1", "--yes", BULKPOINT_MONEY_URL=f"https://127.0.0.1:{port}")
    assert ended.returncode == 6
    assert "it does not speak TLS at this port" in ended.stderr


def test_the_doctor_says_what_is_fine_too_and_goes_on_without_a_database(installation: CommandLine) -> None:
    with listener(closes) as port:
        fine = installation("doctor", "--json", BULKPOINT_MONEY_URL=f"http://127.0.0.1:{port}")
        away = installation(
            "doctor",
            "--json",
            BULKPOINT_MONEY_URL=f"http://127.0.0.1:{port}",
            BULKPOINT_DATABASE_URL="postgresql://nobody@127.0.0.1:1/none",
        )
    assert (fine.returncode, fine.json["ok"]) == (0, True), fine.stdout
    assert (away.returncode, away.json["ok"], away.json["error"]["code"]) == (6, False, "DATABASE_UNREACHABLE")
    names = {check["name"] for check in away.json["checks"]}
    assert {"java", "spark", "money", "money-secrets", "jdbc-driver"} <= names


def test_the_doctor_names_each_setting_that_is_wrong(installation: CommandLine) -> None:
    ended = installation("doctor", "--json", BULKPOINT_TPS="x", BULKPOINT_GUARD_MS="-1")
    assert ended.returncode == 2
    problems = [check["code"] for check in ended.json["checks"] if check["verdict"] == "problem"]
    assert problems == ["SETTING_NOT_A_WHOLE_NUMBER", "SETTING_TOO_SMALL", "MONEY_UNREACHABLE"], "it goes on"
