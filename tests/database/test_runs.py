"""Runs: one at a time, each change of state with its audit row and its event, the driver's lease as a fence."""

import json
import threading
from typing import Any

import pytest

from bulkpoint.campaigns.promises import promises_of
from bulkpoint.campaigns.resume import count_too_old, plan_resume
from bulkpoint.campaigns.retry import plan_retry
from bulkpoint.campaigns.run_request import RunRequest
from bulkpoint.campaigns.runs import begin_run, end_run
from bulkpoint.errors import BulkpointError
from bulkpoint.rules.lifecycle import FailureKind, RunKind, RunState
from bulkpoint.settings import load_settings
from bulkpoint.store.audit import write_audit
from bulkpoint.store.campaign import get_campaign
from bulkpoint.store.connect import Connection, connect
from bulkpoint.store.progress import RetrySelection
from bulkpoint.store.run import open_buckets, renew_driver
from bulkpoint.store.share import run_is_live
from tests.world.campaigns import Campaign, World
from tests.world.refusals import refused
from tests.world.stops import stop_run

SETTINGS = load_settings({})


def test_a_start_freezes_numbers_and_digests_the_targets(connection: Connection, world: World) -> None:
    world.campaign(targets=12).begun()
    rows = connection.execute("select seq, member_id from payment order by seq").fetchall()
    assert [seq for seq, _ in rows] == list(range(1, 13))
    assert [member for _, member in rows] == sorted(member for _, member in rows)
    frozen = connection.execute("select target_count, target_amount, length(digest) from campaign").fetchone()
    assert frozen == (12, 12, 32)
    assert world.written() == (["campaign.started"], ["start"])


@pytest.mark.parametrize("kind", ["forced", "resume", "retry"])
def test_the_audit_log_is_free_while_a_run_waits_for_its_shares(world: World, database_url: str, kind: str) -> None:
    """Spark may take long to start, or for ever; a stop or a change of the limit, which the log must have, does not."""
    campaign = world.campaign(3)
    request = RunRequest(campaign=campaign.id, kind=RunKind.INITIAL, actor="kim", force=True, reason="r")
    if kind == "resume":
        campaign.begun().without_driver()
        request = RunRequest(campaign=campaign.id, kind=RunKind.RESUME, actor="kim")
    elif kind == "retry":
        campaign.begun().failed([1]).ended("COMPLETED")
        request = RunRequest(
            campaign=campaign.id, kind=RunKind.RETRY, actor="kim", selection=RetrySelection((FailureKind.REJECTED,))
        )
    with connect(database_url) as other:
        other.execute("set lock_timeout = '1s'")

        def shares() -> int:
            write_audit(other, action="tps.set", campaign_id=None, run_no=None, actor="lee", detail={})
            return world.shares

        assert begin_run(world.connection, request, shares=shares).kind == request.kind


def test_a_frozen_campaign_takes_no_more_targets(world: World) -> None:
    campaign = world.campaign(targets=2).begun()
    with pytest.raises(Exception, match="was frozen"):
        campaign.loaded([("late", 1, "r")])


def test_a_start_waits_for_an_open_loader_and_sees_its_rows(
    connection: Connection, world: World, database_url: str
) -> None:
    campaign = world.campaign(targets=2, expected=(3, 3))
    with connect(database_url) as loader:
        loader.execute("begin")
        campaign.on(loader).loaded([("third", 1, "r")])
        started = threading.Thread(target=campaign.begun)
        started.start()
        started.join(0.5)
        assert started.is_alive(), "the start must wait for the loader"
        loader.execute("commit")
        started.join(10)
    assert connection.execute("select count(*) from payment").fetchone() == (3,)


def test_totals_that_do_not_match_refuse_the_start_and_leave_nothing(connection: Connection, world: World) -> None:
    campaign = world.campaign(targets=2, expected=(3, 3))
    with refused("expects 3 targets"):
        campaign.begun()
    assert connection.execute("select count(*) from campaign_run").fetchone() == (0,)
    assert world.written() == ([], [])


def test_a_second_campaign_is_refused_while_one_runs(world: World) -> None:
    world.campaign().begun()
    with refused("one campaign runs at a time"):
        world.campaign().begun()


def test_of_many_racing_starts_one_wins(world: World, database_url: str) -> None:
    campaigns = [world.campaign() for _ in range(4)]
    won: list[int] = []
    lost: list[str] = []

    def race(campaign: Campaign) -> None:
        with connect(database_url) as mine:
            try:
                campaign.on(mine).begun()
                won.append(campaign.id)
            except BulkpointError as error:
                lost.append(str(error))

    racers = [threading.Thread(target=race, args=(campaign,)) for campaign in campaigns * 2]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join(30)
    assert len(won) == 1
    assert len(lost) == len(racers) - 1


def test_an_unknown_campaign_is_refused(world: World) -> None:
    with refused("no campaign 77"):
        Campaign(world, 77).begun()


def test_a_stop_writes_state_event_and_audit_together(connection: Connection, world: World) -> None:
    campaign = world.campaign(targets=2).begun()
    summary = stop_run(connection, campaign.id, actor="operator", reason="money asked")
    assert (summary.state, summary.reason, summary.open) == ("STOPPED", "money asked", 2)
    assert world.written() == (["campaign.started", "campaign.stopped"], ["start", "stop"])
    assert not run_is_live(connection, campaign.run.token)
    with refused("resume"):
        campaign.stopped()


def test_why_a_run_was_begun_is_not_why_it_ended(connection: Connection, world: World) -> None:
    stopped = world.campaign().begun(reason="apology").stopped()
    halted = world.campaign().begun(reason="apology").halted("UNAUTHORIZED", "token expired").ended("FAILED")
    completed = world.campaign().begun(reason="apology").ended("COMPLETED")
    reasons = [get_campaign(connection, one.id).run_reason for one in (stopped, halted, completed)]
    assert reasons == [None, "UNAUTHORIZED: token expired", "apology"]


def test_a_stopped_run_cannot_be_completed_by_its_driver(connection: Connection, world: World) -> None:
    campaign = world.campaign().begun().stopped()
    assert end_run(connection, campaign.run, RunState.FAILED) is None
    assert world.written()[0] == ["campaign.started", "campaign.stopped"]


def test_a_driver_that_comes_too_late_writes_nothing(connection: Connection, world: World) -> None:
    run = world.campaign().begun().without_driver().run
    assert renew_driver(connection, run) is None
    assert not run_is_live(connection, run.token)
    assert end_run(connection, run, RunState.FAILED) is None


def test_a_campaign_that_has_run_is_not_started_again(world: World) -> None:
    campaign = world.campaign().begun().stopped()
    with refused("resume"):
        campaign.begun()


def retry_of(campaign: Campaign, **asked: Any) -> RunRequest:
    return RunRequest(campaign=campaign.id, kind=RunKind.RETRY, actor="tester", **asked)


def resume_of(campaign: Campaign) -> RunRequest:
    return RunRequest(campaign=campaign.id, kind=RunKind.RESUME, actor="tester")


def failed_of_each_kind(campaign: Campaign) -> Campaign:
    """Of its first five payments one is paid, and one failed of each kind, with codes CODE_2 to CODE_5."""
    campaign.paid([1])
    for seq, kind in enumerate(("REJECTED", "MISMATCH", "UNAVAILABLE", "UNKNOWN"), start=2):
        campaign.failed([seq], kind, code=f"CODE_{seq}", tries=4)
    return campaign


@pytest.fixture
def campaign(world: World) -> Campaign:
    return world.campaign(targets=8)


@pytest.fixture
def completed(campaign: Campaign) -> Campaign:
    """Four payments paid, one failed of each kind."""
    return failed_of_each_kind(campaign.begun()).ended("COMPLETED")


def test_a_resume_gives_what_is_open_tries_of_its_own(connection: Connection, world: World, campaign: Campaign) -> None:
    """Of what is open one waits for a retry, one for its look-up, and one was never sent."""
    failed_of_each_kind(campaign.begun()).called([6], tries=2, next_try_at=4e9)
    campaign.called([7], tries=4, maybe_credited=True, failure_code="GONE").stopped()
    again = campaign.begun("RESUME").run
    assert (again.run_no, again.kind) == (2, "RESUME")
    rows = connection.execute(
        "select seq, tries, next_try_at, failure_code, maybe_credited from payment where state = 'PENDING' order by seq"
    ).fetchall()
    assert rows == [(6, 0, None, None, False), (7, 0, None, None, True), (8, 0, None, None, False)]
    events, audit = world.written()
    assert events[-2:] == ["campaign.stopped", "campaign.resumed"]
    assert audit[-2:] == ["stop", "resume"]


def test_a_run_whose_driver_lives_is_not_resumed_and_one_whose_driver_is_gone_is(
    connection: Connection, world: World, campaign: Campaign
) -> None:
    lost = campaign.begun().run
    with refused("its driver is alive"):
        campaign.begun("RESUME")
    assert campaign.without_driver().begun("RESUME").run.run_no == 2
    ended = connection.execute("select run_no, state::text, reason from campaign_run order by run_no").fetchall()
    assert ended == [(1, "FAILED", "its driver was gone"), (2, "RUNNING", None)]
    assert world.written() == (
        ["campaign.started", "campaign.failed", "campaign.resumed"],
        ["start", "fail", "resume"],
    )
    assert renew_driver(connection, lost) is None, "the driver that woke up learns that the run is not its own"
    assert end_run(connection, lost, RunState.COMPLETED) is None, "the driver that woke up writes nothing"
    assert not run_is_live(connection, lost.token)


def test_two_resumes_of_one_lost_run_make_one_run(database_url: str, campaign: Campaign) -> None:
    campaign.begun().without_driver()
    outcomes: list[str] = []

    def resume() -> None:
        with connect(database_url) as own:
            try:
                campaign.on(own).begun("RESUME")
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
    ("selection", "seqs"),
    [
        (RetrySelection(), [4, 5]),
        (RetrySelection((FailureKind.REJECTED,)), [2]),
        (RetrySelection((FailureKind.UNAVAILABLE, FailureKind.UNKNOWN), "CODE_5"), [5]),
        (RetrySelection(tuple(FailureKind)), [2, 3, 4, 5]),
    ],
)
def test_a_retry_opens_the_failed_payments_that_are_chosen(
    connection: Connection, world: World, completed: Campaign, selection: RetrySelection, seqs: list[int]
) -> None:
    completed.begun("RETRY", selection=selection)
    reopened = connection.execute(
        "select seq, tries, failure_kind, failure_code, finished_at, first_sent_at is not null, maybe_credited"
        " from payment where state = 'PENDING' order by seq"
    ).fetchall()
    assert reopened == [(seq, 0, None, None, None, True, seq == 5) for seq in seqs]
    counts = completed.counts()
    assert (counts.failed, counts.failed_amount, counts.success) == (4 - len(seqs), 4 - len(seqs), 4)
    assert world.written()[0][-1] == "campaign.retried"
    completed.assert_sums_hold()


def test_a_retry_of_nothing_is_refused_and_changes_nothing(connection: Connection, completed: Campaign) -> None:
    with refused("no FAILED payment"):
        completed.begun("RETRY", selection=RetrySelection((FailureKind.UNKNOWN,), "NO_SUCH_CODE"))
    assert connection.execute("select count(*) from campaign_run").fetchone() == (1,)


def test_a_payment_is_retried_three_times_and_then_only_beyond_the_limit(
    connection: Connection, completed: Campaign
) -> None:
    completed.had_retry_runs(3, kind="UNKNOWN")
    plan = plan_retry(connection, retry_of(completed), SETTINGS)
    assert [one.kind for one in plan.again] == ["UNAVAILABLE"]
    assert {(one.kind, one.spent) for one in plan.left} == {("UNKNOWN", True), ("REJECTED", False), ("MISMATCH", False)}
    completed.begun("RETRY")
    assert connection.execute("select seq, retry_runs from payment where state = 'PENDING'").fetchall() == [(4, 1)]
    completed.failed([4], "UNAVAILABLE").ended("COMPLETED").had_retry_runs(3, kind="UNAVAILABLE")
    with refused(r"2 FAILED payments.*had 3 RETRY runs already.*--beyond-limit --reason"):
        plan_retry(connection, retry_of(completed), SETTINGS)
    with refused("no FAILED payment of this choice that may be retried"):
        completed.begun("RETRY")
    beyond = RetrySelection(beyond_limit=True)
    plan = plan_retry(connection, retry_of(completed, reason="r", selection=beyond), SETTINGS)
    assert {one.kind for one in plan.again} == {
        "UNAVAILABLE",
        "UNKNOWN",
    }
    completed.begun("RETRY", reason="r", selection=beyond)
    again = connection.execute("select seq, retry_runs from payment where state = 'PENDING' order by seq").fetchall()
    assert again == [(4, 4), (5, 4)]
    detail = connection.execute("select detail->'beyond_limit' from audit_event where action = 'retry'").fetchall()
    assert detail == [(False,), (True,)]


def sent_long_ago(campaign: Campaign, *seqs: int) -> None:
    """Before the 24 hours for which money remembers a key."""
    campaign.times(seqs, first_sent_at=campaign.world.ago(25 * 3600))


def failed_rows(connection: Connection) -> list[tuple[Any, ...]]:
    return connection.execute(
        "select seq, failure_kind::text, failure_code from payment where state = 'FAILED' order by seq"
    ).fetchall()


def test_a_retry_of_what_is_too_old_is_refused_with_the_count_and_changes_nothing(
    connection: Connection, completed: Campaign
) -> None:
    sent_long_ago(completed, 2, 3, 4, 5)
    before = failed_rows(connection)
    with refused(r"2 of 2 payments of campaign 1 .* are too old to be sent again.*bulkpoint reconcile 1"):
        plan_retry(connection, retry_of(completed), SETTINGS)
    with refused("no FAILED payment of this choice that may be retried"):
        begin_run(connection, retry_of(completed), shares=2, promises=promises_of(SETTINGS))
    assert failed_rows(connection) == before
    assert connection.execute("select count(*) from campaign_run").fetchone() == (1,)


def test_a_retry_takes_those_that_are_young_enough_and_counts_the_others(
    connection: Connection, completed: Campaign
) -> None:
    sent_long_ago(completed, 5)
    plan = plan_retry(connection, retry_of(completed), SETTINGS)
    assert [one.kind for one in plan.again] == ["UNAVAILABLE"]
    assert plan.remark is not None
    assert (plan.remark.facts["too_old"], plan.remark.facts["selected"]) == (1, 2)
    begin_run(connection, retry_of(completed), shares=2, promises=promises_of(SETTINGS))
    assert connection.execute("select seq from payment where state = 'PENDING'").fetchall() == [(4,)]
    assert failed_rows(connection)[-1][:2] == (5, "UNKNOWN")
    completed.assert_sums_hold()


def test_a_payment_whose_call_could_arrive_too_late_is_not_retried(connection: Connection, completed: Campaign) -> None:
    completed.times((4, 5), first_sent_at=completed.world.ago(24 * 3600 - 4))  # a call may take 5 s
    with refused("2 of 2 payments"):
        plan_retry(connection, retry_of(completed), SETTINGS)


def test_a_retry_that_learns_nothing_leaves_a_payment_failed_as_it_was(
    connection: Connection, completed: Campaign
) -> None:
    everything = RetrySelection(tuple(FailureKind))
    before = failed_rows(connection)
    completed.begun("RETRY", selection=everything).failed([2, 3, 4], "UNAVAILABLE", code="KEY_TOO_OLD")
    completed.failed([5], "UNKNOWN", code="CODE_5")
    assert failed_rows(connection) == before
    completed.assert_sums_hold()


def test_a_resume_counts_what_it_only_looks_up(connection: Connection, world: World) -> None:
    campaign = world.campaign(targets=5).begun().called([1, 2, 3]).stopped()
    sent_long_ago(campaign, 1, 2)
    assert count_too_old(connection, campaign.id, SETTINGS) == 2, "those that were never sent are young"


def test_open_payments_are_counted_in_buckets(connection: Connection, world: World) -> None:
    campaign = world.campaign(targets=25).begun().paid(range(6, 21))
    assert open_buckets(connection, campaign.id, 10) == [(0, 5), (2, 5)]


def test_a_new_run_has_a_patience_of_its_own_and_keeps_the_rate_that_money_lowered_just_now(
    connection: Connection, campaign: Campaign
) -> None:
    campaign.begun()
    told = {"rate": 12.5, "ceiling": None, "open_since": 1.0, "trouble_since": 1.0}
    connection.execute(
        "update money_share set pressure = %s, leased_until = clock_timestamp() - interval '70 s' * share",
        (json.dumps(told),),
    )
    campaign.stopped().begun("RESUME")
    kept = connection.execute("select pressure from money_share order by share").fetchall()
    assert kept == [(told | {"open_since": None, "trouble_since": None},), (None,)]


def test_a_resume_is_planned_once_the_lost_drivers_lease_has_ended(connection: Connection, campaign: Campaign) -> None:
    said: list[str] = []
    with refused("has not been started"):
        plan_resume(connection, resume_of(campaign), say=said.append)
    campaign.begun().driver_ends(in_s=0.8)
    assert plan_resume(connection, resume_of(campaign), say=said.append).driver_is_gone
    assert len(said) == 1


def test_a_resume_of_a_run_whose_driver_renews_is_refused(
    database_url: str, connection: Connection, campaign: Campaign
) -> None:
    run = campaign.begun().run

    def beat() -> None:
        with connect(database_url) as own:
            renew_driver(own, run)

    beating = threading.Timer(0.7, beat)
    beating.start()
    with refused("its driver is alive"):
        plan_resume(connection, resume_of(campaign), say=lambda _: None)
    beating.join()
