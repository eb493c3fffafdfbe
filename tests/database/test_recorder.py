"""The recorder: one result that the database will not have costs no other its record, whatever is wrong with it."""

from collections.abc import Iterator
from uuid import uuid4

import pytest

from bulkpoint.campaigns.runs import begin_run
from bulkpoint.pay.recorder import Recorder
from bulkpoint.store.connect import Connection, connect
from bulkpoint.store.limit import ensure_limit
from bulkpoint.store.payment import Attempt, Change, claim_payments
from bulkpoint.store.run import Run
from bulkpoint.store.share import ShareToken, acquire_share

TARGETS = 40


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with connect(database_url) as connection:
        yield connection


@pytest.fixture
def run(connection: Connection) -> Run:
    connection.execute(
        "insert into campaign (name, expected_count, expected_amount, creator) values ('c', %s, %s, 'tester')",
        (TARGETS, TARGETS),
    )
    connection.execute(
        "insert into campaign_target select 1, 'member-' || i, 1, 'why' from generate_series(1, %s) i", (TARGETS,)
    )
    ensure_limit(connection, tps=100, shares=1, actor="tester")
    return begin_run(connection, 1, kind="INITIAL", actor="tester", reason=None, shares=1)


@pytest.fixture
def token(connection: Connection, run: Run) -> ShareToken:
    acquired = acquire_share(connection, run.token, uuid4(), lease_s=60)
    assert acquired is not None
    claim_payments(connection, run.token, acquired.token, range(1, TARGETS + 1))
    return acquired.token


@pytest.fixture
def recorder(database_url: str, run: Run) -> Recorder:
    return Recorder(database_url, "the test", run.token)


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
    assert connection.execute("select failed, failed_rejected from campaign_count").fetchone() == (TARGETS, TARGETS)


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
    assert recorder.paid_twice == []
    recorder.add(None, Change(1, "SUCCESS", token, 2, False, transaction_id="t-2"))
    recorder.close()
    assert recorder.paid_twice == [1]
    assert connection.execute("select transaction_id from payment where seq = 1").fetchone() == ("t-1",)
