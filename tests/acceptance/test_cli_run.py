"""`start` and `demo` with the real job: Spark, PostgreSQL, a server for money. What ends them leaves nothing behind."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-m", "bulkpoint.cli.main"]
FIRST_PAYMENT_S_MAX = 120.0


@pytest.fixture
def environment(reachable_tmp: Path, request: pytest.FixtureRequest) -> dict[str, str]:
    """An embedded database of this test's own."""
    folder = reachable_tmp / request.node.name[:60]
    return {**os.environ, "BULKPOINT_DATA_DIR": str(folder), "BULKPOINT_PROGRESS_SECONDS": "0.5"}


@pytest.fixture
def money() -> Iterator[str]:
    command = [*COMMAND, "sandbox", "serve", "--port", "0", "--exit-with-parent"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().split()[-1]
        process.terminate()


def left_behind(folder: str) -> list[str]:
    """Commands of the processes that have to do with a data folder, by what they were started with."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_text().replace("\0", " ")
            started_with = command + (process / "environ").read_text()
        except OSError:
            continue
        if folder in started_with:
            found.append(command[:120])
    return found


def nothing_left_behind(folder: str) -> bool:
    deadline = time.monotonic() + 10
    while left_behind(folder):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def wait_for_spark(folder: str) -> None:
    deadline = time.monotonic() + FIRST_PAYMENT_S_MAX
    while not any("java" in command for command in left_behind(folder)):
        assert time.monotonic() < deadline, left_behind(folder)
        time.sleep(0.1)


def wait_for(stream: Iterator[str], pattern: str) -> str:
    deadline = time.monotonic() + FIRST_PAYMENT_S_MAX
    seen = []
    for line in stream:
        seen.append(line)
        if re.search(pattern, line):
            return line
        assert time.monotonic() < deadline, "".join(seen)
    raise AssertionError("".join(seen))


def test_sigterm_on_start_stops_the_run_and_ends_with_4(
    environment: dict[str, str], money: str, tmp_path: Path
) -> None:
    environment |= {"BULKPOINT_MONEY_URL": money, "BULKPOINT_TPS": "100"}
    targets = tmp_path / "targets.csv"
    targets.write_text("member_id,amount,reason\n" + "".join(f"m{n},{100 + n},선물\n" for n in range(20_000)))

    def bulkpoint(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run([*COMMAND, *arguments], env=environment, capture_output=True, text=True, check=False)

    bulkpoint("campaign", "create", "--name", "T", "--targets", str(targets))
    command = [*COMMAND, "campaign", "start", "next", "--yes"]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as starting:
        assert starting.stderr is not None
        wait_for(starting.stderr, r"RUNNING.*success [1-9]")
        starting.send_signal(signal.SIGTERM)
        result, _ = starting.communicate(timeout=60)
    assert starting.returncode == 4
    assert result.startswith("campaign 1 STOPPED 중단 (stopped from where it was started): success ")
    shown = json.loads(bulkpoint("campaign", "show", "1", "--json").stdout)
    assert shown["counts"]["PROCESSING"] == 0
    assert shown["counts"]["PENDING"] + shown["counts"]["SUCCESS"] == 20_000
    assert nothing_left_behind(environment["BULKPOINT_DATA_DIR"])


def test_the_demo_pays_and_proves_and_leaves_no_process(environment: dict[str, str]) -> None:
    done = subprocess.run(
        [*COMMAND, "demo", "--targets", "600", "--tps", "200"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "📢 지급 완료" in done.stdout
    types = re.findall(r"^ *\d+ +campaign\.(\w+)", done.stdout, re.M)
    assert types == ["created", "started", "progressed", "progressed", "progressed", "completed"]
    assert done.stdout.count(" ok ") >= 6
    assert "WRONG" not in done.stdout
    assert "What to try next" in done.stdout
    assert nothing_left_behind(environment["BULKPOINT_DATA_DIR"])


def test_ctrl_c_in_the_demo_leaves_no_process(environment: dict[str, str]) -> None:
    with subprocess.Popen(
        [*COMMAND, "demo"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as demo:
        assert demo.stdout is not None
        wait_for(demo.stdout, "^starting")
        wait_for_spark(environment["BULKPOINT_DATA_DIR"])
        demo.send_signal(signal.SIGINT)
        demo.communicate(timeout=60)
    assert demo.returncode == 130
    assert nothing_left_behind(environment["BULKPOINT_DATA_DIR"])
