"""The database's primary dies in the middle of two runs, and its standby takes over."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.world.balancer import balancer
from tests.world.deployment import Deployment, deployment
from tests.world.standby import Pair, primary_and_standby
from tests.world.waiting import wait_for

TPS = 150
TARGETS = 1_200


@pytest.fixture
def pair(reachable_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    with primary_and_standby(reachable_tmp / "pair") as pair:
        monkeypatch.setenv("PGPASSFILE", str(pair.passfile))
        yield pair


@dataclass(frozen=True)
class Run:
    its: Deployment
    campaign: str
    job: "subprocess.Popen[str]"

    def wait_until_it_pays(self) -> None:
        self.its.wait_for(b"select count(*) > 100 from payment_attempt")

    def assert_in_the_middle(self) -> None:
        assert self.its.query(b"select count(*) > 100 from payment where state = 'PENDING'") == [(True,)]

    def log(self) -> str:
        return "".join(file.read_text() for file in (self.its.folder / "data" / "logs").iterdir())

    def assert_ends_with_all_paid(self) -> None:
        said = self.job.communicate(timeout=120)[1]
        assert self.job.returncode == 0, said
        shown = self.its.show(self.campaign)
        assert (shown["state"], shown["counts"]["SUCCESS"]) == ("COMPLETED", TARGETS)
        self.its.assert_promises_kept(self.campaign, tps=TPS)
        assert len(self.its.money.ledger()) == TARGETS


@contextmanager
def begun(folder: Path, url: str) -> Iterator[Run]:
    """Waves of two seconds, so that Spark's reader meets the change too."""
    folder.mkdir()
    changes: dict[str, Any] = {"BULKPOINT_TPS": TPS, "BULKPOINT_WAVE_SECONDS": 2}
    with deployment(folder, "--latency-ms", "20", database_url=url, **changes) as its:
        its.succeed("db", "migrate")
        campaign = its.create(TARGETS)
        yield Run(its, campaign, its.begin("campaign", "start", campaign, "--yes"))


def test_runs_go_on_at_the_standby_that_took_over(pair: Pair, reachable_tmp: Path, tmp_path: Path) -> None:
    """One run's address names both servers, the other's leads to HAProxy; workers, heartbeat and reader find the way.

    HAProxy sends its clients to the standby before that takes writes: the run's log says so.
    """
    with (
        balancer(pair, tmp_path / "haproxy") as port,
        begun(tmp_path / "both", pair.url) as by_both,
        begun(tmp_path / "one", pair.url_by(port, "through_haproxy")) as by_haproxy,
    ):
        for run in (by_both, by_haproxy):
            run.wait_until_it_pays()
        for run in (by_both, by_haproxy):
            run.assert_in_the_middle()
        pair.kill_primary()
        wait_for(lambda: "cannot execute UPDATE in a read-only transaction" in by_haproxy.log(), "the cause in its log")
        pair.promote_standby()
        for run in (by_both, by_haproxy):
            run.assert_ends_with_all_paid()
        assert "the database answers the heartbeat again after " in by_haproxy.log()
