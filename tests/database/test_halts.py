"""No halt is lost: not between a partition's end and the run's, not beside a stop, not in the driver's last look."""

import threading
import time
from collections.abc import Iterator

import pytest

from bulkpoint.campaigns.runs import end_run
from bulkpoint.pay.recorder import Recorder
from bulkpoint.rules.lifecycle import RunState
from bulkpoint.store.connect import Connection, connect
from bulkpoint.store.payment import Change
from bulkpoint.store.run import close_gates, halt_run
from bulkpoint.store.share import ShareToken
from tests.world.campaigns import Campaign, World

REASON = "no (payment 2 of campaign 1, member «m2»)"


@pytest.fixture
def campaign(world: World) -> Campaign:
    return world.campaign(2).begun()


@pytest.fixture
def recorder(database_url: str, campaign: Campaign) -> Iterator[Recorder]:
    recorder = Recorder(database_url, "a worker of the test", campaign.run.token)
    yield recorder
    recorder.close()


def mismatch(seq: int, token: ShareToken) -> Change:
    return Change(
        seq, "FAILED", token, 1, False, failure_kind="MISMATCH", failure_code="KEY_MISMATCH", halt=("MISMATCH", REASON)
    )


def standing(connection: Connection) -> tuple[str, str | None, str | None]:
    return connection.execute("select state::text, halt, reason from campaign_run").fetchone() or ("", None, None)


def test_a_mismatch_among_the_last_rows_fails_the_run_whatever_the_driver_decided(
    connection: Connection, campaign: Campaign, recorder: Recorder
) -> None:
    campaign.paid([1]).claimed([2])
    assert campaign.token is not None
    recorder.add(None, mismatch(2, campaign.token))
    recorder.flush()  # the partition has not ended, and has not said anything yet
    summary = end_run(connection, campaign.run, RunState.COMPLETED)
    assert summary is not None
    assert (summary.state, summary.reason) == ("FAILED", f"MISMATCH: {REASON}")
    assert standing(connection) == ("FAILED", "MISMATCH", f"MISMATCH: {REASON}")
    events = connection.execute("select type, data->>'reason' from outbox_event order by event_no desc").fetchone()
    assert events == ("campaign.failed", "MISMATCH: no (payment 2 of campaign 1, member ***)"), "no member leaves"
    assert connection.execute("select count(*) from audit_event where detail::text like '%m2%'").fetchone() == (0,)


def test_who_sees_the_payment_ended_sees_the_halt(
    connection: Connection, database_url: str, campaign: Campaign, recorder: Recorder
) -> None:
    campaign.paid([1]).claimed([2])
    assert campaign.token is not None
    seen: list[tuple[str, str | None]] = []
    recorder.add(None, mismatch(2, campaign.token))
    with connect(database_url, name="an onlooker") as onlooker:
        while not seen or seen[-1] == ("PROCESSING", None):
            seen += onlooker.execute(
                "select p.state::text, r.halt from payment p, campaign_run r where p.seq = 2"
            ).fetchall()
    assert set(seen) <= {("PROCESSING", None), ("FAILED", "MISMATCH")}


def test_a_halt_that_is_being_written_is_awaited_by_the_end_of_the_run(
    connection: Connection, database_url: str, campaign: Campaign
) -> None:
    campaign.paid(2)
    ended = []

    def end() -> None:
        with connect(database_url, name="the driver") as driver:
            ended.append(end_run(driver, campaign.run, RunState.COMPLETED))

    with connection.transaction():
        halt_run(connection, campaign.run.token, "SAME_TRANSACTION", "one id for two")
        driver = threading.Thread(target=end)
        driver.start()
        time.sleep(0.2)
    driver.join()
    assert [(summary.state, summary.reason) for summary in ended if summary is not None] == [
        ("FAILED", "SAME_TRANSACTION: one id for two")
    ]


def test_a_halt_in_a_run_that_a_person_stops_is_kept_in_its_reason(connection: Connection, campaign: Campaign) -> None:
    campaign.paid([1]).halted("MISMATCH", REASON)
    campaign.stopped(reason="wrong list")
    assert standing(connection) == ("STOPPED", "MISMATCH", f"wrong list; MISMATCH: {REASON}")


def test_a_halt_in_a_run_that_its_driver_gives_up_is_kept_in_its_reason(
    connection: Connection, campaign: Campaign
) -> None:
    campaign.paid([1])
    close_gates(connection, campaign.run.token, "money cannot be reached")
    halt_run(connection, campaign.run.token, "MISMATCH", REASON)
    summary = end_run(connection, campaign.run, RunState.FAILED, "money cannot be reached")
    assert summary is not None
    assert summary.reason == f"money cannot be reached; MISMATCH: {REASON}"


def test_the_first_halt_stays(connection: Connection, campaign: Campaign, recorder: Recorder) -> None:
    campaign.claimed(2)
    assert campaign.token is not None
    recorder.add(None, mismatch(2, campaign.token))
    recorder.flush()
    recorder.add(None, mismatch(1, campaign.token)._replace(halt=("UNAUTHORIZED", "later")))
    recorder.flush()
    assert standing(connection)[1] == "MISMATCH"


def test_a_halt_is_written_with_a_result_that_the_database_refuses_at_first(
    connection: Connection, campaign: Campaign, recorder: Recorder
) -> None:
    campaign.claimed(2)
    assert campaign.token is not None
    recorder.add(None, mismatch(2, campaign.token)._replace(failure_message="\x00"))
    recorder.add(None, Change(1, "SUCCESS", campaign.token, 1, False, transaction_id="t-1"))
    recorder.flush()
    assert standing(connection)[1] == "MISMATCH"
    assert campaign.states() == {1: "SUCCESS", 2: "FAILED"}


def test_without_a_halt_a_run_is_completed(connection: Connection, campaign: Campaign) -> None:
    campaign.paid(2)
    summary = end_run(connection, campaign.run, RunState.COMPLETED)
    assert summary is not None
    assert (summary.state, summary.reason) == ("COMPLETED", None)
