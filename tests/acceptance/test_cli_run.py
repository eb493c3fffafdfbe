"""`start` and `demo` with the real job: Spark, PostgreSQL, a server for money. What ends them leaves nothing behind."""

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from bulkpoint.campaigns.start import LONG_LIST_ROWS
from bulkpoint.database import connection_target
from bulkpoint.settings import load_settings
from bulkpoint.store.connect import connect
from tests.world.command_line import CommandLine
from tests.world.money import Money
from tests.world.processes import processes_of
from tests.world.waiting import wait_for


@pytest.fixture
def bulkpoint(reachable_tmp: Path, tmp_path: Path, request: pytest.FixtureRequest) -> CommandLine:
    """The command line with an embedded database of this test's own; each command is a process of its own."""
    ours = {
        "BULKPOINT_DATA_DIR": str(reachable_tmp / request.node.name[:60]),
        "BULKPOINT_PROGRESS_SECONDS": "0.5",
    }
    return CommandLine(os.environ | ours, tmp_path, fresh=True)


def data_folder(bulkpoint: CommandLine) -> Path:
    return Path(bulkpoint.environment["BULKPOINT_DATA_DIR"])


def assert_nothing_left_behind(bulkpoint: CommandLine) -> None:
    folder = data_folder(bulkpoint)
    wait_for(lambda: not processes_of(folder), lambda: f"{processes_of(folder)} to end", seconds=10)


def read_until(stream: Iterator[str], pattern: str) -> None:
    """Lines up to the first one like this; the test's own time limit bounds it."""
    seen = []
    for line in stream:
        seen.append(line)
        if re.search(pattern, line):
            return
    raise AssertionError("".join(seen))


def test_sigterm_on_start_stops_the_run_and_ends_with_4(bulkpoint: CommandLine, money: Money, tmp_path: Path) -> None:
    bulkpoint.environment |= {"BULKPOINT_MONEY_URL": money.url, "BULKPOINT_TPS": "100"}
    targets = tmp_path / "targets.csv"
    targets.write_text("member_id,amount,reason\n" + "".join(f"m{n},{100 + n},선물\n" for n in range(20_000)))

    bulkpoint("campaign", "create", "--name", "T", "--targets", str(targets))
    with bulkpoint.begin("campaign", "start", "next", "--yes") as starting:
        assert starting.stderr is not None
        read_until(starting.stderr, r"RUNNING.*success [1-9]")
        starting.send_signal(signal.SIGTERM)
        result, _ = starting.communicate(timeout=60)
    assert starting.returncode == 4
    assert result.startswith("campaign 1 STOPPED 중단 (stopped from where it was started): success ")
    shown = bulkpoint("campaign", "show", "1", "--json").json
    assert shown["counts"]["PROCESSING"] == 0
    assert shown["counts"]["PENDING"] + shown["counts"]["SUCCESS"] == 20_000
    assert_nothing_left_behind(bulkpoint)


def test_a_stop_while_spark_is_starting_calls_the_start_back(
    bulkpoint: CommandLine, money: Money, tmp_path: Path
) -> None:
    bulkpoint.environment |= {"BULKPOINT_MONEY_URL": money.url, "BULKPOINT_TPS": "100"}
    targets = tmp_path / "targets.csv"
    targets.write_text("member_id,amount,reason\n" + "".join(f"m{n},{100 + n},선물\n" for n in range(100)))

    bulkpoint("campaign", "create", "--name", "T", "--targets", str(targets))
    with bulkpoint.begin("campaign", "start", "1", "--yes") as starting:
        assert starting.stderr is not None
        read_until(starting.stderr, r"Starting campaign 1;")
        assert "A run (INITIAL) is on its way, asked for by" in bulkpoint("campaign", "show", "1").stdout
        stopped = bulkpoint("campaign", "stop", "1", "--reason", "wrong list")
        assert stopped.stdout.startswith("campaign 1 WAITING 대기: the INITIAL run that ")
        _, said = starting.communicate(timeout=60)
    assert starting.returncode == 4
    assert re.search(r"Stopped before the run began \(called back by .*: wrong list\); nothing was changed\.", said)
    shown = bulkpoint("campaign", "show", "1", "--json").json
    assert (shown["state"], shown["runs"], money.ledger()) == ("WAITING", [], [])
    assert_nothing_left_behind(bulkpoint)


def test_a_long_list_that_the_run_refuses_is_refused_once_and_leaves_nothing(
    bulkpoint: CommandLine, money: Money, tmp_path: Path
) -> None:
    bulkpoint.environment |= {"BULKPOINT_MONEY_URL": money.url}
    targets = tmp_path / "targets.csv"
    rows = "".join(f"m{n},{100 + n},선물\n" for n in range(LONG_LIST_ROWS))
    targets.write_text(f"member_id,amount,reason\n{rows}")
    with connection_target(load_settings(bulkpoint.environment)) as database:
        bulkpoint.succeed("campaign", "create", "--name", "T", "--targets", str(targets))
        with connect(database.url) as connection:
            connection.execute("update campaign_target set amount = amount + 1 where member_id = 'm7'")
            refused = bulkpoint("campaign", "start", "1", "--yes", "--json")
            states = connection.execute("select state from run_request").fetchall()
    assert refused.returncode == 3
    assert "Starting campaign 1; the job's log is" in refused.stderr, "the list was left to the job"
    assert f"The job checks its list of {LONG_LIST_ROWS:,} targets before it pays." in refused.stderr
    assert refused.json["error"]["code"] == "CAMPAIGN_NOT_READY"
    assert refused.stderr.count("are loaded") == 1
    assert states == [("REFUSED",)]
    shown = bulkpoint("campaign", "show", "1", "--json").json
    assert (shown["state"], shown["runs"], money.ledger()) == ("WAITING", [], [])
    assert_nothing_left_behind(bulkpoint)


def test_the_demo_pays_and_proves_and_leaves_no_process(bulkpoint: CommandLine) -> None:
    done = bulkpoint("demo", "--targets", "600", "--tps", "200")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "📢 지급 완료" in done.stdout
    types = re.findall(r"^ *\d+ +campaign\.(\w+)", done.stdout, re.M)
    assert types == ["created", "started", "progressed", "progressed", "progressed", "completed"]
    assert done.stdout.count(" ok ") >= 6
    assert "WRONG" not in done.stdout
    assert "What to try next" in done.stdout
    assert re.search(r"^page +http://127\.0\.0\.1:\d+/sign-in\?token=\S+$", done.stdout, re.M)
    assert_nothing_left_behind(bulkpoint)


def test_ctrl_c_in_the_demo_leaves_no_process(bulkpoint: CommandLine) -> None:
    folder = data_folder(bulkpoint)
    with bulkpoint.begin("demo") as demo:
        wait_for(lambda: any(one.program == "java" for one in processes_of(folder)), "Spark", seconds=120)
        demo.send_signal(signal.SIGINT)
        demo.communicate(timeout=60)
    assert demo.returncode == 130
    assert_nothing_left_behind(bulkpoint)
