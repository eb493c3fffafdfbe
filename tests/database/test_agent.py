"""`bulkpoint agent` by the real command and submit.sh, with a stand-in for Spark: what becomes of the request."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bulkpoint.campaigns.left_request import leave_request, standing_of
from bulkpoint.campaigns.run_request import RunRequest
from bulkpoint.errors import UnreachableError
from bulkpoint.events import patience
from bulkpoint.events.patience import Recovered
from bulkpoint.launch import agent as launch_agent
from bulkpoint.launch import job
from bulkpoint.launch.agent import Agent, Ended, Taken
from bulkpoint.launch.before_spark import may_pay
from bulkpoint.rules.lifecycle import RunKind
from bulkpoint.settings import load_settings
from bulkpoint.store.agent import list_agents
from bulkpoint.store.campaign import get_campaign
from bulkpoint.store.connect import Connection
from bulkpoint.views.sentences import sentence
from tests.world.campaigns import Campaign, World
from tests.world.command_line import COMMAND
from tests.world.listeners import closes, listener
from tests.world.stalling_proxy import StallingProxy
from tests.world.waiting import wait_for

# What Spark would run: a program of a test's own, which gets the request that the job would get.
STAND_IN = """\
#!/bin/sh
for argument in "$@"; do last=$argument; done
exec "$PYSPARK_PYTHON" "$STAND_IN" "$last"
"""
MAKES_THE_RUN = """
import os, sys
from bulkpoint.campaigns.run_request import RunRequest
from bulkpoint.campaigns.runs import begin_run, end_run
from bulkpoint.campaigns.asked_run import RequestInHand
from bulkpoint.rules.lifecycle import RunState
from bulkpoint.store.connect import connect
from bulkpoint.store.run import halt_run
url, request = os.environ["BULKPOINT_DATABASE_URL"], RunRequest.from_json(sys.argv[1])
with RequestInHand(url, request), connect(url) as connection:
    run = begin_run(connection, request, shares=2)
    end_run(connection, run, RunState.FAILED, "a test")
sys.exit(5)
"""
WAITS = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_DFL)\ntime.sleep(60)\n"
DIES = "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n"

pytestmark = pytest.mark.usefixtures("world")


@pytest.fixture
def environment(database_url: str, tmp_path: Path) -> Iterator[dict[str, str]]:
    """Of an agent whose Spark is the stand-in; a money API accepts connections, because an agent looks for one."""
    program = tmp_path / "spark" / "bin" / "spark-submit"
    program.parent.mkdir(parents=True)
    program.write_text(STAND_IN)
    program.chmod(0o755)
    with listener(closes) as port:
        yield os.environ | {
            "BULKPOINT_DATABASE_URL": database_url,
            "BULKPOINT_DATA_DIR": str(tmp_path / "data"),
            "BULKPOINT_MONEY_URL": f"http://127.0.0.1:{port}",
            "BULKPOINT_AGENT_SECONDS": "0.1",
            "SPARK_HOME": str(tmp_path / "spark"),
            "PYSPARK_PYTHON": sys.executable,
            "STAND_IN": str(tmp_path / "stand_in.py"),
        }


def agent(environment: dict[str, str], stand_in: str, *options: str) -> "subprocess.Popen[str]":
    Path(environment["STAND_IN"]).write_text(stand_in)
    folder = Path(environment["STAND_IN"]).parent
    return subprocess.Popen(
        [*COMMAND, "agent", *options], env=environment, cwd=folder, stderr=subprocess.PIPE, stdout=subprocess.PIPE,
        text=True,
    )  # fmt: skip


def asked(world: World, **more: object) -> Campaign:
    campaign = world.campaign(targets=3)
    request = RunRequest.model_validate({"campaign": campaign.id, "actor": "kim", **more})
    leave_request(world.connection, load_settings({}), request)
    return campaign


def asked_past_it(world: World, ready: Campaign) -> Campaign:
    """A younger campaign whose forced start somebody has asked for."""
    campaign = asked(world, force=True, reason="today")
    assert campaign.id > ready.id
    return campaign


def said_of(connection: Connection, campaign: Campaign) -> str:
    standing = standing_of(connection, campaign.id)
    return "" if standing is None else sentence(standing.said)


def test_once_runs_what_was_asked_for_and_ends_as_the_run(world: World, environment: dict[str, str]) -> None:
    campaign = asked(world, reason="spring")
    _, words = (process := agent(environment, MAKES_THE_RUN, "--once")).communicate(timeout=60)
    assert process.returncode == 5, words
    assert f"Campaign {campaign.id}: takes the {RunKind.INITIAL} run that kim asked for" in words
    assert f"Campaign {campaign.id}, run 1: ended with exit code 5." in words
    assert world.written(campaign.id)[1] == ["run.ask", "start", "fail"]
    _, words = (process := agent(environment, MAKES_THE_RUN, "--once")).communicate(timeout=60)
    assert process.returncode == 0, "nothing to do"
    assert list_agents(world.connection) == []


def test_start_next_takes_what_was_asked_for_before_what_is_only_ready(
    world: World, environment: dict[str, str]
) -> None:
    ready = world.campaign(targets=2)
    older = asked_past_it(world, ready)
    Path(environment["STAND_IN"]).write_text(MAKES_THE_RUN)
    ended = subprocess.run(
        [*COMMAND, "campaign", "start", "next", "--yes"], env=environment, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    assert ended.returncode == 5, ended.stderr
    assert f"Campaign {older.id}: kim (login " in ended.stderr
    assert world.written(older.id)[1] == ["run.ask", "force", "start", "fail"]
    assert world.written(ready.id)[1] == []


def test_a_schedulers_next_takes_it_too_but_not_with_options_of_its_own(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(job, "say", lambda line, **_: said.append(line))
    ready = world.campaign(targets=2)
    older = asked_past_it(world, ready)
    own = RunRequest(campaign="next", actor="cron", reason="mine")
    found = job.find_campaign(world.connection, load_settings({}), own)
    assert found is not None
    assert (found.campaign, found.asked) == (ready.id, None)
    found = job.find_campaign(world.connection, load_settings({}), RunRequest(campaign="next", actor="cron"))
    assert found is not None
    assert (found.campaign, found.actor, found.reason) == (older.id, "kim", "today")
    assert said == [f"takes the INITIAL run of campaign {older.id} that kim has asked for"]
    assert may_pay(RunRequest(campaign="next", actor="cron"), load_settings({}))


def test_a_job_that_dies_before_its_run_ends_the_request_with_its_log(
    world: World, environment: dict[str, str]
) -> None:
    campaign = asked(world)
    _, words = (process := agent(environment, DIES, "--once")).communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGKILL
    assert "The job ended before it began its run." in words
    assert "The job ended before it began its run." in said_of(world.connection, campaign)


def test_what_this_host_lacks_ends_the_request_with_its_sentence(world: World, environment: dict[str, str]) -> None:
    campaign = asked(world)
    environment |= {"BULKPOINT_MONEY_TOKEN_FILE": "/nowhere/token"}
    _, words = (process := agent(environment, MAKES_THE_RUN, "--once")).communicate(timeout=60)
    assert process.returncode == 2, words
    assert "BULKPOINT_MONEY_TOKEN_FILE" in said_of(world.connection, campaign)


def test_sigterm_before_the_run_lets_the_request_wait_again(world: World, environment: dict[str, str]) -> None:
    campaign = asked(world)
    process = agent(environment, WAITS)
    wait_for(lambda: "has taken it" in said_of(world.connection, campaign), "the agent to take it")
    wait_for(lambda: list_agents(world.connection), "its sign of life")
    process.send_signal(signal.SIGTERM)
    _, words = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert f"Campaign {campaign.id}: its request waits again" in words
    assert "none is alive" in said_of(world.connection, campaign)
    assert list_agents(world.connection) == []


def test_sigterm_leaves_a_run_alone_that_has_begun(world: World, environment: dict[str, str]) -> None:
    campaign = asked(world)
    slow = MAKES_THE_RUN.replace("    end_run(", "    import time; time.sleep(3)\n    end_run(")
    process = agent(environment, slow)
    wait_for(lambda: get_campaign(world.connection, campaign.id).state == "RUNNING", "the run")
    process.send_signal(signal.SIGTERM)
    _, words = process.communicate(timeout=60)
    assert f"Campaign {campaign.id} goes on without the agent" in words
    wait_for(lambda: get_campaign(world.connection, campaign.id).run_reason == "a test", "the job to end it itself")


def test_a_job_that_makes_no_run_is_not_waited_for_without_an_end(
    world: World, database_url: str, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign = asked(world)
    monkeypatch.setattr(launch_agent, "RUN_APPEARS_S_MAX", 0.5)
    Path(environment["STAND_IN"]).write_text(WAITS)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with Agent(load_settings(environment), database_url) as one:
        taken, ended = one.follow(once=True)
    assert isinstance(taken, Taken)
    assert isinstance(ended, Ended)
    assert ended.run_no is None
    assert "The job has made no run for" in said_of(world.connection, campaign)


def test_a_job_that_does_not_end_when_it_is_told_to_is_ended(
    world: World, database_url: str, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign, deaf = asked(world), Path(environment["STAND_IN"]).with_name("deaf")
    monkeypatch.setattr(launch_agent, "JOB_ENDS_S_MAX", 0.5)
    told = f"import pathlib\npathlib.Path({str(deaf)!r}).touch()\ntime.sleep("
    Path(environment["STAND_IN"]).write_text(WAITS.replace("SIG_DFL", "SIG_IGN").replace("time.sleep(", told))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with Agent(load_settings(environment), database_url) as one:
        seen = one.follow(once=True)
        assert isinstance(next(seen), Taken)
        wait_for(deaf.exists, "the job to hear no signal any more")
        one._late_at = 0.0
        ended = next(seen)
    assert isinstance(ended, Ended)
    assert ended.exit_code == 128 + signal.SIGKILL
    assert "The job has made no run for" in said_of(world.connection, campaign)


def test_an_agent_waits_for_a_database_that_is_away_and_says_so(
    world: World, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "TRY_AGAIN_S", 0.05)
    with StallingProxy(database_url) as proxy:
        settings = load_settings({"BULKPOINT_AGENT_SECONDS": "0.1"})
        with Agent(settings, proxy.url) as one:
            seen = one.follow()
            proxy.cut(refuse=True)
            assert isinstance(next(seen), UnreachableError)
            proxy.accept()
            assert isinstance(next(seen), Recovered)
            assert list_agents(world.connection), "its sign of life"
