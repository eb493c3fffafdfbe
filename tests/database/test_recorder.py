"""The recorder: one result that the database will not have costs no other its record, whatever is wrong with it."""

import threading
from uuid import uuid4

import pytest

from bulkpoint.pay.recorder import Recorder
from bulkpoint.rules.invariants import DefectError
from bulkpoint.store.connect import Connection
from bulkpoint.store.payment import Attempt, Change
from bulkpoint.store.share import ShareToken
from tests.world.campaigns import Campaign, World
from tests.world.logins import new_login
from tests.world.refusals import refused

TARGETS = 40


@pytest.fixture
def campaign(world: World) -> Campaign:
    return world.campaign(TARGETS).begun().claimed(TARGETS)


@pytest.fixture
def token(campaign: Campaign) -> ShareToken:
    assert campaign.token is not None
    return campaign.token


@pytest.fixture
def recorder(database_url: str, campaign: Campaign) -> Recorder:
    return Recorder(database_url, "the test", campaign.run.token)


def attempt(seq: int, code: str | None = None) -> Attempt:
    return Attempt(str(uuid4()), "POST", seq, 1_700_000_000.0, 1_700_000_000.1, 400, "REJECTED", code, None)


def failed(seq: int, token: ShareToken, message: str) -> Change:
    return Change(seq, "FAILED", token, 1, False, failure_kind="REJECTED", failure_code="NO", failure_message=message)


@pytest.mark.parametrize("poison", ["a NUL: \0", "half a character: \ud800"])
def test_text_that_cannot_be_stored_costs_nothing_but_itself(
    recorder: Recorder, connection: Connection, token: ShareToken, poison: str
) -> None:
    for seq in range(1, TARGETS + 1):
        recorder.add(attempt(seq, poison if seq == 23 else None), failed(seq, token, poison if seq == 7 else "no"))
    recorder.close()
    assert recorder.unwritable == []
    ended = connection.execute(
        "select state::text, failure_message is not null, count(*) from payment group by 1, 2 order by 2"
    ).fetchall()
    assert ended == [("FAILED", False, 2), ("FAILED", True, TARGETS - 2)]
    assert connection.execute("select count(*) from payment_attempt").fetchone() == (TARGETS,)
    counted = connection.execute("select failure_kind::text, count from campaign_failed_count").fetchall()
    assert counted == [("REJECTED", TARGETS)]


def test_a_result_that_breaks_a_rule_of_the_database_is_named_and_all_others_are_written(
    recorder: Recorder, connection: Connection, token: ShareToken
) -> None:
    for seq in range(1, TARGETS + 1):
        state = "SUCCESS" if seq == 11 else "FAILED"  # without a transaction id
        recorder.add(attempt(seq), failed(seq, token, "no")._replace(state=state))
    recorder.close()
    ((seq, why),) = recorder.unwritable
    assert seq == 11
    assert "check constraint" in why
    counted = connection.execute("select failed, processing, success from campaign_count").fetchone()
    assert counted == (TARGETS - 1, 1, 0)


def test_a_second_transaction_id_for_one_payment_is_told(
    recorder: Recorder, connection: Connection, token: ShareToken
) -> None:
    recorder.add(None, Change(1, "SUCCESS", token, 1, False, transaction_id="t-1"))
    recorder.flush()
    recorder.add(None, Change(1, "SUCCESS", token, 2, False, transaction_id="t-1"))
    recorder.flush()
    assert not recorder.halted
    recorder.add(None, Change(1, "SUCCESS", token, 2, False, transaction_id="t-2"))
    recorder.close()
    assert recorder.halted
    reason = "NOT_DEDUPLICATED: money gave payment 1 a second transaction id (t-2)"
    assert connection.execute("select reason from campaign_run").fetchone() == (reason,)
    assert connection.execute("select transaction_id from payment where seq = 1").fetchone() == ("t-1",)


def test_a_defect_in_the_recorder_is_raised_where_its_results_are_waited_for_and_loses_none(
    recorder: Recorder, connection: Connection, token: ShareToken, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> list[int]:
        raise DefectError("two changes of one payment in a batch")

    with monkeypatch.context() as patch:
        patch.setattr("bulkpoint.pay.recorder.record_results", broken)
        recorder.add(attempt(1), failed(1, token, "no"))
        with pytest.raises(DefectError):
            recorder.flush()
    assert isinstance(recorder.trouble, DefectError), "nothing more is sent"
    recorder.trouble = None
    recorder.close()
    assert connection.execute("select count(*) from payment where state = 'FAILED'").fetchone() == (1,)


def test_results_that_a_revoked_permission_keeps_out_are_kept_and_written_when_it_is_back(
    database_url: str, connection: Connection, campaign: Campaign, token: ShareToken, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bulkpoint.pay.recorder.REFUSED_AGAIN_S", 0.05)
    with new_login(connection, database_url) as login:
        login.only_what_is_granted()
        recorder = Recorder(login.url, "the test", campaign.run.token)
        login.revoke("insert on payment_attempt")
        for seq in range(1, TARGETS + 1):
            recorder.add(attempt(seq), failed(seq, token, "no"))
        with refused("permission denied for table payment_attempt.*docs/access.md"):
            recorder.flush()
        assert connection.execute("select count(*) from payment where state = 'FAILED'").fetchone() == (0,)
        timer = threading.Timer(0.3, login.grant, ("insert on payment_attempt",))
        timer.start()
        recorder.close()
        timer.join()
    assert connection.execute("select count(*) from payment_attempt").fetchone() == (TARGETS,)
    campaign.assert_sums_hold()


def test_results_that_nobody_lets_in_within_the_patience_end_the_recorder_with_the_reason(
    database_url: str, connection: Connection, campaign: Campaign, token: ShareToken, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bulkpoint.pay.recorder.REFUSED_AGAIN_S", 0.05)
    monkeypatch.setattr("bulkpoint.pay.recorder.PATIENCE_S", 0.3)
    with new_login(connection, database_url) as login:
        login.only_what_is_granted()
        recorder = Recorder(login.url, "the test", campaign.run.token)
        login.revoke("insert on payment_attempt")
        recorder.add(attempt(1), failed(1, token, "no"))
        with refused("permission denied for table payment_attempt"):
            recorder.close()
    assert connection.execute("select state::text from payment where seq = 1").fetchone() == ("PROCESSING",)


@pytest.mark.parametrize(
    "sqlstate",
    ["25006", "25P04", "40001", "40P01", "53100", "53200", "53400", "55P03", "57014", "57P01", "58030", "XX000"],
)
def test_an_error_that_passes_costs_no_result(
    recorder: Recorder,
    connection: Connection,
    campaign: Campaign,
    token: ShareToken,
    sqlstate: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A full disk, a deadlock, a time-out ...: raised by the server itself, until it is over."""
    monkeypatch.setattr("bulkpoint.store.connect.ASK_AGAIN_S", 0.05)
    monkeypatch.setattr("bulkpoint.store.connect.WAIT_S", 0.05)
    connection.execute(
        "create function fail() returns trigger language plpgsql as"
        f" $$begin raise exception 'of the test' using errcode = '{sqlstate}'; end$$".encode()
    )
    connection.execute("create trigger fail before insert on payment_attempt execute function fail()")
    for seq in range(1, TARGETS + 1):
        recorder.add(attempt(seq), failed(seq, token, "no"))
    timer = threading.Timer(0.4, connection.execute, ("drop trigger fail on payment_attempt",))
    timer.start()
    recorder.flush()
    timer.join()
    recorder.close()
    assert recorder.unwritable == []
    assert connection.execute("select count(*) from payment_attempt").fetchone() == (TARGETS,)
    campaign.assert_sums_hold()
