"""The command line as other programs meet it: exit codes, what is on stdout and what on stderr, the shapes of JSON."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bulkpoint.campaigns.run_request import RunRequest
from bulkpoint.launch.ends import handed_over
from tests.world.campaigns import World
from tests.world.command_line import CommandLine
from tests.world.listeners import closes, listener


@pytest.fixture
def targets(tmp_path: Path) -> Path:
    path = tmp_path / "targets.csv"
    path.write_text("member_id,amount,reason\n" + "".join(f"m{n},{100 + n},선물\n" for n in range(5)))
    return path


@pytest.fixture
def running(world: World) -> str:
    """The id of a campaign of five targets and 510 points that is RUNNING, with nobody at work."""
    rows = [(f"m{n}", 100 + n, "선물") for n in range(5)]
    return str(world.campaign(rows, name="추석").begun(actor="bob").id)


def test_a_campaign_is_created_listed_and_shown(bulkpoint: CommandLine, targets: Path) -> None:
    created = bulkpoint("campaign", "create", "--name", "추석", "--targets", str(targets))
    assert (created.returncode, created.stdout) == (0, "created campaign 1\n")
    assert "Loading 5 targets, 510 points" in created.stderr

    listed = bulkpoint("campaign", "list").stdout.splitlines()
    assert listed[0].split() == ["ID", "STATE", "TARGETS", "POINTS", "SUCCESS", "FAILED", "CREATED", "NAME"]
    assert listed[1].split()[:6] == ["1", "WAITING", "대기", "5", "510", "0"]

    shown = bulkpoint("campaign", "show", "1", "--json")
    assert shown.stderr == ""
    assert shown.json == {
        "campaign_id": 1,
        "name": "추석",
        "state": "WAITING",
        "target_count": 5,
        "target_amount": 510,
        "counts": {"PENDING": 5, "PROCESSING": 0, "SUCCESS": 0, "FAILED": 0},
        "amounts": {"PENDING": 510, "PROCESSING": 0, "SUCCESS": 0, "FAILED": 0},
        "failure_kinds": {"REJECTED": 0, "MISMATCH": 0, "UNAVAILABLE": 0, "UNKNOWN": 0},
        "runs": [],
    }


def test_a_bad_file_is_exit_code_3_and_loads_nothing(bulkpoint: CommandLine, targets: Path, tmp_path: Path) -> None:
    targets.write_text("member_id,amount,reason\nm1,0,x\nm1,5,y\n")
    arguments = ("campaign", "create", "--name", "T", "--targets", str(targets), "--errors", str(tmp_path / "all.csv"))
    refused = bulkpoint(*arguments)
    assert (refused.returncode, refused.stdout) == (3, "")
    assert "bulkpoint: targets.csv has 2 errors. Nothing was loaded.\n  row 2: amount is '0'" in refused.stderr
    assert (tmp_path / "all.csv").read_text().count("\n") == 3
    assert bulkpoint("campaign", "list", "--json").json == {"campaigns": []}


def test_the_limit_is_shown_and_set(bulkpoint: CommandLine) -> None:
    changed = bulkpoint("tps", "set", "250", "--reason", "점검", "--until", "2099-01-01T09:00", "--json")
    assert changed.returncode == 0
    fields = bulkpoint("tps", "show", "--json").json
    assert fields == changed.json
    assert fields.keys() == {"tps", "shares", "in_use", "reason", "until", "set_by"}
    assert (fields["tps"], fields["reason"], fields["until"]) == (250, "점검", "2099-01-01T00:00:00.000Z")
    assert "then 1,000 TPS" in bulkpoint("tps", "show").stdout


def test_each_refusal_has_its_exit_code_and_a_sentence_on_stderr(bulkpoint: CommandLine) -> None:
    for line, code, sentence in (
        ("campaign show 9", 3, "There is no campaign 9."),
        ("campaign start 9 --yes", 3, "There is no campaign 9."),
        ("campaign stop 9", 3, "There is no campaign 9."),
        ("campaign start x", 2, "'x' is no campaign"),
        ("campaign start next", 0, ""),
        ("campaign start 1 --force", 2, "--force needs --reason"),
        ("campaign create --name T", 2, "--expect-count and --expect-amount"),
        ("campaign create --name T --expect-count 0 --expect-amount 1", 2, "--expect-count"),
        ("tps set -1", 2, "-1"),
        ("tps set many", 2, "many"),
        ("tps set 1000001", 2, "1,000,001 TPS cannot be"),
        ("tps set 5 --until soon", 2, "--until"),
        ("campaign shw", 2, "No such command"),
    ):
        ended = bulkpoint(*line.split())
        assert (line, ended.returncode) == (line, code)
        assert sentence in ended.stderr
        assert ended.stdout == ("nothing to start\n" if code == 0 else "")
        assert "Traceback" not in ended.stderr


def test_start_asks_and_where_nobody_can_answer_wants_yes(bulkpoint: CommandLine, targets: Path) -> None:
    bulkpoint("campaign", "create", "--name", "T", "--targets", str(targets))
    refused = bulkpoint("campaign", "start", "1")
    assert refused.returncode == 2
    assert "Add --yes" in refused.stderr


def test_a_job_that_cannot_begin_hands_on_its_words_and_its_code(bulkpoint: CommandLine, targets: Path) -> None:
    bulkpoint("campaign", "create", "--name", "T", "--targets", str(targets))
    wrong = {"BULKPOINT_JDBC_JAR": "/nowhere/driver.jar"}
    request = RunRequest(campaign=1, actor="tester", followed=True)  # past the checks of a command
    job = bulkpoint.submit("--request", request.to_json(), **wrong)
    handed = handed_over(job.stderr.splitlines())
    assert handed is not None
    assert (job.returncode, handed.code) == (2, "JDBC_DRIVER_MISSING")
    assert dict(handed.facts) == {"file": "/nowhere/driver.jar"}
    assert "BULKPOINT_JDBC_JAR names /nowhere/driver.jar" in job.stderr

    with listener(closes) as port:
        wrong["BULKPOINT_MONEY_URL"] = f"http://127.0.0.1:{port}"
        refused = bulkpoint("campaign", "start", "next", "--yes", "--json", **wrong)
    assert refused.returncode == 2
    error = refused.json["error"]
    assert (error["code"], error["facts"]) == ("JDBC_DRIVER_MISSING", {"file": "/nowhere/driver.jar"})
    assert "BULKPOINT_JDBC_JAR names /nowhere/driver.jar" in refused.stderr
    assert refused.stderr.endswith(f"bulkpoint: {error['message']}\n")
    assert bulkpoint("campaign", "show", "1", "--json").json["state"] == "WAITING"


def test_stop_says_what_is_paid_and_a_second_stop_is_refused(bulkpoint: CommandLine, running: str) -> None:
    stopped = bulkpoint("campaign", "stop", running, "--reason", "wrong list")
    assert stopped.returncode == 0
    assert stopped.stdout == "campaign 1 STOPPED 중단: paid 0, failed 0, not processed 5; last call never\n"
    [run] = bulkpoint("campaign", "show", running, "--json").json["runs"]
    assert run.keys() == {"run", "kind", "state", "reason", "actor", "started_at", "finished_at"}
    assert (run["run"], run["kind"], run["state"], run["reason"], run["actor"]) == (
        1, "INITIAL", "STOPPED", "wrong list", "bob",
    )  # fmt: skip
    assert run["finished_at"].endswith("Z")
    assert bulkpoint("campaign", "stop", running).returncode == 3
    assert bulkpoint("campaign", "watch", running).returncode == 4
    assert bulkpoint("campaign", "start", running, "--yes").returncode == 3


def test_watch_only_leaves_on_a_signal_and_ends_as_the_run_does(bulkpoint: CommandLine, running: str) -> None:
    def first_line(process: "subprocess.Popen[str]") -> dict[str, Any]:
        assert process.stdout is not None
        fields: dict[str, Any] = json.loads(process.stdout.readline())
        return fields

    for number in (signal.SIGINT, signal.SIGHUP):
        with bulkpoint.begin("campaign", "watch", running, "--json") as watching:
            assert first_line(watching)["state"] == "RUNNING"
            watching.send_signal(number)
            _, words = watching.communicate(timeout=10)
            assert watching.returncode == 128 + number
            assert "goes on without you" in words
    with bulkpoint.begin("campaign", "watch", running, "--json") as watching:
        first_line(watching)
        bulkpoint("campaign", "stop", running)
        lines, _ = watching.communicate(timeout=10)
        assert watching.returncode == 4
        last, error = map(json.loads, lines.splitlines()[-2:])
        assert (last["state"], error["error"]["code"]) == ("STOPPED", "RUN_STOPPED")


def test_settings_are_shown_with_their_source_and_without_secrets(bulkpoint: CommandLine, tmp_path: Path) -> None:
    secret = tmp_path / "token"
    secret.write_text("canary")
    shown = bulkpoint("settings", "--json", BULKPOINT_TPS="7", BULKPOINT_SLACK_TOKEN_FILE=str(secret))
    assert shown.json["BULKPOINT_TPS"] == {"value": "7", "source": "environment"}
    assert "canary" not in shown.stdout
    assert bulkpoint("settings", BULKPOINT_TPS="many").returncode == 2


def test_a_database_that_is_not_there_or_not_ready_is_said(
    bulkpoint: CommandLine, postgres_server: Any, database_url: str
) -> None:
    unreachable = bulkpoint("campaign", "list", BULKPOINT_DATABASE_URL="postgresql://x@127.0.0.1:1/x")
    assert unreachable.returncode == 6
    assert unreachable.stderr.startswith("bulkpoint: The database 127.0.0.1:1/x cannot be reached")
    empty = bulkpoint("campaign", "list", BULKPOINT_DATABASE_URL=postgres_server.url)
    assert empty.returncode == 3
    assert "bulkpoint db migrate" in empty.stderr
    assert bulkpoint("db", "migrate").stdout == "up to date\n"


def test_an_embedded_database_needs_no_preparation(bulkpoint: CommandLine, reachable_tmp: Path) -> None:
    folder = str(reachable_tmp / "fresh")
    listed = bulkpoint("campaign", "list", BULKPOINT_DATABASE_URL="", BULKPOINT_DATA_DIR=folder)
    assert (listed.returncode, listed.stdout) == (0, "")
    assert "no campaign yet" in listed.stderr


def test_whoever_stops_reading_hears_no_complaint(bulkpoint: CommandLine) -> None:
    with bulkpoint.begin("settings") as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_the_command_line_starts_without_the_heavy_libraries() -> None:
    program = "import sys, bulkpoint.cli.main; print(*sys.modules)"
    before = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert not loaded & {"pyspark", "pandas", "numpy", "pyarrow", "granian", "psycopg", "pydantic", "rich", "slack_sdk"}
    assert time.perf_counter() - before < 5  # a hint only: 0.2 s on a quiet machine


def test_every_command_has_help_with_an_example(bulkpoint: CommandLine) -> None:
    from bulkpoint.cli.main import bulkpoint as root

    def commands(group: Any) -> Iterator[Any]:
        for command in group.commands.values():
            if hasattr(command, "commands"):
                yield from commands(command)
            else:
                yield command

    without = [command.name for command in commands(root) if "xample" not in command.help and command.name != "serve"]
    assert without == []
    assert "Exit codes:" in bulkpoint("--help").stdout


def test_every_list_of_commands_says_each_whole_on_80_columns() -> None:
    from click.testing import CliRunner

    from bulkpoint.cli.main import bulkpoint as root

    def groups(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
        yield path
        for name, command in group.commands.items():
            if hasattr(command, "commands"):
                yield from groups(command, (*path, name))

    for path in groups(root):
        listed = CliRunner().invoke(root, [*path, "--help"], terminal_width=80).output.partition("Commands:")[2]
        assert "..." not in listed, listed


def test_a_command_that_changes_something_says_what_as_one_json_object(bulkpoint: CommandLine, targets: Path) -> None:
    def changed(*arguments: str) -> dict[str, Any]:
        done = bulkpoint(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        fields: dict[str, Any] = done.json
        return fields

    create = ("campaign", "create", "--targets", str(targets))
    assert changed(*create, "--name", "추석") == {"campaign_id": 1}
    withdrawn = changed("campaign", "withdraw", "1", "--reason", "wrong list")
    assert withdrawn == {"campaign_id": 1, "state": "WITHDRAWN"}
    assert changed("db", "migrate") == {"applied": []}
    login = bulkpoint("audit", "log", "--json").stdout
    login = json.loads(login)["events"][0]["login"]
    assert changed("right", "revoke", login, "force", "start") == {
        "login": login, "rights": ["force", "start"], "granted": False, "changed": 2,
    }  # fmt: skip
    assert changed("right", "grant", login, "force", "start")["changed"] == 2
    assert changed("right", "grant", login, "start")["changed"] == 0


def test_a_stop_says_how_the_campaign_stands_as_one_json_object(bulkpoint: CommandLine, running: str) -> None:
    stopped = bulkpoint("campaign", "stop", running, "--json")
    assert stopped.returncode == 0
    assert stopped.json == {
        "campaign_id": 1, "state": "STOPPED", "success": 0, "failed": 0, "unknown": 0, "unpaid": 5, "processing": 0,
        "last_call_at": None,
    }  # fmt: skip


def test_with_json_stdout_has_one_object_whether_it_is_a_result_or_a_refusal(
    bulkpoint: CommandLine, targets: Path
) -> None:
    refused = bulkpoint("campaign", "show", "9", "--json")
    assert refused.returncode == 3
    assert refused.json["error"].keys() == {"code", "message", "facts"}
    assert refused.stderr == f"bulkpoint: {refused.json['error']['message']}\n"

    targets.write_text("member_id,amount,reason\nm1,0,x\n")
    found = bulkpoint("campaign", "preview", "--targets", str(targets), "--json")
    assert found.returncode == 3
    fields = found.json
    assert (fields["ok"], fields["error"]["code"]) == (False, "FINDINGS_IN_FILE"), "a result, and why it ends with 3"
    assert found.stderr.endswith(f"bulkpoint: {fields['error']['message']}\n")
    assert "1 finding in targets.csv" in found.stderr
