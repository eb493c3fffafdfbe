"""Workers that call money by `requests` keep the same promises as those that call it by libcurl."""

from pathlib import Path

from tests.world.money import sandbox
from tests.world.workers import crew


def test_workers_with_requests_pay_everybody_once_within_the_limit(database_url: str, tmp_path: Path) -> None:
    faults = ("--fault", "credit_then_close=0.05", "--fault", "unavailable=0.03")
    with (
        sandbox("--latency-ms", "20", *faults) as money,
        crew(
            database_url,
            money,
            tmp_path,
            members=500,
            tps=200,
            shares=2,
            BULKPOINT_MONEY_TRANSPORT="requests",
            BULKPOINT_RETRIES="6",
        ) as its,
    ):
        its.hire_each(None, None)
        its.finish()
        assert its.count("SUCCESS") == 500
        assert its.query(b"select count(*) > 5 from payment_attempt where outcome = 'LOST'") == [(True,)]
