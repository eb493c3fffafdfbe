"""Runs: one at a time, each change of state with its audit row and its event, the driver's lease as a fence."""

import json
import threading
from collections.abc import Iterator

import pytest

from bulkpoint.campaigns.resume import plan_resume
from bulkpoint.campaigns.retry import plan_retry
from bulkpoint.campaigns.runs import ALL_BUT_REFUSED, begin_run, end_run, stop_run
from bulkpoint.errors import BulkpointError, RefusedError
from bulkpoint.store.campaign import get_campaign
from bulkpoint.store.connect import Connection, connect
from bulkpoint.store.limit import ensure_limit
from bulkpoint.store.progress import RetrySelection
from bulkpoint.store.run import halt_run, open_buckets, renew_driver
from bulkpoint.store.share import run_is_live


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with connect(database_url) as connection:
        ensure_limit(connection, tps=100, shares=2, actor="tester")
        yield connection


def campaign_of(connection: Connection, count: int, *, expected: int | None = None) -> int:
    row = connection.execute(
        "insert into campaign (name, expected_count, expected_amount, creator) values ('c', %s, %s, 'tester')"
        " returning campaign_id",
        (expected or count, expected or count),
    ).fetchone()
    assert row is not None
    connection.execute(
        "insert into campaign_target select %s, 'm' || i, 1, 'r' from generate_series(1, %s) i", (row[0], count)
    )
    return int(row[0])


def begin(connection: Connection, campaign_id: int):  # type: ignore[no-untyped-def]
    return begin_run(connection, campaign_id, kind="INITIAL", actor="tester", reason=None, shares=2)


def written(connection: Connection) -> tuple[list[str], list[str]]:
    events = connection.execute("select type from outbox_event order by event_no").fetchall()
    audit = connection.execute("select action from audit_event order by audit_no").fetchall()
    return [row[0] for row in events], [row[0] for row in audit]


def test_a_start_freezes_numbers_and_digests_the_targets(connection: Connection) -> None:
    campaign_id = campaign_of(connection, 12)
    begin(connection, campaign_id)
    rows = connection.execute("select seq, member_id from payment order by seq").fetchall()
    assert [seq for seq, _ in rows] == list(range(1, 13))
    assert [member for _, member in rows] == sorted(member for _, member in rows)
    frozen = connection.execute("select target_count, target_amount, length(digest) from campaign").fetchone()
    assert frozen == (12, 12, 32)
    assert written(connection) == (["campaign.started"], ["start"])


def test_a_frozen_campaign_takes_no_more_targets(connection: Connection) -> None:
    campaign_id = campaign_of(connection, 2)
    begin(connection, campaign_id)
    with pytest.raises(Exception, match="was frozen"):
        connection.execute("insert into campaign_target values (%s, 'late', 1, 'r')", (campaign_id,))


def test_a_start_waits_for_an_open_loader_and_sees_its_rows(connection: Connection, database_url: str) -> None:
    campaign_id = campaign_of(connection, 2, expected=3)
    with connect(database_url) as loader:
        loader.execute("begin")
        loader.execute("insert into campaign_target values (%s, 'third', 1, 'r')", (campaign_id,))
        started = threading.Thread(target=begin, args=(connection, campaign_id))
        started.start()
        started.join(0.5)
        assert started.is_alive(), "the start must wait for the loader"
        loader.execute("commit")
        started.join(10)
    assert connection.execute("select count(*) from payment").fetchone() == (3,)


def test_totals_that_do_not_match_refuse_the_start_and_leave_nothing(connection: Connection) -> None:
    campaign_id = campaign_of(connection, 2, expected=3)
    with pytest.raises(RefusedError, match="expects 3 targets"):
        begin(connection, campaign_id)
    assert connection.execute("select count(*) from campaign_run").fetchone() == (0,)
    assert written(connection) == ([], [])


def test_a_second_campaign_is_refused_while_one_runs(connection: Connection) -> None:
    begin(connection, campaign_of(connection, 1))
    with pytest.raises(RefusedError, match="one campaign runs at a time"):
        begin(connection, campaign_of(connection, 1))


def test_of_many_racing_starts_one_wins(connection: Connection, database_url: str) -> None:
    campaigns = [campaign_of(connection, 3) for _ in range(4)]
    won: list[int] = []
    refused: list[str] = []

    def race(campaign_id: int) -> None:
        with connect(database_url) as mine:
            try:
                begin(mine, campaign_id)
                won.append(campaign_id)
            except BulkpointError as error:
                refused.append(str(error))

    racers = [threading.Thread(target=race, args=(campaign_id,)) for campaign_id in campaigns * 2]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join(30)
    assert len(won) == 1
    assert len(refused) == len(racers) - 1


def test_an_unknown_campaign_is_refused(connection: Connection) -> None:
    with pytest.raises(RefusedError, match="no campaign 77"):
        begin(connection, 77)


def test_a_stop_writes_state_event_and_audit_together(connection: Connection) -> None:
    campaign_id = campaign_of(connection, 2)
    run = begin(connection, campaign_id)
    summary = stop_run(connection, campaign_id, actor="operator", reason="money asked")
    assert (summary.state, summary.reason, summary.open) == ("STOPPED", "money asked", 2)
    assert written(connection) == (["campaign.started", "campaign.stopped"], ["start", "stop"])
    assert not run_is_live(connection, run.token)
    with pytest.raises(RefusedError, match="resume"):
        stop_run(connection, campaign_id, actor="operator")


def test_why_a_run_was_begun_is_not_why_it_ended(connection: Connection) -> None:
    reasons = []
    for trouble in ("stop", "halt", "complete"):
        campaign_id = campaign_of(connection, 1)
        connection.execute("update campaign_target set reason = %s where campaign_id = %s", (trouble, campaign_id))
        run = begin_run(connection, campaign_id, kind="INITIAL", actor="t", reason="apology", shares=2)
        if trouble == "stop":
            stop_run(connection, campaign_id, actor="t")
        elif trouble == "halt":
            halt_run(connection, run.token, "UNAUTHORIZED", "token expired")
            end_run(connection, run, "FAILED")
        else:
            connection.execute("delete from payment where campaign_id = %s", (campaign_id,))
            end_run(connection, run, "COMPLETED")
        reasons.append(get_campaign(connection, campaign_id).run_reason)
    assert reasons == [None, "UNAUTHORIZED: token expired", "apology"]


def test_a_stopped_run_cannot_be_completed_by_its_driver(connection: Connection) -> None:
    campaign_id = campaign_of(connection, 1)
    run = begin(connection, campaign_id)
    stop_run(connection, campaign_id, actor="operator")
    assert end_run(connection, run, "FAILED") is None
    assert written(connection)[0] == ["campaign.started", "campaign.stopped"]


def test_a_driver_that_comes_too_late_writes_nothing(connection: Connection) -> None:
    run = begin(connection, campaign_of(connection, 1))
    connection.execute("update campaign_run set driver_until = clock_timestamp() - interval '1 s'")
    assert renew_driver(connection, run) is None
    assert not run_is_live(connection, run.token)
    assert end_run(connection, run, "FAILED") is None


def test_a_campaign_that_has_run_is_not_started_again(connection: Connection) -> None:
    campaign_id = campaign_of(connection, 1)
    begin(connection, campaign_id)
    stop_run(connection, campaign_id, actor="operator")
    with pytest.raises(RefusedError, match="resume"):
        begin(connection, campaign_id)


def run_of(connection: Connection, campaign_id: int, kind: str, chosen: RetrySelection = ALL_BUT_REFUSED):  # type: ignore[no-untyped-def]
    return begin_run(connection, campaign_id, kind=kind, actor="tester", reason=None, shares=2, chosen=chosen)


def fail_driver(connection: Connection) -> None:
    """The driver's lease passes."""
    connection.execute("update campaign_run set driver_until = clock_timestamp() - interval '1 ms'")


def leave_behind(connection: Connection, campaign_id: int) -> None:
    """As a run leaves them: one paid, four failed of each kind, one waiting for a retry, one for its look-up."""
    connection.execute(
        "update payment set state = 'SUCCESS', transaction_id = 't', first_sent_at = now() where seq = 1"
    )
    kinds = ["REJECTED", "MISMATCH", "UNAVAILABLE", "UNKNOWN"]
    for seq, kind in enumerate(kinds, start=2):
        connection.execute(
            "update payment set state = 'FAILED', failure_kind = %s, failure_code = 'CODE_' || %s, tries = 4,"
            " maybe_credited = %s, first_sent_at = now(), finished_at = now() where seq = %s",
            (kind, seq, kind == "UNKNOWN", seq),
        )
    connection.execute("update payment set tries = 2, next_try_at = now() + interval '1 h' where seq = 6")
    connection.execute("update payment set tries = 4, maybe_credited = true, failure_code = 'GONE' where seq = 7")
    connection.execute(
        "update campaign_counter set pending = pending - 5, pending_amount = pending_amount - 5, success = 1,"
        " success_amount = 1, failed = 4, failed_amount = 4, failed_rejected = 1, failed_mismatch = 1,"
        " failed_unavailable = 1, failed_unknown = 1"
    )


def complete(connection: Connection, campaign_id: int) -> None:
    connection.execute("delete from payment where state = 'PENDING'")
    run = connection.execute("select run_id, driver_holder from campaign_run").fetchone()
    assert run is not None
    connection.execute("update campaign_run set state = 'COMPLETED', finished_at = now()")


def test_a_resume_gives_what_is_open_tries_of_its_own(connection: Connection) -> None:
    campaign_id = campaign_of(connection, 8)
    begin(connection, campaign_id)
    leave_behind(connection, campaign_id)
    stop_run(connection, campaign_id, actor="tester")
    again = run_of(connection, campaign_id, "RESUME")
    assert (again.run, again.kind) == (2, "RESUME")
    rows = connection.execute(
        "select seq, tries, next_try_at, failure_code, maybe_credited from payment where state = 'PENDING' order by seq"
    ).fetchall()
    assert rows == [(6, 0, None, None, False), (7, 0, None, None, True), (8, 0, None, None, False)]
    events, audit = written(connection)
    assert events[-2:] == ["campaign.stopped", "campaign.resumed"]
    assert audit[-2:] == ["stop", "resume"]


def test_a_run_whose_driver_lives_is_not_resumed_and_one_whose_driver_is_gone_is(connection: Connection) -> None:
    campaign_id = campaign_of(connection, 8)
    lost = begin(connection, campaign_id)
    with pytest.raises(RefusedError, match="its driver is alive"):
        run_of(connection, campaign_id, "RESUME")
    fail_driver(connection)
    again = run_of(connection, campaign_id, "RESUME")
    assert again.run == 2
    ended = connection.execute("select run, state::text, reason from campaign_run order by run").fetchall()
    assert ended == [(1, "FAILED", "its driver was gone"), (2, "RUNNING", None)]
    assert written(connection) == (
        ["campaign.started", "campaign.failed", "campaign.resumed"],
        ["start", "fail", "resume"],
    )
    assert renew_driver(connection, lost) is None, "the driver that woke up learns that the run is not its own"
    assert end_run(connection, lost, "COMPLETED") is None, "the driver that woke up writes nothing"
    assert not run_is_live(connection, lost.token)


def test_two_resumes_of_one_lost_run_make_one_run(database_url: str, connection: Connection) -> None:
    campaign_id = campaign_of(connection, 8)
    begin(connection, campaign_id)
    fail_driver(connection)
    outcomes: list[str] = []

    def resume() -> None:
        with connect(database_url) as own:
            try:
                run_of(own, campaign_id, "RESUME")
                outcomes.append("resumed")
            except BulkpointError:
                outcomes.append("refused")

    both = [threading.Thread(target=resume) for _ in range(4)]
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert sorted(outcomes) == ["refused", "refused", "refused", "resumed"]


@pytest.mark.parametrize(
    ("chosen", "seqs"),
    [
        (ALL_BUT_REFUSED, [4, 5]),
        (RetrySelection(("REJECTED",)), [2]),
        (RetrySelection(("UNAVAILABLE", "UNKNOWN"), "CODE_5"), [5]),
        (RetrySelection(("REJECTED", "MISMATCH", "UNAVAILABLE", "UNKNOWN")), [2, 3, 4, 5]),
    ],
)
def test_a_retry_opens_the_failed_payments_that_are_chosen(
    connection: Connection, chosen: RetrySelection, seqs: list[int]
) -> None:
    campaign_id = campaign_of(connection, 8)
    begin(connection, campaign_id)
    leave_behind(connection, campaign_id)
    complete(connection, campaign_id)
    run_of(connection, campaign_id, "RETRY", chosen)
    reopened = connection.execute(
        "select seq, tries, failure_kind, failure_code, finished_at, first_sent_at is not null, maybe_credited"
        " from payment where state = 'PENDING' order by seq"
    ).fetchall()
    assert reopened == [(seq, 0, None, None, None, True, seq == 5) for seq in seqs]
    counts = connection.execute("select failed, failed_amount, success from campaign_count").fetchone()
    assert counts == (4 - len(seqs), 4 - len(seqs), 1)
    assert written(connection)[0][-1] == "campaign.retried"


def test_a_retry_of_nothing_is_refused_and_changes_nothing(connection: Connection) -> None:
    campaign_id = campaign_of(connection, 8)
    begin(connection, campaign_id)
    leave_behind(connection, campaign_id)
    complete(connection, campaign_id)
    with pytest.raises(RefusedError, match="no FAILED payment"):
        run_of(connection, campaign_id, "RETRY", RetrySelection(("UNKNOWN",), "NO_SUCH_CODE"))
    assert connection.execute("select count(*) from campaign_run").fetchone() == (1,)


def test_a_payment_is_retried_three_times_and_then_only_beyond_the_limit(connection: Connection) -> None:
    campaign_id = campaign_of(connection, 8)
    begin(connection, campaign_id)
    leave_behind(connection, campaign_id)
    complete(connection, campaign_id)
    connection.execute("update payment set retry_runs = 3 where failure_kind = 'UNKNOWN'")
    plan = plan_retry(connection, campaign_id, ALL_BUT_REFUSED)
    assert [one.kind for one in plan.again] == ["UNAVAILABLE"]
    assert {(one.kind, one.spent) for one in plan.left} == {("UNKNOWN", True), ("REJECTED", False), ("MISMATCH", False)}
    run_of(connection, campaign_id, "RETRY")
    assert connection.execute("select seq, retry_runs from payment where state = 'PENDING'").fetchall() == [(4, 1)]
    connection.execute(
        "update payment set state = 'FAILED', failure_kind = 'UNAVAILABLE', failure_code = 'C', retry_runs = 3"
        " where seq = 4"
    )
    connection.execute("update campaign_run set state = 'COMPLETED', finished_at = now() where state = 'RUNNING'")
    with pytest.raises(RefusedError, match=r"2 FAILED payments.*had 3 RETRY runs already.*--beyond-limit --reason"):
        plan_retry(connection, campaign_id, ALL_BUT_REFUSED)
    with pytest.raises(RefusedError, match="no FAILED payment of this choice that may be retried"):
        run_of(connection, campaign_id, "RETRY")
    beyond = RetrySelection(ALL_BUT_REFUSED.kinds, beyond_limit=True)
    assert {one.kind for one in plan_retry(connection, campaign_id, beyond).again} == {"UNAVAILABLE", "UNKNOWN"}
    run_of(connection, campaign_id, "RETRY", beyond)
    again = connection.execute("select seq, retry_runs from payment where state = 'PENDING' order by seq").fetchall()
    assert again == [(4, 4), (5, 4)]
    detail = connection.execute("select detail->'beyond_limit' from audit_event where action = 'retry'").fetchall()
    assert detail == [(False,), (True,)]


def test_open_payments_are_counted_in_buckets(connection: Connection) -> None:
    campaign_id = campaign_of(connection, 25)
    begin(connection, campaign_id)
    connection.execute("update payment set state = 'SUCCESS', transaction_id = 't' where seq between 6 and 20")
    assert open_buckets(connection, campaign_id, 10) == [(0, 5), (2, 5)]


def test_a_new_run_has_a_patience_of_its_own_and_keeps_the_rate_that_money_lowered_just_now(
    connection: Connection,
) -> None:
    campaign_id = campaign_of(connection, 8)
    begin(connection, campaign_id)
    told = {"rate": 12.5, "ceiling": None, "open_since": 1.0, "trouble_since": 1.0}
    connection.execute(
        "update money_share set pressure = %s, leased_until = clock_timestamp() - interval '70 s' * share",
        (json.dumps(told),),
    )
    stop_run(connection, campaign_id, actor="tester")
    run_of(connection, campaign_id, "RESUME")
    kept = connection.execute("select pressure from money_share order by share").fetchall()
    assert kept == [(told | {"open_since": None, "trouble_since": None},), (None,)]


def test_a_resume_is_planned_once_the_lost_drivers_lease_has_ended(connection: Connection) -> None:
    campaign_id = campaign_of(connection, 8)
    said: list[str] = []
    with pytest.raises(RefusedError, match="has not been started"):
        plan_resume(connection, campaign_id, tell=said.append)
    begin(connection, campaign_id)
    connection.execute("update campaign_run set driver_until = clock_timestamp() + interval '0.8 s'")
    assert plan_resume(connection, campaign_id, tell=said.append).driver_is_gone
    assert len(said) == 1


def test_a_resume_of_a_run_whose_driver_renews_is_refused(database_url: str, connection: Connection) -> None:
    campaign_id = campaign_of(connection, 8)
    run = begin(connection, campaign_id)

    def beat() -> None:
        with connect(database_url) as own:
            renew_driver(own, run)

    beating = threading.Timer(0.7, beat)
    beating.start()
    with pytest.raises(RefusedError, match="its driver is alive"):
        plan_resume(connection, campaign_id, tell=lambda _: None)
    beating.join()
