"""A start that is on its way can be called back from any shell: either its run is made, or the stop is taken."""

import threading
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import psycopg
import pytest

from bulkpoint.campaigns.asked_run import RequestInHand, ask_for_run
from bulkpoint.campaigns.run_request import RunRequest
from bulkpoint.campaigns.runs import begin_run
from bulkpoint.campaigns.stop import call_back_starts
from bulkpoint.campaigns.withdraw import withdraw_campaign
from bulkpoint.errors import ExitCode, StoppedError
from bulkpoint.rules.lifecycle import CampaignState, RunKind
from bulkpoint.rules.refusals import Refusal
from bulkpoint.store.audit import list_history
from bulkpoint.store.campaign import get_campaign, list_campaign_runs
from bulkpoint.store.connect import Connection, connect
from bulkpoint.store.run_request import AskedRun, live_run_requests
from bulkpoint.views.audit import HistoryView
from bulkpoint.views.campaign import campaign_detail
from bulkpoint.views.changes import StartCalledBack
from bulkpoint.views.sentences import sentence
from bulkpoint.views.view import Screen
from tests.world.campaigns import World
from tests.world.refusals import refused


def asked(connection: Connection, campaign_id: int, kind: RunKind = RunKind.INITIAL) -> RunRequest:
    """A request as a command writes it for the job that it starts."""
    request = RunRequest(campaign=campaign_id, kind=kind, actor="kim", followed=True)
    ask_for_run(connection, request)
    return request


def begin_at(together: threading.Barrier, database_url: str, request: RunRequest) -> StoppedError | None:
    with connect(database_url) as own:
        together.wait()
        try:
            begin_run(own, request, shares=2)
        except StoppedError as error:
            return error
    return None


def call_back_at(together: threading.Barrier, database_url: str, campaign_id: int) -> tuple[str, list[AskedRun]]:
    with connect(database_url) as own:
        together.wait()
        return call_back_starts(own, campaign_id, actor="lee", reason=None)


def states(connection: Connection) -> list[str]:
    return [row[0] for row in connection.execute("select state from run_request order by requested_at").fetchall()]


def test_a_stop_before_the_run_is_taken_and_the_job_does_not_begin(world: World, database_url: str) -> None:
    connection, campaign = world.connection, world.campaign(targets=3)
    request = asked(connection, campaign.id)
    state, called_back = call_back_starts(connection, campaign.id, actor="lee", reason="wrong list")
    assert (state, [each.actor for each in called_back]) == (CampaignState.WAITING, ["kim"])
    with (
        refused(r"run began \(called back by lee: wrong list\)", StoppedError) as told,
        RequestInHand(database_url, request),
    ):
        pass
    assert told.value.exit_code == ExitCode.STOPPED
    with pytest.raises(StoppedError):
        begin_run(connection, request, shares=2)
    assert (list_campaign_runs(connection, campaign.id), states(connection)) == ([], ["REFUSED"])
    [line] = StartCalledBack.of(campaign.id, state, called_back).as_text(Screen())
    assert "the INITIAL run that kim asked for at" in line


def test_the_call_back_is_audited_and_no_event_says_that_the_campaign_changed(world: World) -> None:
    connection, campaign = world.connection, world.campaign(targets=3)
    asked(connection, campaign.id)
    call_back_starts(connection, campaign.id, actor="lee", reason="wrong list")
    assert world.written(campaign.id) == ([], ["call_back"])
    found = get_campaign(connection, campaign.id)
    *_, line = HistoryView.of(found, list_history(connection, campaign.id), "UTC").as_text(Screen())
    assert "lee called back a run that was asked for" in line
    assert "asked for by kim" in line
    assert line.endswith("reason: wrong list")


def test_a_stop_in_the_middle_of_the_freeze_is_taken_too(world: World, database_url: str) -> None:
    """The request is ended as the last step: the stop need not wait until millions of targets are copied."""
    campaign = world.campaign(targets=3)
    request = asked(world.connection, campaign.id)
    with connect(database_url) as blocker, connect(database_url) as job, ThreadPoolExecutor() as threads:
        with blocker.transaction():
            blocker.execute("lock table money_share in exclusive mode")  # the step after the freeze
            begun = threads.submit(begin_run, job, request, shares=2)
            while not blocker.execute("select from pg_locks where not granted").fetchall():
                threading.Event().wait(0.01)
            state, called_back = call_back_starts(world.connection, campaign.id, actor="lee", reason=None)
            assert (state, len(called_back)) == (CampaignState.WAITING, 1)
        with pytest.raises(StoppedError):
            begun.result()
    assert get_campaign(world.connection, campaign.id).frozen_at is None


def test_of_a_begin_and_a_call_back_at_the_same_moment_exactly_one_happens(world: World, database_url: str) -> None:
    for _ in range(10):
        campaign = world.campaign(targets=3)
        request = asked(world.connection, campaign.id)
        together = threading.Barrier(2)
        with ThreadPoolExecutor() as threads:
            begun = threads.submit(begin_at, together, database_url, request)
            stopped = threads.submit(call_back_at, together, database_url, campaign.id)
        state, called_back = stopped.result()
        runs = list_campaign_runs(world.connection, campaign.id)
        assert (len(called_back), len(runs)) in ((1, 0), (0, 1)), (state, begun.result())
        if runs:
            assert state == CampaignState.RUNNING, "so the stop ends the run"
            campaign.stopped()


@pytest.mark.parametrize(("kind", "before"), [(RunKind.RESUME, "STOPPED"), (RunKind.RETRY, "COMPLETED")])
def test_a_resume_and_a_retry_are_called_back_like_a_start(kind: RunKind, before: str, world: World) -> None:
    campaign = world.campaign(targets=3).begun().failed(1)
    campaign.stopped() if before == "STOPPED" else campaign.ended("COMPLETED")
    request = asked(world.connection, campaign.id, kind)
    state, called_back = call_back_starts(world.connection, campaign.id, actor="lee", reason=None)
    assert (state, [each.kind for each in called_back]) == (before, [kind])
    with pytest.raises(StoppedError):
        begin_run(world.connection, request, shares=2)


def test_a_withdrawal_calls_the_start_back(world: World) -> None:
    campaign = world.campaign(targets=3)
    request = asked(world.connection, campaign.id)
    withdraw_campaign(world.connection, campaign.id, actor="lee", reason="twice")
    with refused("called back by lee: twice", StoppedError):
        begin_run(world.connection, request, shares=2)
    assert world.written(campaign.id) == (["campaign.withdrawn"], ["call_back", "withdraw"])


def test_what_is_made_is_done_and_can_no_longer_be_called_back(world: World) -> None:
    campaign = world.campaign(targets=3)
    begin_run(world.connection, asked(world.connection, campaign.id), shares=2)
    state, called_back = call_back_starts(world.connection, campaign.id, actor="lee", reason=None)
    assert (state, called_back, states(world.connection)) == (CampaignState.RUNNING, [], ["DONE"])


def test_a_job_that_ends_before_its_run_leaves_no_request_behind(world: World, database_url: str) -> None:
    campaign = world.campaign(targets=3)
    request = RunRequest(campaign=campaign.id, actor="submit.sh")
    with RequestInHand(database_url, request):
        assert states(world.connection) == ["TAKEN"]
        begin_run(world.connection, request, shares=2)
    assert states(world.connection) == ["DONE"]
    campaign.stopped()
    with pytest.raises(KeyboardInterrupt), RequestInHand(database_url, RunRequest(campaign=campaign.id, actor="s")):
        raise KeyboardInterrupt
    assert states(world.connection) == ["DONE", "REFUSED"]


def test_a_request_whose_program_is_gone_does_not_linger(world: World) -> None:
    connection, campaign = world.connection, world.campaign(targets=3)
    asked(connection, campaign.id)
    connection.execute("update run_request set alive_until = %s", (world.ago(1),))
    assert live_run_requests(connection, campaign.id) == []
    asked(connection, campaign.id)
    assert states(connection) == ["REFUSED", "WAITING"]


def test_show_says_that_a_start_is_on_its_way_and_its_json_does_not_change(world: World) -> None:
    connection, campaign = world.connection, world.campaign(targets=3)
    asked(connection, campaign.id)
    found = get_campaign(connection, campaign.id)
    shown = campaign_detail(found, campaign.counts(), [], live_run_requests(connection, campaign.id))
    text = "\n".join(shown.as_text(Screen()))
    assert "A run (INITIAL) is on its way, asked for by kim at" in text
    assert f"`bulkpoint campaign stop {campaign.id}` calls it back." in text
    assert "on_its_way" not in shown.as_object()


def test_the_database_takes_no_request_in_another_name_or_without_the_right(world: World) -> None:
    connection, campaign = world.connection, world.campaign(targets=3)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(
            "insert into run_request (request_id, campaign_id, kind, actor, requested_by, alive_until)"
            " values (%s, %s, 'INITIAL', 'kim', 'somebody', now())",
            (uuid4(), campaign.id),
        )
    connection.execute("delete from operator_right where permission = 'force'")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        ask_for_run(connection, RunRequest(campaign=campaign.id, actor="kim", force=True, reason="r"))
    asked(connection, campaign.id)
    connection.execute("delete from operator_right")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        asked(connection, campaign.id)


def test_what_stops_before_the_run_is_said_in_both_languages() -> None:
    error = StoppedError("STOPPED_BEFORE_RUN", why=Refusal("BY_SIGNAL"))
    assert sentence(error) == "Stopped before the run began (by a signal); nothing was changed."
    assert sentence(error, language="ko") == "실행이 시작되기 전에 중단되었습니다(신호를 받음). 바뀐 것은 없습니다."
