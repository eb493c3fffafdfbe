"""A run whose lines nobody can read: it pays to its end, and its exit code says how it ended."""

import subprocess
from pathlib import Path

import pytest

from bulkpoint.campaigns.run_request import RunRequest
from tests.world.command_line import COMMAND, JOB_S_MAX, SUBMIT
from tests.world.deployment import Deployment, deployment


def run_by_shell(ours: Deployment, words: list[str], redirections: str) -> int:
    return subprocess.run(
        ["bash", "-c", f'"$@" {redirections}', "bash", *words],
        env=ours.environment,
        cwd=ours.folder,
        timeout=JOB_S_MAX,
        check=False,
    ).returncode


@pytest.mark.parametrize("redirections", ["2>/dev/full >/dev/full", "2>&- >&- <&-"])
def test_a_run_goes_on_to_its_end_where_nothing_can_be_printed(
    tmp_path: Path, database_url: str, redirections: str
) -> None:
    with deployment(tmp_path, database_url=database_url, BULKPOINT_TPS=1_000) as ours:
        campaign = ours.create(30)
        if ">&-" in redirections:  # as a scheduler has it: the job itself, and Spark in it, have no streams
            request = RunRequest(campaign=int(campaign), actor="cron")
            words = [str(SUBMIT), "--request", request.to_json()]
        else:
            words = [*COMMAND, "campaign", "start", campaign, "--yes"]
        assert run_by_shell(ours, words, redirections) == 0
        shown = ours.show(campaign)
        assert (shown["state"], shown["counts"]["SUCCESS"]) == ("COMPLETED", 30)
        ours.assert_promises_kept(campaign, tps=1_000)
        history = ours.succeed("campaign", "history", campaign).stdout
        assert "run 1 completed: success 30" in history, "what could not be printed is kept"
