"""What click reads arrives at begin_run: by the real command, submit.sh and JSON, with a stand-in for spark-submit."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from bulkpoint.campaigns.run_request import RunRequest
from bulkpoint.campaigns.runs import begin_run
from bulkpoint.errors import ExitCode
from bulkpoint.launch.command_line import read_request
from bulkpoint.rules.lifecycle import FailureKind, RunKind
from bulkpoint.store.connect import connect
from bulkpoint.store.progress import RetrySelection
from bulkpoint.store.target import digest_targets
from tests.world.campaigns import World
from tests.world.listeners import closes, listener

START = [sys.executable, "-m", "bulkpoint.cli.main", "campaign"]
SUBMIT = [str(Path(__file__).parents[2] / "scripts" / "submit.sh")]
REASON = '사과, "오늘"\n지금 $HOME'
ROWS = [("a", 10, "r"), ("b", 20, "r")]
# Writes down what a job would have been given, and ends as one that is refused.
STAND_IN = """\
#!/bin/sh
for argument in "$@"; do printf '%s\\0' "$argument"; done >"$ARGUMENTS"
exit 3
"""

Ask = Callable[..., RunRequest]


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    with connect(database_url) as connection:
        yield World(connection)


@pytest.fixture
def asked(database_url: str, tmp_path: Path) -> Iterator[Ask]:
    """The request as the job reads it, of a command that ended as its job did; the locale is that of cron.

    A money API accepts connections: a start looks for one before Spark.
    """
    program = tmp_path / "spark" / "bin" / "spark-submit"
    program.parent.mkdir(parents=True)
    program.write_text(STAND_IN)
    program.chmod(0o755)
    arguments = tmp_path / "arguments"
    environment = os.environ | {
        "BULKPOINT_DATABASE_URL": database_url,
        "BULKPOINT_DATA_DIR": str(tmp_path / "data"),
        "BULKPOINT_ACTOR": "김",
        "SPARK_HOME": str(tmp_path / "spark"),
        "PYSPARK_PYTHON": sys.executable,
        "ARGUMENTS": str(arguments),
        "LC_ALL": "C",
    }

    def ask(command: list[str], *line: str) -> RunRequest:
        ended = subprocess.run(
            [*command, *line],
            env=environment,
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == ExitCode.REFUSED, ended.stderr
        *_, job, option, document = arguments.read_text().rstrip("\0").split("\0")
        assert (Path(job).name, option) == ("pay_campaign.py", "--request")
        arrived = read_request([option, document])
        # The command called its own request back when the stand-in ended; the run is that of a driver of another name.
        return arrived.model_copy(update={"holder": uuid4()})

    with listener(closes) as port:
        environment["BULKPOINT_MONEY_URL"] = f"http://127.0.0.1:{port}"
        yield ask


def fields_of(request: RunRequest) -> dict[str, Any]:
    """All but the driver's name for itself, which is random."""
    return request.model_dump(exclude={"holder"})


def test_every_option_of_a_start_arrives(world: World, asked: Ask) -> None:
    earlier = world.campaign(ROWS).begun().stopped()
    campaign = world.campaign(ROWS)
    digest = digest_targets(world.connection, campaign.id).hex()
    line = ["start", str(campaign.id), "--yes", "--force", "--same-as", str(earlier.id), "--digest", digest[:12]]
    request = asked(START, *line, "--reason", REASON)
    told: dict[str, Any] = {"digest": digest, "force": True, "same_as": earlier.id, "reason": REASON}
    assert fields_of(request) == fields_of(RunRequest(campaign=campaign.id, actor="김", followed=True, **told))

    run = begin_run(world.connection, request, shares=2)
    assert (run.holder, run.actor, run.kind) == (request.holder, "김", RunKind.INITIAL)
    written: dict[str, Any] = dict(
        world.connection.execute(
            "select action, detail from audit_event where campaign_id = %s and run_no = 1", (campaign.id,)
        ).fetchall()
    )
    assert written["force"] == {"reason": REASON}
    assert written["start"].items() >= {"reason": REASON, "same_as": earlier.id}.items()


def test_the_selection_of_a_retry_arrives(world: World, asked: Ask) -> None:
    campaign = world.campaign(ROWS).begun().failed(2, "REJECTED").ended("COMPLETED")
    line = ["retry", str(campaign.id), "--yes", "--kind", "REJECTED", "--kind", "UNKNOWN", "--beyond-limit"]
    code = world.connection.execute("select distinct failure_code from payment").fetchone()
    assert code is not None
    request = asked(START, *line, "--code", code[0], "--reason", REASON)
    selection = RetrySelection((FailureKind.REJECTED, FailureKind.UNKNOWN), code[0], beyond_limit=True)
    expected = RunRequest(
        campaign=campaign.id, kind=RunKind.RETRY, actor="김", followed=True, reason=REASON, selection=selection
    )
    assert fields_of(request) == fields_of(expected)
    assert begin_run(world.connection, request, shares=2).kind == RunKind.RETRY
    detail = world.connection.execute("select detail from audit_event where action = 'retry'").fetchone()
    assert detail is not None
    choice = {"kinds": list(selection.kinds), "code": code[0], "beyond_limit": True, "reason": REASON, "retried": 2}
    assert detail[0].items() >= choice.items()


def test_a_resume_arrives(world: World, asked: Ask) -> None:
    campaign = world.campaign(ROWS).begun().stopped()
    request = asked(START, "resume", str(campaign.id), "--yes", "--reason", REASON)
    expected = RunRequest(campaign=campaign.id, kind=RunKind.RESUME, actor="김", followed=True, reason=REASON)
    assert fields_of(request) == fields_of(expected)
    assert begin_run(world.connection, request, shares=2).holder == request.holder


def test_a_schedulers_line_arrives(world: World, asked: Ask) -> None:
    world.campaign(ROWS)
    request = asked(SUBMIT, "next", "--yes", "--force", "--reason", REASON, "--actor", "예약")
    expected = RunRequest(campaign="next", actor="예약", force=True, reason=REASON)
    assert fields_of(request) == fields_of(expected)
