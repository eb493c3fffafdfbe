"""`check`: what needs a person is found, once it lasts; what does not is left alone."""

from datetime import UTC, datetime

import pytest

from bulkpoint.campaigns.tps import set_tps
from bulkpoint.rules.troubles import TroubleKind
from bulkpoint.store.alert import Alert, find_alerts
from bulkpoint.store.connect import Connection, connect
from bulkpoint.store.migrate import make_roles
from bulkpoint.views.alerts import alert_sentence
from tests.world.campaigns import Campaign, World

TEN_MINUTES_S = 600
UNTIL = datetime(2026, 1, 31, 9, tzinfo=UTC)


@pytest.fixture
def campaign(world: World) -> Campaign:
    """Three payments; it runs since two hours, its job is alive."""
    running = world.campaign(targets=3, name="설날").begun(actor="kim")
    return running.was_started(seconds_ago=2 * 3600).driver_ends(in_s=24 * 3600)


def found(connection: Connection) -> list[str]:
    return [one.kind for one in find_alerts(connection)]


def hold(world: World, seconds: float, *, until: datetime | None = None) -> None:
    """A limit of 0, set so long ago."""
    set_tps(world.connection, tps=0, actor="park", reason="money asked", until=until)
    world.limit_was_set(seconds_ago=seconds)


def test_nothing_is_found_where_nothing_runs(connection: Connection, world: World, campaign: Campaign) -> None:
    campaign.sampled(seconds_ago=TEN_MINUTES_S + 1)
    assert found(connection) == ["STANDSTILL"]
    campaign.stopped()
    hold(world, TEN_MINUTES_S + 1)
    assert found(connection) == []


def test_a_job_is_gone_when_its_lease_has_passed_and_not_before(
    connection: Connection, world: World, campaign: Campaign
) -> None:
    campaign.driver_ends(in_s=10)
    assert found(connection) == []
    campaign.sampled(seconds_ago=TEN_MINUTES_S + 1)  # that nothing moves is no second trouble
    campaign.driver_ends(in_s=-0.001)
    (gone,) = find_alerts(connection)
    assert (gone.kind, gone.campaign_id, gone.name) == ("DRIVER_GONE", 1, "설날")
    assert (gone.since,) == connection.execute("select driver_until from campaign_run").fetchone()
    assert find_alerts(connection) == [gone], "its key stays"
    campaign.driver_ends(in_s=-2)
    assert find_alerts(connection)[0].key != gone.key, "another lease, another trouble"


def test_a_hold_is_told_after_ten_minutes_with_who_and_why(
    connection: Connection, world: World, campaign: Campaign
) -> None:
    hold(world, TEN_MINUTES_S - 5)
    assert found(connection) == []
    hold(world, TEN_MINUTES_S + 1)
    (held,) = find_alerts(connection)
    assert (held.kind, held.campaign_id, held.who, held.why, held.until) == ("ON_HOLD", 1, "park", "money asked", None)
    assert find_alerts(connection) == [held]
    hold(world, TEN_MINUTES_S + 9)
    assert find_alerts(connection)[0].key != held.key, "set anew"
    set_tps(connection, tps=1, actor="park", reason=None, until=None)
    world.limit_was_set(seconds_ago=3600)
    assert found(connection) == []


def test_a_hold_from_before_the_start_counts_from_the_start(
    connection: Connection, world: World, campaign: Campaign
) -> None:
    hold(world, 9 * TEN_MINUTES_S)
    campaign.was_started(seconds_ago=9 * 60)
    assert found(connection) == []
    campaign.was_started(seconds_ago=11 * 60)
    assert found(connection) == ["ON_HOLD"]


def test_a_hold_that_ends_by_itself_is_told_with_its_end_and_not_once_that_has_come(
    connection: Connection, world: World, campaign: Campaign
) -> None:
    hold(world, TEN_MINUTES_S + 1, until=datetime(2999, 1, 1, tzinfo=UTC))
    assert [one.until for one in find_alerts(connection)] == [datetime(2999, 1, 1, tzinfo=UTC)]
    hold(world, TEN_MINUTES_S + 1, until=UNTIL)
    assert find_alerts(connection) == []


def test_a_standstill_is_told_ten_minutes_after_the_first_sample_without_a_new_end(
    connection: Connection, world: World, campaign: Campaign
) -> None:
    campaign.sampled(seconds_ago=40 * 60)
    campaign.paid([1])
    assert found(connection) == [], "a payment ended since the latest sample, nobody knows when"
    campaign.sampled(seconds_ago=TEN_MINUTES_S - 5)
    assert found(connection) == []
    campaign.sampled(seconds_ago=TEN_MINUTES_S + 1)
    campaign.sampled(seconds_ago=1)
    (standing,) = find_alerts(connection)
    since = connection.execute("select sampled_at from campaign_progress order by 1 offset 1 limit 1").fetchone()
    assert (standing.kind, standing.campaign_id, (standing.since,)) == ("STANDSTILL", 1, since)
    assert find_alerts(connection) == [standing]
    campaign.paid([2])
    assert found(connection) == []


def test_a_hold_is_no_standstill_and_the_time_of_it_does_not_count(
    connection: Connection, world: World, campaign: Campaign
) -> None:
    campaign.sampled(seconds_ago=50 * 60)
    set_tps(connection, tps=0, actor="park", reason=None, until=None)
    assert found(connection) == [], "a hold of this moment"
    campaign.sampled(seconds_ago=5 * 60)
    set_tps(connection, tps=100, actor="park", reason=None, until=None)
    campaign.sampled(seconds_ago=4 * 60)
    assert found(connection) == [], "until five minutes ago it was held"
    connection.execute("update campaign_progress set sampled_at = sampled_at - interval '7 min'")
    assert found(connection) == ["STANDSTILL"]


def test_a_check_needs_no_more_than_a_readers_login_and_writes_nothing(
    connection: Connection, world: World, campaign: Campaign, database_url: str
) -> None:
    make_roles(database_url)
    campaign.sampled(seconds_ago=TEN_MINUTES_S + 1)
    connection.execute("create role watcher login in role bulkpoint_reader")
    try:
        with connect(database_url) as theirs:
            theirs.execute("set session authorization watcher")
            theirs.execute("set default_transaction_read_only = on")
            assert found(theirs) == ["STANDSTILL"]
    finally:
        connection.execute("drop role watcher")


@pytest.mark.parametrize(
    ("kind", "korean", "english"),
    [
        ("DRIVER_GONE", "2026-01-31 18:00:00부터 실행 중인 작업이 없어", "its job is gone since 2026-01-31 18:00:00"),
        ("ON_HOLD", "park\\x1b 님이 한도를 0 TPS로 설정", "park\\x1b set the limit to 0 TPS at 2026-01-31 18:00:00"),
        (
            "STANDSTILL",
            "2026-01-31 18:00:00 이후 끝난 지급이 없습니다",
            "no payment has ended since 2026-01-31 18:00:00",
        ),
    ],
)
def test_a_trouble_is_a_sentence_in_both_languages(kind: str, korean: str, english: str) -> None:
    next_step = {
        "DRIVER_GONE": "`bulkpoint campaign resume 3`",
        "ON_HOLD": "`bulkpoint tps set N`",
        "STANDSTILL": "`bulkpoint campaign watch 3`",
    }[kind]
    trouble = Alert(TroubleKind(kind), "key", 3, "설날\n{0}", UNTIL, "park\x1b", "money {asked}\u202e", UNTIL)
    in_korean = alert_sentence(trouble, "Asia/Seoul", "ko")
    in_english = alert_sentence(trouble, "Asia/Seoul", "en")
    assert in_korean.startswith("캠페인 3 (설날\\n{0}): ")
    assert in_english.startswith("Campaign 3 (설날\\n{0}) ")
    assert korean in in_korean
    assert english in in_english
    for sentence in (in_korean, in_english):
        assert next_step in sentence
        assert ("money {asked}<U+202E>" in sentence) == (kind == "ON_HOLD")
    if kind == "ON_HOLD":
        assert "2026-01-31 18:00:00까지" in in_korean
        bare = Alert(TroubleKind.ON_HOLD, "key", 3, "n", UNTIL, "park", None, None)
        assert "(no reason given)" in alert_sentence(bare, "Asia/Seoul", "en")
