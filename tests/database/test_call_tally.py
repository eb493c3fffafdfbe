"""Calls by outcome and duration: kept by the statements that write attempts, exact whatever happens."""

import threading
from collections import Counter
from dataclasses import replace
from uuid import uuid4

import pytest

from bulkpoint.campaigns.keep_attempts import remove_old_attempts
from bulkpoint.pay.recorder import REASONS, Recorder
from bulkpoint.reconcile.ended_run import check_reconcilable
from bulkpoint.rules.durations import DURATION_BOUNDS_S
from bulkpoint.settings import load_settings
from bulkpoint.store.call_tally import (
    CallTally,
    add_up,
    calls_of_all,
    calls_of_campaign,
    calls_of_run,
    fold_ended_calls,
)
from bulkpoint.store.connect import Connection, connect
from bulkpoint.store.payment import Attempt, Change, record_results
from bulkpoint.store.reconcile import apply_findings
from bulkpoint.store.share import ShareToken
from tests.world.campaigns import Campaign, World

SENT_AT = 1_700_000_000.25


@pytest.fixture
def campaign(world: World) -> Campaign:
    return world.campaign(6).begun()


def call(seq: int, outcome: str = "CREDITED", *, took_s: float | None = 0.06, method: str = "POST") -> Attempt:
    answered_at = None if took_s is None else SENT_AT + took_s
    credit = f"t-{seq}" if outcome == "CREDITED" else None
    status = None if took_s is None else 201
    return Attempt(str(uuid4()), method, seq, SENT_AT, answered_at, status, outcome, None, credit)


def success(seq: int, token: ShareToken) -> Change:
    return Change(seq, "SUCCESS", token, 1, False, last_sent_at=SENT_AT, transaction_id=f"t-{seq}")


def histogram(*durations_s: float) -> list[int]:
    """As by hand: each call in the first bucket whose bound it does not reach."""
    places = Counter(sum(bound <= took for bound in DURATION_BOUNDS_S) for took in durations_s)
    return [places[place] for place in range(len(DURATION_BOUNDS_S) + 1)]


def by_outcome(tallies: list[CallTally]) -> dict[tuple[str, str], int]:
    return {(tally.method, tally.outcome): tally.calls for tally in tallies}


def test_plain_credits_and_other_results_are_counted_by_outcome_and_duration(
    connection: Connection, campaign: Campaign
) -> None:
    token = campaign.share()
    campaign.claim(token, [1, 2, 3, 4])
    credits_ = [call(1, took_s=0.003), call(2, took_s=0.06), call(3, took_s=61.0)]
    others = [call(4, "TIMED_OUT", took_s=None), call(4, "REJECTED", took_s=0.2)]
    refusal = Change(4, "FAILED", token, 2, False, last_sent_at=SENT_AT, failure_kind="REJECTED", failure_code="NO")
    campaign.record(token, [*(success(seq, token) for seq in (1, 2, 3)), refusal], [*credits_, *others])
    credited, rejected, timed_out = calls_of_run(connection, campaign.run.token.run_id)
    assert credited == CallTally("POST", "CREDITED", 3, credited.seconds_sum, histogram(0.003, 0.06, 61.0))
    assert rejected == CallTally("POST", "REJECTED", 1, rejected.seconds_sum, histogram(0.2))
    assert (credited.seconds_sum, rejected.seconds_sum) == pytest.approx((61.063, 0.2), abs=1e-5)
    assert timed_out == CallTally("POST", "TIMED_OUT", 1, 0.0, histogram())
    assert (credited.answered, timed_out.answered) == (3, 0), "no duration is made up for a call without an answer"
    campaign.assert_sums_hold()


def test_later_batches_add_to_the_row_of_their_share(connection: Connection, campaign: Campaign) -> None:
    first, second = campaign.share(), campaign.share()
    for token, seqs in ((first, [1]), (second, [2]), (first, [3])):
        campaign.claim(token, seqs)
        campaign.record(token, [success(seq, token) for seq in seqs], [call(seq) for seq in seqs])
    assert connection.execute("select share, calls from call_tally order by share").fetchall() == [(0, 2), (1, 1)]
    (credited,) = calls_of_run(connection, campaign.run.token.run_id)
    assert (credited.calls, credited.buckets) == (3, histogram(0.06, 0.06, 0.06))


def test_what_is_recorded_again_is_counted_once(connection: Connection, campaign: Campaign) -> None:
    token = campaign.share()
    campaign.claim(token, [1, 2])
    lost = call(2, "LOST", took_s=None)
    for _ in range(3):
        campaign.record(token, [success(1, token)], [call(1)._replace(attempt_id=str(uuid4())), lost][1:])
    assert by_outcome(calls_of_run(connection, campaign.run.token.run_id)) == {("POST", "LOST"): 1}
    campaign.assert_sums_hold()
    credit = call(1)
    campaign.claim(token, [3])
    for _ in range(3):
        campaign.record(token, [success(3, token)], [credit._replace(seq=3, transaction_id="t-3")])
    assert by_outcome(calls_of_run(connection, campaign.run.token.run_id))["POST", "CREDITED"] == 1
    campaign.assert_sums_hold()


def test_a_batch_that_the_database_refuses_counts_nothing_twice(connection: Connection, campaign: Campaign) -> None:
    """The lean statement is undone as a whole, and the other one counts what it writes."""
    token = campaign.share()
    campaign.claim(token, [1, 2, 3])
    campaign.record(token, [success(1, token)], [call(1)])
    thief = success(2, token)._replace(transaction_id="t-1")
    campaign.record(token, [thief, success(3, token)], [call(2)._replace(transaction_id="t-1"), call(3)])
    assert by_outcome(calls_of_run(connection, campaign.run.token.run_id)) == {("POST", "CREDITED"): 3}
    campaign.assert_sums_hold()


def test_look_ups_of_a_reconciliation_are_counted_under_the_driver_share(
    connection: Connection, campaign: Campaign
) -> None:
    campaign.paid(1).failed(1, kind="UNKNOWN").ended("COMPLETED")
    run = check_reconcilable(connection, campaign.id)
    look_up = call(2, "NOT_FOUND", method="GET", took_s=0.02)
    for _ in range(2):
        apply_findings(connection, run, [look_up], [])
    rows = connection.execute("select share, calls from call_tally where method = 'GET'").fetchall()
    assert rows == [(-1, 1)]
    campaign.assert_sums_hold()


def test_recorders_of_many_shares_never_wait_for_each_other_and_lose_no_call(
    database_url: str, connection: Connection, world: World
) -> None:
    campaign = world.campaign(400).begun()
    tokens = [campaign.share(), campaign.share()]

    def pay(token: ShareToken, seqs: range) -> None:
        with connect(database_url) as own:
            mine = campaign.on(own)
            for first in range(seqs.start, seqs.stop, 20):
                batch = list(range(first, first + 20))
                mine.claim(token, batch)
                sent = [call(seq, took_s=seq / 1000 + 0.0005) for seq in batch] + [call(batch[0], "LOST", took_s=None)]
                mine.record(token, [success(seq, token) for seq in batch], sent)

    payers = [
        threading.Thread(target=pay, args=(token, range(1 + 200 * n, 201 + 200 * n))) for n, token in enumerate(tokens)
    ]
    for payer in payers:
        payer.start()
    for payer in payers:
        payer.join(60)
    credited, lost = calls_of_run(connection, campaign.run.token.run_id)
    assert (credited.calls, lost.calls) == (400, 20)
    assert credited.buckets == histogram(*(seq / 1000 + 0.0005 for seq in range(1, 401)))
    campaign.assert_sums_hold()


def test_the_recorder_counts_what_it_writes(database_url: str, connection: Connection, campaign: Campaign) -> None:
    token = campaign.share()
    campaign.claim(token, [1, 2])
    recorder = Recorder(database_url, "test", campaign.run.token)
    try:
        recorder.add(call(1, "THROTTLED", took_s=0.001), Change(1, "PROCESSING", token, 0, False))
        recorder.add(call(1), success(1, token))
        recorder.add(call(2), success(2, token))
    finally:
        recorder.close()
    expected = {("POST", "CREDITED"): 2, ("POST", "THROTTLED"): 1}
    assert by_outcome(calls_of_run(connection, campaign.run.token.run_id)) == expected
    campaign.assert_sums_hold()


def test_totals_stay_when_attempts_are_removed(connection: Connection, world: World) -> None:
    old, other = world.campaign(2).begun(), world.campaign(1)
    old.paid(2).attempted(call(1), call(2, "LOST", took_s=None)).ended("COMPLETED").was_finished(seconds_ago=1e7)
    other.begun().attempted(call(1)).stopped()
    before = calls_of_all(connection)
    kept = calls_of_campaign(connection, old.id)
    assert remove_old_attempts(connection, load_settings({"BULKPOINT_KEEP_ATTEMPTS_DAYS": "60"}), actor="kim")
    assert connection.execute("select count(*) from payment_attempt where campaign_id = %s", (old.id,)).fetchone() == (
        0,
    )
    assert calls_of_all(connection) == before
    assert calls_of_campaign(connection, old.id) == kept
    assert by_outcome(before)["POST", "LOST"] == 1


def test_the_shares_of_a_run_that_ended_become_one_row_and_no_sum_changes(
    database_url: str, connection: Connection, world: World
) -> None:
    campaign = world.campaign(6).begun()
    first, second = campaign.share(), campaign.share()
    for token, seq, took_s in ((first, 1, 0.003), (second, 2, 0.3)):
        campaign.claim(token, [seq])
        sent = [call(seq, took_s=took_s), call(seq, "LOST", took_s=None)]
        campaign.record(token, [success(seq, token)], sent)
    run = campaign.run.token.run_id
    kept = calls_of_run(connection, run)
    assert calls_of_all(connection) == kept
    fold_ended_calls(connection)
    assert rows_by_share(connection) == {0: 2, 1: 2}, "it still runs"
    campaign.stopped()
    with connect(database_url) as other, other.transaction():
        other.execute("select from call_tally where share = 1 for update")
        fold_ended_calls(connection)
        assert rows_by_share(connection) == {-2: 2, 1: 2}, "what a recorder writes is left alone, and not waited for"
        assert calls_of_run(connection, run) == calls_of_all(connection) == kept
    campaign.begun("RESUME")
    assert rows_by_share(connection) == {-2: 2}
    assert calls_of_run(connection, run) == calls_of_all(connection) == kept
    assert connection.execute("select method, outcome, calls from call_total order by 2").fetchall() == [
        ("POST", "CREDITED", 2),
        ("POST", "LOST", 2),
    ]
    late = replace(campaign.run.token, run_id=run)
    record_results(connection, late, 0, [call(1, took_s=0.3)], [], reasons=REASONS)
    assert rows_by_share(connection) == {-2: 2, 0: 1}
    assert add_up(calls_of_run(connection, run)) == histogram(0.003, 0.3, 0.3)
    assert calls_of_all(connection) == calls_of_run(connection, run)
    campaign.stopped()
    fold_ended_calls(connection)
    assert rows_by_share(connection) == {-2: 2}
    assert calls_of_all(connection) == calls_of_run(connection, run)
    campaign.assert_sums_hold()


def rows_by_share(connection: Connection) -> dict[int, int]:
    return dict(connection.execute("select share, count(*) from call_tally group by 1 order by 1").fetchall())


def test_campaigns_and_runs_are_told_apart(connection: Connection, world: World) -> None:
    first = world.campaign(2).begun().attempted(call(1, took_s=0.01)).stopped()
    run = first.run.token.run_id
    first.begun("RESUME").attempted(call(1, "LOST", took_s=None)).stopped()
    second = world.campaign(2).begun().attempted(call(1, took_s=0.3))
    assert by_outcome(calls_of_run(connection, run)) == {("POST", "CREDITED"): 1}
    assert by_outcome(calls_of_campaign(connection, first.id)) == {("POST", "CREDITED"): 1, ("POST", "LOST"): 1}
    assert add_up(calls_of_campaign(connection, second.id)) == histogram(0.3)
    assert add_up(calls_of_all(connection)) == histogram(0.01, 0.3)
    assert calls_of_campaign(connection, 99) == []
    assert add_up([]) == []


def test_a_row_is_changed_in_its_page_and_the_table_stays_small(connection: Connection, world: World) -> None:
    """Heap-only updates: no index is written, and dead versions go when their page is touched again."""
    campaign = world.campaign(2).begun()
    for _ in range(500):
        campaign.attempted(call(1, "LOST", took_s=None), call(1, took_s=0.01))
    connection.execute("select pg_stat_force_next_flush()")
    updated = connection.execute(
        "select n_tup_upd, n_tup_hot_upd from pg_stat_user_tables where relname = 'call_tally'"
    ).fetchone()
    assert updated is not None
    assert updated[0] >= 998
    assert updated[1] == updated[0]
    assert connection.execute("select pg_relation_size('call_tally') <= 16384").fetchone() == (True,)
