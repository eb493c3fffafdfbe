"""The real job: spark-submit, PostgreSQL, JDBC, and money in a process of its own with a ledger of its own."""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.world.deployment import CANARY, Deployment, deployment, environment_of
from tests.world.files import files_with
from tests.world.money import sandbox
from tests.world.processes import processes_of, processes_with

TPS = 400


@dataclass(frozen=True)
class FaultyRun:
    """A run that has ended, and what it said to people."""

    deployment: Deployment
    campaign: str
    said: str


def deployed(database_url: str, folder: Path, *options: str, **changes: str) -> AbstractContextManager[Deployment]:
    """Money answers after 20 ms and asks for a token."""
    options = ("--latency-ms", "20", *options)
    return deployment(folder, *options, database_url=database_url, token=CANARY, BULKPOINT_TPS=TPS, **changes)


def test_all_are_paid(database_url: str, tmp_path: Path) -> None:
    with deployed(database_url, tmp_path) as its:
        campaign = its.create(3_000)
        its.succeed("campaign", "start", campaign, "--yes")
        shown = its.show(campaign)
        assert shown["state"] == "COMPLETED"
        assert shown["counts"] == {"PENDING": 0, "PROCESSING": 0, "SUCCESS": 3_000, "FAILED": 0}
        its.assert_promises_kept(campaign, tps=TPS)
        events = [row[0] for row in its.query(b"select type from outbox_event order by event_no")]
        told = ["created", "started", "progressed", "progressed", "progressed", "completed"]
        assert events == [f"campaign.{one}" for one in told]

        assert files_with(CANARY, tmp_path) == [tmp_path / "token"]

        again = its.run("campaign", "start", campaign, "--yes")
        assert again.returncode == 3
        assert "COMPLETED" in again.stderr
        assert len(its.money.ledger()) == 3_000


def test_started_twice_at_once_one_pays_and_retries_what_failed_by_itself(database_url: str, tmp_path: Path) -> None:
    """Money fails a tenth of the calls, none of which is repeated within a run; two retry runs may follow."""
    changes = {"BULKPOINT_RETRIES": "0", "BULKPOINT_AUTO_RETRY_RUNS": "2"}
    with deployed(database_url, tmp_path, "--fault", "unavailable=0.1", **changes) as its:
        campaign = its.create(800)
        both = [its.begin("campaign", "start", campaign, "--yes") for _ in range(2)]
        said = {}
        for process in both:
            told = process.communicate(timeout=240)[1]
            said[process.returncode] = told
        assert sorted(said) == [0, 3]
        assert "RUNNING" in said[3]
        its.assert_promises_kept(campaign, tps=TPS)

        shown = its.show(campaign)
        runs = [(run["kind"], run["state"], run["reason"]) for run in shown["runs"]]
        expected: list[tuple[str, str, str | None]] = [("INITIAL", "COMPLETED", None)]
        expected += [("RETRY", "COMPLETED", f"automatic retry {number} of 2") for number in (1, 2)]
        assert runs == expected[: len(runs)]
        assert len(runs) > 1
        assert "Run 1 left failures; run 2 retries them." in said[0]
        assert shown["counts"]["FAILED"] < 40  # of 80 that the first run leaves
        pause = its.query(
            b"select extract(epoch from r.started_at - i.finished_at)::float8 from campaign_run i, campaign_run r"
            b" where i.run_no = 1 and r.run_no = 2"
        )
        assert pause[0][0] >= 1, "after the backoff"


FAULTS = {
    "unavailable": 0.02,
    "close_before_credit": 0.01,
    "credit_then_500": 0.02,
    "credit_then_close": 0.05,
    "rejected": 0.03,
}
FAULTY_TARGETS = 2_000


@pytest.fixture(scope="module")
def faulty(database_url_of_module: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultyRun]:
    """One run against money that refuses 3 % of the members and fails 10 % of the calls."""
    options = [option for fault, ratio in FAULTS.items() for option in ("--fault", f"{fault}={ratio}")]
    folder = tmp_path_factory.mktemp("faulty")
    with deployed(database_url_of_module, folder, *options, BULKPOINT_RETRIES="8") as its:
        campaign = its.create(FAULTY_TARGETS)
        done = its.succeed("campaign", "start", campaign, "--yes")
        yield FaultyRun(its, campaign, done.stderr)


def test_under_faults_every_promise_is_kept(faulty: FaultyRun) -> None:
    faulty.deployment.assert_promises_kept(faulty.campaign, tps=TPS)


def test_transient_failures_are_retried_to_the_end(faulty: FaultyRun) -> None:
    failed = faulty.deployment.query(
        b"select count(*) from payment where state = 'FAILED' and failure_code <> 'MEMBER_NOT_FOUND'"
    )
    assert failed == [(0,)], "nine calls in a row do not fail at 10 %"
    retried = faulty.deployment.query(b"select count(*) from payment where state = 'SUCCESS' and tries > 1")
    assert retried[0][0] > FAULTY_TARGETS * 0.05


def test_rejected_rows_fail_and_the_campaign_completes_with_both_counts(faulty: FaultyRun) -> None:
    shown = faulty.deployment.show(faulty.campaign)
    failed = shown["counts"]["FAILED"]
    assert shown["state"] == "COMPLETED"
    assert FAULTY_TARGETS * 0.01 <= failed <= FAULTY_TARGETS * 0.06
    assert sum(shown["failure_kinds"].values()) == failed
    assert shown["failure_kinds"]["REJECTED"] > 0
    assert f"성공: {FAULTY_TARGETS - failed:,}건 / 실패: {failed:,}건" in faulty.said


def test_a_refusal_is_final_unless_an_earlier_call_may_have_credited(faulty: FaultyRun) -> None:
    ended = faulty.deployment.query(
        b"select p.failure_kind::text, p.maybe_credited, max(a.refusals) from payment p join ("
        b" select seq, count(*) filter (where outcome = 'REJECTED') as refusals from payment_attempt group by seq"
        b") a using (seq) where p.state = 'FAILED' group by 1, 2"
    )
    assert ("REJECTED", False, 1) in ended
    assert {refusals for _, _, refusals in ended} == {1}, "a refused payment was asked for again"
    assert all(kind == "UNKNOWN" for kind, maybe_credited, _ in ended if maybe_credited)


def test_a_reply_lost_after_the_credit_ends_as_one_credit_and_success(faulty: FaultyRun) -> None:
    """Money reads the POST on a reused connection, credits, and hangs up: libcurl would silently send it again."""
    lost = faulty.deployment.query(b"select count(distinct seq) from payment_attempt where outcome = 'LOST'")[0][0]
    assert lost > FAULTY_TARGETS * 0.02, "the fault was never met"
    credited = {row["member_id"] for row in faulty.deployment.money.ledger()}
    paid = {row[0] for row in faulty.deployment.query(b"select member_id from payment where state = 'SUCCESS'")}
    assert credited == paid


def test_after_a_stop_no_call_leaves_later_than_a_second(database_url: str, tmp_path: Path) -> None:
    with deployed(database_url, tmp_path) as its:
        campaign = its.create(20_000)
        job = its.begin("campaign", "start", campaign, "--yes")
        its.wait_for(b"select count(*) > 300 from payment_attempt")
        its.money.change(latency_ms=1500)  # so that hundreds of answers come after the stop
        time.sleep(1)
        assert any("pay_campaign" in one.command for one in processes_of(tmp_path)), "the job is not seen"
        assert processes_with(CANARY) == []
        stopped = its.run("campaign", "stop", campaign, "--reason", "the test says so")
        assert stopped.returncode == 0, stopped.stderr
        job.communicate(timeout=120)
        assert job.returncode == 4
        ((late_s,),) = its.query(
            b"select extract(epoch from max(a.sent_at) - max(r.stop_asked_at))::float8"
            b" from payment_attempt a, campaign_run r"
        )
        assert late_s <= 1.0
        arrivals = its.money.stats()["requests"]
        time.sleep(1)
        assert its.money.stats()["requests"] == arrivals, "a call after the end"
        shown = its.show(campaign)
        assert shown["state"] == "STOPPED"
        assert shown["counts"]["PROCESSING"] == 0
        assert shown["counts"]["PENDING"] > 10_000
        paid = shown["counts"]["SUCCESS"]
        ((in_event, in_audit, late),) = its.query(
            b"select (select (data->>'success')::int from outbox_event where type = 'campaign.stopped'),"
            b" (select (detail->>'success')::int from audit_event where action = 'stop'),"
            b" (select count(*) from payment_attempt a, campaign_run r where a.answered_at > r.stop_asked_at)"
        )
        assert late > 100, "the fault was never met"
        assert (in_event, in_audit, len(its.money.ledger())) == (paid, paid, paid)
        assert f"paid {paid:,}," in stopped.stdout
        its.assert_promises_kept(campaign, tps=TPS)


def test_an_embedded_database_serves_the_same_job_from_a_scheduler(tmp_path: Path, reachable_tmp: Path) -> None:
    """scripts/submit.sh alone, with no database configured: it starts one, pays, and leaves no process behind."""
    with sandbox("--latency-ms", "5") as money:
        folder = reachable_tmp / "embedded"
        folder.mkdir()
        environment = environment_of(None, money, folder)
        environment.pop("PGPASSFILE", None)
        its = Deployment(environment, tmp_path, money=money, database_url="")
        campaign = its.create(300)
        done = its.submit("next")
        assert done.returncode == 0, done.stderr
        assert its.show(campaign)["counts"]["SUCCESS"] == 300
        assert len(money.ledger()) == 300
        assert processes_of(folder) == []
        nothing = its.submit("next")
        assert nothing.returncode == 0, nothing.stderr


@pytest.mark.parametrize("campaign", ["0", "77", "abc", "-1"])
def test_a_campaign_that_is_none_is_refused_before_anything_starts(
    campaign: str, database_url: str, tmp_path: Path
) -> None:
    with deployed(database_url, tmp_path) as its:
        refused = its.run("campaign", "start", "--yes", "--", campaign)
        assert refused.returncode in (2, 3)
        assert refused.stderr.strip()
        assert "Traceback" not in refused.stderr
