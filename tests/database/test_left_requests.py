"""A run that is asked for by one login and made by another: the asker's right counts, twice, and one job makes it."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import psycopg
import pytest

from bulkpoint.campaigns.asked_run import RequestInHand, ask_for_run, end_request
from bulkpoint.campaigns.left_request import Standing, expire_requests, leave_request, standing_of, take_next
from bulkpoint.campaigns.run_request import RunRequest
from bulkpoint.campaigns.runs import begin_run
from bulkpoint.campaigns.stop import call_back_starts
from bulkpoint.errors import RefusedError, StoppedError
from bulkpoint.rules.lifecycle import CampaignState, FailureKind, RunKind
from bulkpoint.rules.refusals import Refusal
from bulkpoint.settings import load_settings
from bulkpoint.store.agent import agent_ends, agent_lives, list_agents
from bulkpoint.store.audit import list_history
from bulkpoint.store.campaign import get_campaign, list_campaign_runs
from bulkpoint.store.connect import Connection, connect
from bulkpoint.store.migrate import make_roles
from bulkpoint.store.progress import RetrySelection
from bulkpoint.store.run_request import LatestRequest, RequestState
from bulkpoint.views.audit import HistoryView
from bulkpoint.views.campaign import campaign_detail
from bulkpoint.views.languages import LANGUAGES
from bulkpoint.views.sentences import sentence
from bulkpoint.views.view import Screen
from tests.world.campaigns import Campaign, World
from tests.world.logins import member_of
from tests.world.refusals import refused

SETTINGS = load_settings({})


def left(connection: Connection, campaign: Campaign, kind: RunKind = RunKind.INITIAL, **asked: object) -> LatestRequest:
    request = RunRequest.model_validate({"campaign": campaign.id, "kind": kind, "actor": "kim", **asked})
    return leave_request(connection, SETTINGS, request)


def taken(connection: Connection) -> RunRequest:
    request = take_next(connection)
    assert request is not None, "nothing to take"
    return request


def standing(connection: Connection, campaign: Campaign) -> Standing:
    found = standing_of(connection, campaign.id)
    assert found is not None
    return found


def said(connection: Connection, campaign: Campaign) -> str:
    return sentence(standing(connection, campaign).said)


@pytest.fixture
def kim(world: World, database_url: str) -> Iterator[Connection]:
    """A person who may start campaigns, under an own login."""
    make_roles(database_url)
    with member_of(world.connection, database_url, "bulkpoint_operator") as connection:
        world.connection.execute("insert into operator_right (login, permission) values ('kim', 'start')")
        yield connection


def test_what_is_left_waits_with_all_that_was_asked_and_is_taken_as_it_was(world: World) -> None:
    connection, campaign = world.connection, world.campaign(targets=3)
    one = left(connection, campaign, reason="spring")
    assert (one.state, one.actor, one.kind) == (RequestState.WAITING, "kim", RunKind.INITIAL)
    request = taken(connection)
    assert (request.asked, request.campaign_id, request.reason) == (one.request_id, campaign.id, "spring")
    assert request.digest is not None, "a list that was read is bound to what it was"
    assert standing(connection, campaign).state == RequestState.TAKEN
    begin_run(connection, request, shares=2)
    assert standing_of(connection, campaign.id) is None, "its run has begun"
    assert get_campaign(connection, campaign.id).state == CampaignState.RUNNING


def test_a_second_click_asks_for_nothing_more(world: World) -> None:
    connection, campaign = world.connection, world.campaign(targets=3)
    first = left(connection, campaign)
    assert left(connection, campaign).request_id == first.request_id
    with refused(r"kim asked already, at .*, for campaign 1 to be started.*`bulkpoint campaign stop 1`"):
        left(connection, campaign, reason="another one")
    with pytest.raises(psycopg.errors.UniqueViolation):
        connection.execute(
            "insert into run_request (request_id, campaign_id, kind, actor, valid_until, alive_until)"
            " values (%s, %s, 'INITIAL', 'lee', now() + interval '1 h', now())",
            (uuid4(), campaign.id),
        )
    assert world.written(campaign.id) == ([], ["run.ask"])


def test_two_agents_never_take_the_same_nor_two_at_a_time(world: World, database_url: str) -> None:
    connection = world.connection
    older, younger = world.campaign(targets=3), world.campaign(targets=4)
    left(connection, older)
    left(connection, younger)
    with connect(database_url) as first, connect(database_url) as second:
        mine = taken(first)
        assert take_next(second) is None, "one is on its way"
        assert mine.campaign == older.id, "the oldest first"
        begin_run(first, mine, shares=2)
        assert take_next(second) is None, "a campaign runs"
        older.stopped()
        assert taken(second).campaign == younger.id


def test_of_two_takers_of_the_same_moment_one_takes_something(world: World, database_url: str) -> None:
    connection = world.connection
    left(connection, world.campaign(targets=3))
    left(connection, world.campaign(targets=4))

    def take(together: threading.Barrier) -> RunRequest | None:
        with connect(database_url) as own:
            together.wait()
            return take_next(own)

    for _ in range(5):
        together = threading.Barrier(2)
        with ThreadPoolExecutor() as threads:
            found = [each.result() for each in [threads.submit(take, together) for _ in range(2)]]
        [request] = [each for each in found if each is not None]
        end_request(connection, request, Refusal("BY_SIGNAL"))


def test_a_start_by_a_command_that_is_on_its_way_is_waited_for(world: World) -> None:
    older, younger = world.campaign(targets=3), world.campaign(targets=4)
    ask_for_run(world.connection, RunRequest(campaign=older.id, actor="lee", followed=True))
    left(world.connection, younger)
    assert take_next(world.connection) is None


def test_an_agent_that_dies_loses_its_request_to_the_next_and_makes_no_run_any_more(
    world: World, database_url: str
) -> None:
    connection, campaign = world.connection, world.campaign(targets=3)
    left(connection, campaign)
    lost = taken(connection)
    assert take_next(connection) is None
    connection.execute("update run_request set alive_until = %s", (world.ago(1),))
    found = taken(connection)
    assert found.asked == lost.asked
    with refused("another job has taken the request", StoppedError):
        begin_run(connection, lost, shares=2)
    with refused("another job has taken the request", StoppedError), RequestInHand(database_url, lost):
        pass
    begin_run(connection, found, shares=2)
    assert len(list_campaign_runs(connection, campaign.id)) == 1


def test_nobody_takes_it_within_its_time_and_it_is_refused_with_its_sentence(world: World) -> None:
    connection, campaign = world.connection, world.campaign(targets=3)
    left(connection, campaign)
    ask_for_run(connection, RunRequest(campaign=campaign.id, actor="lee"))  # ends what is abandoned, not this
    assert standing(connection, campaign).state == RequestState.WAITING
    connection.execute(
        "update run_request set valid_until = %(at)s, alive_until = %(at)s where valid_until is not null",
        {"at": world.ago(1)},
    )
    connection.execute("delete from run_request where valid_until is null")
    assert "Refused at" in said(connection, campaign), "also before an agent says so"
    assert take_next(connection) is None
    expire_requests(connection, actor="agent")
    assert "nobody took it within 12 hours" in said(connection, campaign)
    assert world.written(campaign.id)[1] == ["run.ask", "run.refuse"]
    left(connection, campaign)


def test_one_that_was_lost_and_is_over_keeps_no_other_from_being_taken(world: World) -> None:
    connection = world.connection
    lost, waiting = world.campaign(targets=3), world.campaign(targets=4)
    left(connection, lost)
    left(connection, waiting)
    assert taken(connection).campaign == lost.id
    connection.execute(
        "update run_request set valid_until = %(at)s, alive_until = %(at)s where state = 'TAKEN'", {"at": world.ago(1)}
    )
    assert taken(connection).campaign == waiting.id, "a scheduler's `next` takes it, with no agent that clears away"
    expire_requests(connection, actor="agent")
    assert "nobody took it within 12 hours" in said(connection, lost)


def test_a_forced_start_is_taken_before_what_waits_for_longer(world: World) -> None:
    connection = world.connection
    older, younger = world.campaign(targets=3), world.campaign(targets=4)
    agent_lives(connection, host="spark-1", pid=7)
    left(connection, older)
    left(connection, younger, force=True, reason="today")
    assert f"campaign {younger.id} was asked for before" in said(connection, older)
    assert "An agent takes it within seconds." in said(connection, younger)
    assert taken(connection).campaign == younger.id


@pytest.mark.parametrize(
    "other",
    [{"force": True}, {"reason": "another"}, {"same_as": 1}, {"accept": ("LOOK_ALIKE_IDS",)}, {"digest": "0" * 64}],
)
def test_a_job_makes_no_other_run_of_a_request_than_the_one_that_was_asked_for(
    world: World, other: dict[str, object]
) -> None:
    connection, campaign = world.connection, world.campaign(targets=3)
    left(connection, campaign, reason="spring")
    request = taken(connection)
    with pytest.raises((StoppedError, RefusedError)):
        begin_run(connection, request.model_copy(update=other), shares=2)
    assert list_campaign_runs(connection, campaign.id) == []
    begin_run(connection, request, shares=2)


def test_the_request_of_one_campaign_makes_no_run_of_another(world: World) -> None:
    connection, asked_for, other = world.connection, world.campaign(targets=3), world.campaign(targets=4)
    left(connection, asked_for)
    request = taken(connection)
    with refused("another job has taken the request", StoppedError):
        begin_run(connection, request.model_copy(update={"campaign": other.id, "digest": None}), shares=2)
    assert list_campaign_runs(connection, other.id) == []


def test_it_says_what_it_waits_for_in_both_languages(world: World) -> None:
    connection = world.connection
    older, younger = world.campaign(targets=3), world.campaign(targets=4)
    left(connection, older)
    assert standing(connection, older).agent_missing
    assert "none is alive" in said(connection, older)
    agent_lives(connection, host="spark-1", pid=7)
    left(connection, younger)
    assert "An agent takes it within seconds." in said(connection, older)
    found = get_campaign(connection, older.id)
    shown = campaign_detail(found, older.counts(), [], left_request=standing(connection, older).said)
    assert "An agent takes it within seconds." in "\n".join(shown.as_text(Screen()))
    assert f"campaign {older.id} was asked for before" in said(connection, younger)
    request = taken(connection)
    assert "has taken it" in said(connection, older)
    begin_run(connection, request, shares=2)
    assert f"until campaign {older.id} has ended" in said(connection, younger)
    for language in LANGUAGES:
        assert sentence(standing(connection, younger).said, language=language)
    agent_ends(connection, host="spark-1", pid=7)
    assert list_agents(connection) == []


def test_the_askers_right_counts_and_audit_shows_both_logins(world: World, kim: Connection) -> None:
    runner, campaign = world.connection, world.campaign(targets=3)
    left(kim, campaign)
    runner.execute("delete from operator_right where login = session_user")
    begin_run(runner, taken(runner), shares=2)
    *_, started = list_history(runner, campaign.id)
    assert (started.action, started.actor) == ("start", "kim")
    assert (started.detail["asked_by"], started.detail["asked_login"]) == ("kim", "kim")
    assert started.login == runner.info.user != "kim"
    found = get_campaign(runner, campaign.id)
    lines = list(HistoryView.of(found, list_history(runner, campaign.id), "UTC").as_text(Screen()))
    assert "kim asked for a run, for an agent to make it: INITIAL run" in "\n".join(lines)
    assert "asked for by kim (login kim)" in lines[-1]


def test_a_right_that_is_revoked_between_refuses_the_run(world: World, kim: Connection, database_url: str) -> None:
    runner, campaign = world.connection, world.campaign(targets=3)
    left(kim, campaign)
    request = taken(runner)
    runner.execute("delete from operator_right where login = 'kim'")
    with refused("The database login kim may not start.*right `start`") as told, RequestInHand(database_url, request):
        begin_run(runner, request, shares=2)
    assert told.value.exit_code == 3
    assert "login kim may not start" in said(runner, campaign)
    assert world.written(campaign.id) == ([], ["run.ask", "run.refuse"])
    with refused("login kim may not start"):
        left(kim, campaign)


def test_a_forced_start_needs_the_askers_right_to_force(world: World, kim: Connection) -> None:
    world.campaign(targets=4)
    younger = world.campaign(targets=3)
    with refused("`force`"):
        left(kim, younger, force=True, reason="today")
    with refused("older and ready"):
        left(kim, younger)
    world.connection.execute("insert into operator_right (login, permission) values ('kim', 'force')")
    left(kim, younger, force=True, reason="today")
    request = taken(world.connection)
    assert (request.force, request.reason) == (True, "today")
    world.connection.execute("delete from operator_right where login = 'kim' and permission = 'force'")
    with refused("login kim may not .*`force`"):
        begin_run(world.connection, request, shares=2)


def test_what_passes_lets_the_request_wait_again_and_the_rest_refuses_it(world: World) -> None:
    connection, campaign = world.connection, world.campaign(targets=3)
    left(connection, campaign)
    end_request(connection, taken(connection), Refusal("BY_SIGNAL"))
    assert standing(connection, campaign).state == RequestState.WAITING
    request = taken(connection)
    end_request(connection, request, Refusal("JOB_BROKE"))
    assert standing(connection, campaign).state == RequestState.REFUSED
    assert take_next(connection) is None


def test_a_job_that_has_lost_it_neither_gives_it_back_nor_refuses_it(world: World) -> None:
    connection, campaign = world.connection, world.campaign(targets=3)
    left(connection, campaign)
    lost = taken(connection)
    connection.execute("update run_request set alive_until = %s", (world.ago(1),))
    taken(connection)
    end_request(connection, lost, Refusal("BY_SIGNAL"))
    end_request(connection, lost, Refusal("JOB_BROKE"))
    assert standing(connection, campaign).state == RequestState.TAKEN


def test_it_is_called_back_also_when_it_was_taken(world: World) -> None:
    connection, campaign = world.connection, world.campaign(targets=3)
    left(connection, campaign)
    _, called_back = call_back_starts(connection, campaign.id, actor="lee", reason="wrong list")
    assert [each.actor for each in called_back] == ["kim"]
    left(connection, campaign)
    request = taken(connection)
    call_back_starts(connection, campaign.id, actor="lee", reason="wrong list")
    with refused("called back by lee: wrong list", StoppedError):
        begin_run(connection, request, shares=2)


def test_another_start_that_comes_first_ends_what_waits(world: World) -> None:
    connection, campaign = world.connection, world.campaign(targets=3)
    left(connection, campaign)
    own = RunRequest(campaign=campaign.id, actor="lee")
    ask_for_run(connection, own)
    begin_run(connection, own, shares=2)
    states = connection.execute("select state, refusal->'refusal'->>0 from run_request order by requested_at")
    assert states.fetchall() == [("REFUSED", "REQUEST_OVERTAKEN"), ("DONE", None)]


def test_a_resume_and_a_retry_are_left_like_a_start(world: World) -> None:
    connection, stopped = world.connection, world.campaign(targets=3).begun().failed(1).stopped()
    with refused("STOPPED"):
        left(connection, stopped, RunKind.RETRY)
    left(connection, stopped, RunKind.RESUME, reason="now")
    assert begin_run(connection, taken(connection), shares=2).kind == RunKind.RESUME
    done = stopped.stopped()
    connection.execute("delete from run_request")
    failed = world.campaign(targets=3).begun().paid(2).failed(1, kind="REJECTED").ended("COMPLETED")
    with refused("nothing to retry"):
        left(connection, failed, RunKind.RETRY)
    left(connection, failed, RunKind.RETRY, selection=RetrySelection((FailureKind.REJECTED,)))
    request = taken(connection)
    assert request.selection == RetrySelection((FailureKind.REJECTED,))
    assert begin_run(connection, request, shares=2).kind == RunKind.RETRY
    assert done.id != failed.id


def test_a_resume_of_a_run_whose_driver_is_gone_is_taken_although_it_says_running(world: World) -> None:
    connection, campaign = world.connection, world.campaign(targets=3).begun()
    with refused("its driver is alive"):
        left(connection, campaign, RunKind.RESUME)
    connection.execute("update campaign_run set driver_until = %s", (world.ago(1),))
    left(connection, campaign, RunKind.RESUME)
    assert taken(connection).kind == RunKind.RESUME


def retry_after(runner: Connection, kim: Connection, campaign: Campaign) -> RunRequest:
    """The retry that follows by itself a run that kim has asked for and `runner` has made."""
    left(kim, campaign)
    request = taken(runner)
    begin_run(runner, request, shares=2)
    return RunRequest(campaign=campaign.id, kind=RunKind.RETRY, actor="kim", follows=request.request_id)


def test_an_automatic_retry_is_asked_for_in_the_askers_name_by_the_job_that_made_the_run(
    world: World, kim: Connection, database_url: str
) -> None:
    runner, campaign = world.connection, world.campaign(targets=3)
    again = retry_after(runner, kim, campaign)
    ask_for_run(runner, again, taken=True)
    asked = "select requested_by::text from run_request where follows is not null"
    assert runner.execute(asked).fetchall() == [("kim",)]
    with (
        member_of(runner, database_url, "bulkpoint_operator", name="lee") as lee,
        pytest.raises(psycopg.errors.InsufficientPrivilege, match="lee asks for a run in the name of kim"),
    ):
        ask_for_run(lee, again.model_copy(update={"holder": uuid4()}), taken=True)


@pytest.mark.parametrize(
    "other",
    [
        {"kind": RunKind.RESUME},
        {"kind": RunKind.INITIAL, "force": True, "reason": "mine"},
        {"selection": RetrySelection(beyond_limit=True), "reason": "mine"},
    ],
)
def test_who_made_a_persons_run_asks_for_nothing_else_in_that_name(
    world: World, kim: Connection, other: dict[str, object]
) -> None:
    runner, campaign = world.connection, world.campaign(targets=3)
    again = retry_after(runner, kim, campaign)
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="in the name of kim"):
        ask_for_run(runner, again.model_copy(update=other), taken=True)


def test_what_is_over_stays_over(world: World) -> None:
    connection, campaign = world.connection, world.campaign(targets=3)
    left(connection, campaign)
    call_back_starts(connection, campaign.id, actor="lee", reason=None)
    with pytest.raises(psycopg.errors.RestrictViolation):
        connection.execute("update run_request set state = 'WAITING', refusal = null, ended_at = null")
