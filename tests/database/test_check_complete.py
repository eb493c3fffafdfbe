"""`check` names whatever needs a person, each with its command; a deployment that is well hears nothing."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from bulkpoint.campaigns.asked_run import ask_for_run
from bulkpoint.campaigns.check import acknowledge_end, find_troubles
from bulkpoint.campaigns.left_request import leave_request
from bulkpoint.campaigns.run_request import RunRequest
from bulkpoint.campaigns.tps import set_tps
from bulkpoint.campaigns.withdraw import withdraw_campaign
from bulkpoint.events.message import NOTIFIED_TYPES
from bulkpoint.rules.findings import Finding, FindingName
from bulkpoint.rules.lifecycle import RunKind
from bulkpoint.rules.refusals import Refusal
from bulkpoint.rules.troubles import Trouble, TroubleKind
from bulkpoint.settings import Settings, load_settings
from bulkpoint.store import trouble as store_trouble
from bulkpoint.store.agent import agent_lives
from bulkpoint.store.alert import find_alerts
from bulkpoint.store.audit import list_history
from bulkpoint.store.campaign import get_running_campaign
from bulkpoint.store.connect import Connection
from bulkpoint.store.finding import keep_judgement
from bulkpoint.store.migrate import make_roles
from bulkpoint.views.alerts import CheckView, trouble_sentence
from bulkpoint.views.audit_words import sentence
from bulkpoint.views.changes import EndAcknowledged
from bulkpoint.views.languages import LANGUAGES
from bulkpoint.views.view import Screen
from tests.world.campaigns import Campaign, World
from tests.world.logins import member_of
from tests.world.refusals import refused

HOUR_S, DAY_S = 3_600, 86_400
DATABASE = {"BULKPOINT_DATABASE_URL": "postgresql://u@db.example/b", "BULKPOINT_MONEY_URL": "https://money.example"}
SLACK = {"BULKPOINT_SLACK_CHANNEL": "#points"}
KAFKA = {"BULKPOINT_KAFKA_BOOTSTRAP_SERVERS": "broker:9092"}


def settings_of(**more: str) -> Settings:
    return load_settings(DATABASE | more)


def look(connection: Connection, **settings: str) -> CheckView:
    troubles = find_troubles(connection, settings_of(**settings), notified=NOTIFIED_TYPES)
    now = datetime.now(UTC)
    return CheckView.of(find_alerts(connection), get_running_campaign(connection), "UTC", now, troubles)


def named(connection: Connection, **settings: str) -> list[tuple[str, int]]:
    """Kind and campaign of everything that needs a person."""
    return [(each.kind.value, each.campaign_id) for each in look(connection, **settings).findings]


def noted(connection: Connection, **settings: str) -> list[tuple[str, int]]:
    return [(each.kind.value, each.campaign_id) for each in look(connection, **settings).notes]


def failed(world: World) -> Campaign:
    return world.campaign(targets=10, name="설").begun().paid(1).failed(2).ended("FAILED", "MONEY_UNAVAILABLE: away")


def stopped(world: World) -> Campaign:
    return world.campaign(targets=10).begun().paid(4).stopped(reason="wrong list")


def with_unknown(world: World) -> Campaign:
    return world.campaign(targets=10).begun().failed(3, kind="UNKNOWN").ended("COMPLETED")


def overdue(world: World, **more: Any) -> Campaign:
    """It was created three hours ago, to start an hour later."""
    campaign = world.campaign(targets=3, not_before=world.ago(2 * HOUR_S), **more)
    made_at = world.ago(3 * HOUR_S)
    world.connection.execute("update campaign set created_at = %s where campaign_id = %s", (made_at, campaign.id))
    return campaign


def half_loaded(world: World) -> Campaign:
    return overdue(world, expected=(1_000, 5_000))


def asked_for(campaign: Campaign, *, seconds_ago: float, kind: RunKind = RunKind.INITIAL) -> Campaign:
    ask_for_run(campaign.world.connection, RunRequest(campaign=campaign.id, kind=kind, actor="kim"))
    campaign.world.connection.execute(
        "update run_request set requested_at = %(at)s, alive_until = %(at)s where campaign_id = %(id)s",
        {"at": campaign.world.ago(seconds_ago), "id": campaign.id},
    )
    return campaign


def left_to_agents(world: World, *, seconds_ago: float) -> Campaign:
    campaign = world.campaign()
    leave_request(world.connection, settings_of(), RunRequest(campaign=campaign.id, actor="kim"))
    world.connection.execute("update run_request set requested_at = %s", (world.ago(seconds_ago),))
    return campaign


def judged(world: World, *, seconds_ago: float, accepted_by: str | None = None) -> Campaign:
    """Its list has a finding with money at stake, and one without."""
    campaign = world.campaign(targets=3)
    total = replace(Finding.of(FindingName.TOTAL_ROW, 1), accepted_by=accepted_by)
    keep_judgement(world.connection, campaign.id, b"d" * 32, [total, Finding.of(FindingName.INVISIBLE_IN_REASON, 1)])
    world.connection.execute("update judged_list set judged_at = %s", (world.ago(seconds_ago),))
    return campaign


def held(world: World) -> None:
    set_tps(world.connection, tps=0, actor="park", reason="money asked", until=None)
    world.limit_was_set(seconds_ago=2 * DAY_S)


def silent(world: World) -> None:
    """A run ended an hour ago, and neither relay nor notifier was there."""
    world.campaign().begun().ended("COMPLETED")
    world.connection.execute("update outbox_event set occurred_at = %s", (world.ago(HOUR_S),))


Make = Callable[[World], Any]

# What makes each trouble, what else must be set, the kind, its campaign, and words of its sentence.
TROUBLES: dict[str, tuple[Make, dict[str, str], tuple[str, int], list[str]]] = {
    "a failed run with payments left": (
        failed,
        {},
        ("RUN_FAILED", 1),
        ["Campaign 1 (설) FAILED at 20", "MONEY_UNAVAILABLE: away", "not processed 7, failed 2", "campaign resume 1`"],
    ),
    "a run that the guard ended, with nothing left but failed payments": (
        lambda world: world.campaign(targets=20).begun().failed(20).ended("FAILED", "TOO_MANY_FAILURES: 20 of 20"),
        {},
        ("RUN_FAILED", 1),
        ["not processed 0, failed 20"],
    ),
    "a stopped run with payments left": (
        stopped,
        {},
        ("RUN_STOPPED", 1),
        ["STOPPED at 20", "reason: wrong list", "not processed 6", "campaign resume 1`", "campaign acknowledge 1 "],
    ),
    "payments that may have been credited": (
        with_unknown,
        {},
        ("UNKNOWN_LEFT", 1),
        ["has 3 UNKNOWN payments since 20", "`bulkpoint reconcile 1`"],
    ),
    "a campaign that nobody started": (
        overdue,
        {},
        ("OVERDUE", 1),
        ["was to start at 20", "nobody has started it: `bulkpoint campaign start 1`"],
    ),
    "a campaign whose targets are not loaded": (
        half_loaded,
        {},
        ("OVERDUE", 1),
        ["expects 1,000 targets", "but 3 and 3 are loaded", "`bulkpoint campaign withdraw 1 --reason T`"],
    ),
    "a campaign that should have started and that nobody approves": (
        overdue,
        {"BULKPOINT_REQUIRE_APPROVAL": "true"},
        ("APPROVAL_WAITING", 1),
        ["waits for approval since 20", "other than alice", "`bulkpoint campaign approve 1`"],
    ),
    "a start that no job takes": (
        lambda world: asked_for(world.campaign(), seconds_ago=600),
        {},
        ("START_NOT_TAKEN", 1),
        ["was to be started by kim at 20", "`bulkpoint campaign start 1`"],
    ),
    "a start that was left to an agent, and there is none": (
        lambda world: left_to_agents(world, seconds_ago=600),
        {},
        ("NO_AGENT", 1),
        ["was to be started by kim at 20", "no agent is alive", "`bulkpoint agent`"],
    ),
    "what was found in a list and nobody accepts": (
        lambda world: judged(world, seconds_ago=2 * DAY_S),
        {},
        ("FINDINGS_WAITING", 1),
        ["what was found in its list (TOTAL_ROW)", "`bulkpoint campaign start 1 --accept NAME`"],
    ),
    "a limit of 0 that nobody needs": (
        held,
        {},
        ("LIMIT_ZERO", 0),
        ["The limit is 0 TPS: park set it at 20", "money asked", "`bulkpoint tps set N`"],
    ),
    "a notifier that is gone": (silent, SLACK, ("MESSAGES_WAITING", 0), ["not sent: 1,", "`bulkpoint notify`"]),
    "a relay that is gone": (silent, KAFKA, ("EVENTS_WAITING", 0), ["(campaigns: 1)", "`bulkpoint outbox relay`"]),
}


@pytest.mark.parametrize("what", TROUBLES)
def test_a_trouble_is_named_with_what_to_do(what: str, world: World) -> None:
    make, settings, expected, words = TROUBLES[what]
    make(world)
    found = look(world.connection, **settings)
    assert not found.ok
    [one] = found.findings
    assert (one.kind, one.campaign_id) == expected
    for part in words:
        assert part in one.sentence
    assert re.search("`bulkpoint [^`]+`", one.sentence), "the command to type"
    assert list(found.as_text(Screen())) == [one.sentence]
    [as_json] = found.as_object()["findings"]
    assert (as_json["kind"], as_json["campaign_id"]) == expected
    assert as_json["since"].endswith("Z")


def test_a_deployment_that_is_well_hears_nothing(world: World) -> None:
    world.campaign(targets=20).begun().failed(1).ended("COMPLETED")  # payments that fail one by one are no trouble
    world.campaign(not_before=world.ago(-DAY_S))
    world.campaign(not_before=world.ago(600))
    world.campaign(not_before=world.ago(9 * HOUR_S))  # in the past already when it was created, just now
    world.campaign().withdrawn()
    asked_for(world.campaign(), seconds_ago=30)
    held = world.connection
    set_tps(held, tps=0, actor="park", reason=None, until=None)
    found = look(world.connection, **SLACK, **KAFKA)
    assert (found.findings, found.notes) == ([], [])
    assert list(found.as_text(Screen())) == ["all is well: no campaign runs"]


def test_a_start_that_an_agent_will_take_after_what_runs_is_no_trouble(world: World) -> None:
    left_to_agents(world, seconds_ago=600)
    agent_lives(world.connection, host="spark-1", pid=7)
    assert named(world.connection) == [("START_NOT_TAKEN", 1)], "though nothing runs"
    world.campaign(targets=4).begun()
    assert named(world.connection) == []


def test_what_was_done_about_it_ends_a_trouble(world: World) -> None:
    campaign = stopped(world)
    campaign.begun("RESUME")
    assert named(world.connection) == [], "while it runs"
    campaign.ended("COMPLETED")
    late = overdue(world)
    asked_for(late, seconds_ago=600)
    assert named(world.connection) == [("OVERDUE", late.id), ("START_NOT_TAKEN", late.id)]
    withdraw_campaign(world.connection, late.id, actor="kim", reason="r")
    assert named(world.connection) == []
    started = asked_for(world.campaign(), seconds_ago=600)
    started.begun().ended("COMPLETED")
    assert named(world.connection) == [], "another request was made into a run"


def test_what_a_person_says_stays_so_is_named_no_more_until_another_run_leaves_something(world: World) -> None:
    campaign = world.campaign(targets=10).begun().paid(4).failed(1, kind="UNKNOWN").stopped()
    assert named(world.connection) == [("RUN_STOPPED", 1), ("UNKNOWN_LEFT", 1)]
    acknowledge_end(world.connection, campaign.id, actor="kim", reason="campaign 2 has the right list")
    assert (named(world.connection), noted(world.connection)) == ([], [])
    row = list_history(world.connection, campaign.id)[-1]
    assert sentence(row, "UTC") == (
        "kim said that what run 1 left stays as it is; reason: campaign 2 has the right list"
    )
    campaign.begun("RESUME").stopped()
    assert named(world.connection) == [("RUN_STOPPED", 1), ("UNKNOWN_LEFT", 1)]


def test_what_was_acknowledged_before_is_said_and_written_once(world: World) -> None:
    campaign = world.campaign(targets=10).begun().paid(4).stopped()
    assert acknowledge_end(world.connection, campaign.id, actor="kim", reason="r") == (1, False)
    before = len(list_history(world.connection, campaign.id))
    assert acknowledge_end(world.connection, campaign.id, actor="lee", reason="s") == (1, True)
    assert len(list_history(world.connection, campaign.id)) == before
    said = EndAcknowledged(campaign_id=1, run=1, already=True).as_line()
    assert said == "what run 1 of campaign 1 left was acknowledged before; nothing is changed"


def test_where_nothing_is_left_there_is_nothing_to_acknowledge(world: World) -> None:
    campaign = world.campaign(targets=3).begun().paid(2).failed(1)
    campaign.ended("COMPLETED")
    before = len(list_history(world.connection, campaign.id))
    with refused("Run 1 of campaign 1, which is COMPLETED, left nothing"):
        acknowledge_end(world.connection, campaign.id, actor="kim", reason="r")
    assert len(list_history(world.connection, campaign.id)) == before


def test_only_what_a_run_left_can_be_acknowledged_and_only_with_the_right(world: World) -> None:
    waiting = world.campaign()
    with refused("Campaign 1 is WAITING: no run of it has ended"):
        acknowledge_end(world.connection, waiting.id, actor="kim", reason="r")
    running = world.campaign().begun()
    with refused("Campaign 2 is RUNNING"):
        acknowledge_end(world.connection, running.id, actor="kim", reason="r")
    running.stopped()
    world.connection.execute("delete from operator_right")
    with refused("has not the right"):
        acknowledge_end(world.connection, running.id, actor="kim", reason="r")


def test_what_is_older_than_the_setting_is_only_listed(world: World) -> None:
    long_ago = stopped(world).was_finished(seconds_ago=81 * DAY_S)
    assert named(world.connection, BULKPOINT_CHECK_DAYS="90") == [("RUN_STOPPED", long_ago.id)]
    found = look(world.connection, BULKPOINT_CHECK_DAYS="80")
    assert found.ok
    first, note = found.as_text(Screen())
    assert first == "nothing needs a person: no campaign runs"
    assert note.startswith("note: Campaign 1 (c) was STOPPED at 20")


def test_many_old_ones_are_a_few_lines(world: World) -> None:
    for _ in range(7):
        stopped(world).was_finished(seconds_ago=81 * DAY_S)
    lines = list(look(world.connection).as_text(Screen()))
    assert len(lines) == 7
    assert lines[-1] == "note: 2 more; --json has all"


def test_a_campaign_that_waits_for_another_or_for_its_approval_of_today_is_listed_and_needs_nobody(
    world: World,
) -> None:
    late = overdue(world)
    assert noted(world.connection) == []
    recent = judged(world, seconds_ago=60)
    assert noted(world.connection) == [("FINDINGS_WAITING", recent.id)]
    judged(world, seconds_ago=2 * DAY_S, accepted_by="kim")
    recent.withdrawn()
    world.campaign().begun()
    found = look(world.connection)
    assert found.ok
    [note] = found.notes
    assert (note.kind, note.campaign_id) == ("OVERDUE", late.id)
    assert "campaign 4 runs, and one runs at a time" in note.sentence
    new = world.campaign()
    assert ("APPROVAL_WAITING", new.id) in noted(world.connection, BULKPOINT_REQUIRE_APPROVAL="true")
    world.connection.execute("update campaign set created_at = %s", (world.ago(2 * DAY_S),))
    assert ("APPROVAL_WAITING", new.id) in named(world.connection, BULKPOINT_REQUIRE_APPROVAL="true")
    new.approved()
    assert ("APPROVAL_WAITING", new.id) not in named(world.connection, BULKPOINT_REQUIRE_APPROVAL="true")


def test_an_embedded_database_that_pays_for_others_is_noted(world: World) -> None:
    far = {"BULKPOINT_MONEY_URL": "https://money.example"}
    near = {"BULKPOINT_MONEY_URL": "http://127.0.0.1:9090"}
    kinds = [
        [each.kind for each in find_troubles(world.connection, load_settings(urls), notified=NOTIFIED_TYPES)]
        for urls in (far, near, DATABASE)
    ]
    assert kinds == [[TroubleKind.EMBEDDED_DATABASE], [], []]


def test_a_lock_table_that_is_almost_full_is_named(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    table = store_trouble.read_lock_table(world.connection)
    assert 0 <= table.used < table.room
    world.connection.execute("set search_path to public")
    with world.connection.transaction():  # locks beyond those that a session keeps to itself
        for _ in range(30):
            world.campaign(targets=1).begun().ended("COMPLETED")
        world.connection.execute("select count(*) from payment")
        held = store_trouble.read_lock_table(world.connection).used
        assert held >= table.used + 30
        monkeypatch.setattr("bulkpoint.campaigns.check.LOCKS_SHARE_MAX", held / table.room / 2)
        [one] = look(world.connection).findings
        assert (one.kind, one.campaign_id) == ("LOCK_TABLE", 0)
        assert f"of {table.room:,} locks" in one.sentence


@pytest.mark.parametrize("group", ["bulkpoint_reader", "bulkpoint_relay"])
def test_a_look_needs_the_least_login_locks_little_and_reads_no_payment(
    group: str, world: World, database_url: str
) -> None:
    for _ in range(3):
        failed(world)
    half_loaded(world)
    make_roles(database_url)
    with member_of(world.connection, database_url, group) as theirs, theirs.transaction():
        theirs.execute("set transaction read only")
        assert len(named(theirs, **SLACK, **KAFKA)) == 4
        locked = theirs.execute(
            "select distinct relation::regclass::text from pg_locks where pid = pg_backend_pid() and relation > 0"
        ).fetchall()
        assert [name for (name,) in locked if name.startswith("payment")] == []
        assert len(locked) < 60


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_kind_has_its_sentence_with_a_command_or_a_setting(language: str) -> None:
    facts: dict[str, Any] = {
        **dict.fromkeys(
            ("not_processed", "processing", "not_paid", "unknown", "count", "used", "room", "tables", "relations"),
            1_000,
        ),
        **dict.fromkeys(("who", "why", "findings", "creator", "url", "waiting", "ends", "command"), "a{0}\x1b"),
    }
    since = datetime(2026, 1, 31, 9, tzinfo=UTC)
    for kind in TroubleKind:
        why = {"why": Refusal("NOBODY_STARTED_IT", {"campaign_id": 3})} if kind is TroubleKind.OVERDUE else {}
        said = trouble_sentence(Trouble(kind, 3, "설\n{0}", since, facts | why), "Asia/Seoul", language)
        assert "\x1b" not in said, kind
        assert "\n" not in said, kind
        assert re.search("`[^`]+`", said), kind
