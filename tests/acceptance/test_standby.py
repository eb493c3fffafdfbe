"""The database's primary dies in the middle of a run, and its standby takes over."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.world.deployment import deployment
from tests.world.standby import Pair, primary_and_standby

TPS = 300
AWAY_S = 3.0


@pytest.fixture
def pair(reachable_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    with primary_and_standby(reachable_tmp / "pair") as pair:
        monkeypatch.setenv("PGPASSFILE", str(pair.passfile))
        yield pair


def test_a_run_goes_on_at_the_standby_that_took_over(pair: Pair, tmp_path: Path) -> None:
    """Waves of two seconds: workers and heartbeat find the new primary, and so does Spark's reader."""
    with deployment(
        tmp_path, "--latency-ms", "20", database_url=pair.url, BULKPOINT_TPS=TPS, BULKPOINT_WAVE_SECONDS=2
    ) as its:
        its.succeed("db", "migrate")
        campaign = its.create(1_800)
        job = its.begin("campaign", "start", campaign, "--yes")
        its.wait_for(b"select count(*) > 300 from payment_attempt")
        pair.kill_primary()
        time.sleep(AWAY_S)
        pair.promote_standby()
        said = job.communicate(timeout=120)[1]
        assert job.returncode == 0, said
        shown = its.show(campaign)
        assert (shown["state"], shown["counts"]["SUCCESS"]) == ("COMPLETED", 1_800)
        its.assert_promises_kept(campaign, tps=TPS)
        assert len(its.money.ledger()) == 1_800
