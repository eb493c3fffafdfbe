"""Every number that people are told of a run's end is final, and the same everywhere: whatever came when."""

import random
import re
from dataclasses import dataclass
from uuid import uuid4

import pytest

from bulkpoint.campaigns.asked_run import ask_for_run
from bulkpoint.campaigns.correction import correct_end
from bulkpoint.campaigns.resume import let_workers_end
from bulkpoint.campaigns.run_request import RunRequest
from bulkpoint.campaigns.runs import begin_run, end_run
from bulkpoint.campaigns.stop import ask_to_stop, end_if_settled, wait_until_ended
from bulkpoint.events.envelope import Corrected
from bulkpoint.events.message import NOTIFIED_TYPES, message_of
from bulkpoint.rules.lifecycle import RunKind, RunState
from bulkpoint.settings import load_settings
from bulkpoint.store.audit import list_history
from bulkpoint.store.campaign import get_campaign, get_counts, list_campaign_runs
from bulkpoint.store.connect import Connection
from bulkpoint.store.export import list_reported_runs
from bulkpoint.store.notification import unsent_notifications
from bulkpoint.store.payment import Change
from bulkpoint.store.progress import sample_progress
from bulkpoint.store.run import close_gates
from bulkpoint.store.share import ShareToken, acquire_share, release_share, run_is_live
from bulkpoint.views.audit import HistoryView
from bulkpoint.views.campaign import campaign_detail
from bulkpoint.views.progress import Progress, progress_line
from bulkpoint.views.view import Screen
from tests.world.campaigns import Campaign, World

ENDS = [kind for kind in NOTIFIED_TYPES if kind != "campaign.forced"]


def assert_told_everywhere_the_same(campaign: Campaign) -> None:
    """Event, message, audit row, history, show, sample and the report's runs have the figures of the payments."""
    connection = campaign.world.connection
    found, counts = get_campaign(connection, campaign.id), campaign.counts()
    event = unsent_notifications(connection, ENDS, "slack")[-1]
    figures = {
        "success": counts.success,
        "failed": counts.failed,
        "unknown": counts.unknown,
        "open": counts.pending + counts.processing,
        "success_amount": counts.success_amount,
        "failed_amount": counts.failed_amount,
        "unknown_amount": counts.unknown_amount,
    }
    assert {name: event.data[name] for name in figures} == figures
    history = list_history(connection, campaign.id)
    end = [row for row in history if row.action in ("complete", "fail", "stop", "correct")][-1]
    assert {name: end.detail[name] for name in figures} == figures
    assert (
        f"지급 {counts.success_amount:,}P / 미지급 {counts.not_paid_amount:,}P" in message_of(event, language="ko").text
    )
    *_, line = HistoryView.of(found, history, "UTC").as_text(Screen())
    assert f": success {counts.success:,} ({counts.success_amount:,} point" in line
    shown = "\n".join(campaign_detail(found, counts, list_campaign_runs(connection, campaign.id)).as_text(Screen()))
    assert re.search(rf"SUCCESS +{counts.success:,} +{counts.success_amount:,}\n", shown)
    assert sample_progress(connection, campaign.id).success == counts.success
    runs = list_reported_runs(connection, campaign.id)
    assert sum((run.done_after or 0) - (run.done_before or 0) for run in runs) == counts.success + counts.failed
    campaign.assert_sums_hold()


def success(token: ShareToken, seq: int) -> Change:
    return Change(seq, "SUCCESS", token, tries=1, maybe_credited=False, transaction_id=f"t-{seq}")


def answered(campaign: Campaign, *seqs: int) -> None:
    """Answers to calls of these payments, which were claimed before, come in: all of them are paid."""
    assert campaign.token is not None
    campaign.record(campaign.token, [success(campaign.token, seq) for seq in seqs])


def test_a_stop_closes_every_gate_at_once_and_announces_no_figure_yet(world: World) -> None:
    campaign = world.campaign(targets=5).begun().claimed(3)
    ask_to_stop(world.connection, campaign.id, actor="lee", reason="wrong list")
    assert not run_is_live(world.connection, campaign.run.token)
    assert campaign.token is not None
    assert campaign.claim(campaign.token, [4]) == []
    assert acquire_share(world.connection, campaign.run.token, uuid4(), lease_s=5) is None
    assert world.written(campaign.id) == (["campaign.started"], ["start", "stop.ask"])
    assert end_if_settled(world.connection, campaign.id, actor="lee") is None, "three answers may still come in"


def test_while_it_stops_it_is_running_and_people_see_that_it_stops(world: World) -> None:
    campaign = world.campaign(targets=5).begun().claimed(3)
    ask_to_stop(world.connection, campaign.id, actor="lee")
    found = get_campaign(world.connection, campaign.id)
    shown = campaign_detail(found, campaign.counts(), [])
    assert shown.as_object()["state"] == "RUNNING"
    assert "state       RUNNING 진행 (stopping 중단 중)" in list(shown.as_text(Screen()))
    line = progress_line(Progress(sample_progress(world.connection, campaign.id), 0.0, None), "UTC")
    assert "RUNNING 진행 (stopping 중단 중)" in line
    assert line.endswith("no call leaves any more; the answers to those under way still come in")


def test_the_answers_to_calls_under_way_are_in_the_figures_of_the_end(world: World) -> None:
    campaign = world.campaign(targets=5).begun().paid(1).claimed(3)
    ask_to_stop(world.connection, campaign.id, actor="lee", reason="wrong list")
    answered(campaign, 2, 3)
    campaign.released()
    ended = end_if_settled(world.connection, campaign.id, actor="somebody")
    assert ended is not None
    assert (ended.state, ended.success, ended.open, ended.reason) == ("STOPPED", 3, 2, "wrong list")
    assert_told_everywhere_the_same(campaign)
    [_, asked, end] = list_history(world.connection, campaign.id)
    assert (asked.action, asked.actor, end.action, end.actor) == ("stop.ask", "lee", "stop", "lee")
    assert end_if_settled(world.connection, campaign.id, actor="lee") is None, "once"


def test_the_driver_ends_a_run_that_was_stopped_as_stopped_also_when_nothing_is_open(world: World) -> None:
    campaign = world.campaign(targets=2).begun().claimed(2)
    ask_to_stop(world.connection, campaign.id, actor="lee")
    answered(campaign, 1, 2)
    ended = end_run(world.connection, campaign.run, RunState.COMPLETED)
    assert ended is not None
    assert (ended.state, ended.success) == ("STOPPED", 2)
    assert_told_everywhere_the_same(campaign)


def test_a_stop_that_is_asked_twice_is_the_first_ones(world: World) -> None:
    campaign = world.campaign(targets=2).begun()
    ask_to_stop(world.connection, campaign.id, actor="lee", reason="first")
    ask_to_stop(world.connection, campaign.id, actor="kim", reason="second")
    ended = end_if_settled(world.connection, campaign.id, actor="kim")
    assert ended is not None
    assert ended.reason == "first"
    assert world.written(campaign.id)[1] == ["start", "stop.ask", "stop"]


def test_where_the_driver_and_its_workers_died_the_stop_itself_ends_the_run_after_their_leases(world: World) -> None:
    campaign = world.campaign(targets=5).begun().paid(1).claimed(2).without_driver()
    ask_to_stop(world.connection, campaign.id, actor="lee")
    world.shares_end(in_s=0.5)
    stopped = wait_until_ended(world.connection, load_settings({}), campaign.id, actor="lee")
    assert (stopped.sample.state, stopped.sample.processing) == ("STOPPED", 2), "nobody will say what became of them"
    assert_told_everywhere_the_same(campaign)


def test_a_halt_that_came_first_stays_the_end_also_where_only_the_stop_can_end_it(world: World) -> None:
    campaign = world.campaign(targets=5).begun().paid(1).halted("UNAUTHORIZED", "money said no").without_driver()
    ask_to_stop(world.connection, campaign.id, actor="lee")
    stopped = wait_until_ended(world.connection, load_settings({}), campaign.id, actor="lee")
    assert stopped.sample.state == "FAILED"
    [run] = list_campaign_runs(world.connection, campaign.id)
    assert run.reason == "UNAUTHORIZED: money said no"
    assert_told_everywhere_the_same(campaign)


def test_a_halted_run_with_a_living_driver_is_left_to_it(world: World) -> None:
    campaign = world.campaign(targets=5).begun().halted()
    assert end_if_settled(world.connection, campaign.id, actor="lee") is None
    assert campaign.ended("FAILED")


def test_a_driver_that_gives_its_run_up_closes_the_gates_before_it_waits(world: World) -> None:
    campaign = world.campaign(targets=5).begun().claimed(2)
    close_gates(world.connection, campaign.run.token, "3 waves in a row failed in Spark")
    assert campaign.token is not None
    assert campaign.claim(campaign.token, [3]) == []
    answered(campaign, 1)
    campaign.ended("FAILED")
    [run] = list_campaign_runs(world.connection, campaign.id)
    assert run.reason == "3 waves in a row failed in Spark"


def test_a_resume_waits_for_the_workers_of_the_run_that_it_ends(world: World) -> None:
    campaign = world.campaign(targets=5).begun().claimed(2).without_driver()
    world.shares_end(in_s=0.5)
    let_workers_end(world.connection, campaign.id, wait_s=30)
    row = world.connection.execute("select count(*) from live_share").fetchone()
    assert row == (0,)


def test_a_resume_ends_a_stopped_run_whose_driver_died_as_stopped(world: World) -> None:
    campaign = world.campaign(targets=5).begun().paid(1)
    ask_to_stop(world.connection, campaign.id, actor="lee", reason="lunch")
    campaign.without_driver().begun("RESUME")
    first, _ = list_campaign_runs(world.connection, campaign.id)
    assert (first.state, first.reason) == ("STOPPED", "lunch")


@dataclass
class _Worker:
    """A worker with a share, and the payments that it claimed and that have no result yet."""

    token: ShareToken
    under_way: list[int]


class _Course:
    """A random course of one campaign, by what the product's processes do."""

    def __init__(self, world: World, dice: random.Random) -> None:
        self.world, self.dice = world, dice
        self.campaign = world.campaign(targets=12, amount=100).begun()
        self.workers: list[_Worker] = []

    @property
    def connection(self) -> Connection:
        return self.world.connection

    def acquire(self) -> None:
        acquired = acquire_share(self.connection, self.campaign.run.token, uuid4(), lease_s=60)
        if acquired is not None:
            self.workers.append(_Worker(acquired.token, []))

    def claim(self) -> None:
        if self.workers:
            worker = self.dice.choice(self.workers)
            claims = self.campaign.claim(worker.token, self.dice.sample(range(1, 13), 3))
            worker.under_way = sorted({*worker.under_way, *(claim.seq for claim in claims)})

    def answer(self) -> None:
        busy = [worker for worker in self.workers if worker.under_way]
        if busy:
            worker = self.dice.choice(busy)
            self.record(worker, worker.under_way.pop())

    def record(self, worker: _Worker, seq: int) -> None:
        kind = self.dice.choice(["SUCCESS", "SUCCESS", "REJECTED", "UNKNOWN", "PENDING"])
        if kind == "SUCCESS":
            change = success(worker.token, seq)
        elif kind == "PENDING":
            change = Change(seq, "PENDING", worker.token, tries=1, maybe_credited=False)
        else:
            unknown = kind == "UNKNOWN"
            change = Change(seq, "FAILED", worker.token, tries=1, maybe_credited=unknown, failure_kind=kind)
        self.campaign.record(worker.token, [change])

    def stop(self) -> None:
        ask_to_stop(self.connection, self.campaign.id, actor="lee")

    def drain(self) -> None:
        """Workers in any order: each records its answers, and only then gives its share back."""
        self.dice.shuffle(self.workers)
        for worker in self.workers:
            assert end_if_settled(self.connection, self.campaign.id, actor="lee") is None
            for seq in worker.under_way:
                self.record(worker, seq)
            release_share(self.connection, worker.token, [])
        self.workers = []


@pytest.mark.parametrize("seed", range(12))
def test_whatever_the_order_of_claims_answers_and_stop_all_figures_are_the_same(seed: int, world: World) -> None:
    course = _Course(world, random.Random(seed))
    acts = [course.acquire, course.claim, course.claim, course.answer, course.answer]
    for run in range(3):
        for _ in range(course.dice.randrange(3, 25)):
            course.dice.choice(acts)()
        course.stop()
        for _ in range(course.dice.randrange(6)):
            course.dice.choice(acts)()
        course.drain()
        assert end_if_settled(world.connection, course.campaign.id, actor="lee") is not None
        assert_told_everywhere_the_same(course.campaign)
        if run < 2:
            course.campaign.begun("RESUME")


@pytest.mark.parametrize("end", ["STOPPED", "FAILED", "COMPLETED"])
def test_an_answer_that_comes_after_the_end_is_announced_again_with_all_figures(end: str, world: World) -> None:
    """A worker that was frozen for longer than its lease wakes up; invariant 4: its answer is not lost."""
    campaign = world.campaign(targets=4, amount=100).begun().claimed([1])
    frozen = campaign.token
    assert frozen is not None
    campaign.lose(frozen)
    campaign.token = None
    if end == "COMPLETED":  # another worker took its payment over, and could not find out
        campaign.paid([2, 3, 4]).failed([1], kind="UNKNOWN").ended("COMPLETED")
    else:
        campaign.stopped() if end == "STOPPED" else campaign.ended("FAILED", "money is away")
    assert not correct_end(world.connection, campaign.id, campaign.run.token.run_id), "it is as it was announced"
    campaign.record(frozen, [success(frozen, 1)])
    assert correct_end(world.connection, campaign.id, campaign.run.token.run_id)
    assert not correct_end(world.connection, campaign.id, campaign.run.token.run_id), "once"
    assert_told_everywhere_the_same(campaign)
    event = unsent_notifications(world.connection, NOTIFIED_TYPES, "slack")[-1]
    assert (event.type, event.data["state"]) == ("campaign.corrected", end)
    text = message_of(event, language="ko").text
    assert text.startswith("✏️ 지급 결과 정정(종료 뒤 확인된 결과 반영)\n")
    Corrected.model_validate(event.data)


def test_nothing_is_corrected_while_a_run_is_running(world: World) -> None:
    campaign = world.campaign(targets=4).begun().claimed([1])
    first, token = campaign.run.token, campaign.token
    assert token is not None
    campaign.stopped().begun("RESUME")
    campaign.record(token, [success(token, 1)])
    assert not correct_end(world.connection, campaign.id, first.run_id), "the end of the later run has all figures"
    assert not correct_end(world.connection, campaign.id, campaign.run.token.run_id)


def test_the_runs_add_up_to_the_payments_also_with_a_retry(world: World) -> None:
    campaign = world.campaign(targets=6).begun().paid(2)
    campaign.stopped().begun("RESUME").paid(1).failed(3, kind="UNAVAILABLE").ended("COMPLETED")
    request = RunRequest(campaign=campaign.id, kind=RunKind.RETRY, actor="kim")
    ask_for_run(world.connection, request)
    campaign._run = begin_run(world.connection, request, shares=2)
    campaign.paid(3).ended("COMPLETED")
    runs = list_reported_runs(world.connection, campaign.id)
    assert [(run.done_before, run.done_after) for run in runs] == [(0, 2), (2, 6), (3, 6)]
    assert get_counts(world.connection, get_campaign(world.connection, campaign.id)).success == 6
