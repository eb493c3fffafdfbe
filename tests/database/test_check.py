"""`check`: what needs a person is found, once it lasts; what does not is left alone."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from bulkpoint.campaigns.runs import begin_run, stop_run
from bulkpoint.campaigns.tps import set_tps
from bulkpoint.store.alerts import Alert, find_alerts
from bulkpoint.store.connect import Connection, connect
from bulkpoint.store.limit import ensure_limit
from bulkpoint.store.migrate import make_roles
from bulkpoint.store.payment import Change, claim_payments, record_results
from bulkpoint.store.progress import keep_progress
from bulkpoint.store.run import Run
from bulkpoint.store.share import acquire_share
from bulkpoint.views.alerts import alert_sentence

TEN_MINUTES_S = 600
UNTIL = datetime(2026, 1, 31, 9, tzinfo=UTC)


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with connect(database_url) as connection:
        ensure_limit(connection, tps=100, shares=1, actor="tester")
        yield connection


@pytest.fixture
def run(connection: Connection) -> Run:
    """A campaign of three payments that runs since two hours, its job alive."""
    connection.execute(
        "insert into campaign (name, expected_count, expected_amount, creator) values ('설날', 3, 3, 'a')"
    )
    connection.execute("insert into campaign_target select 1, 'm' || i, 1, 'r' from generate_series(1, 3) i")
    run = begin_run(connection, 1, kind="INITIAL", actor="kim", reason=None, shares=1)
    connection.execute(
        "update campaign_run set started_at = started_at - interval '2 h', driver_until = driver_until + interval '1 d'"
    )
    return run


def found(connection: Connection) -> list[str]:
    return [one.kind for one in find_alerts(connection)]


def hold(connection: Connection, seconds: float, *, until: datetime | None = None) -> None:
    """A limit of 0, set so long ago."""
    set_tps(connection, tps=0, actor="park", reason="money asked", until=until)
    connection.execute("update money_limit set set_at = clock_timestamp() - %s * interval '1 s'", (seconds,))


def sample(connection: Connection, run: Run, seconds_ago: float) -> None:
    """A sample of the run as it is, taken so long ago."""
    keep_progress(connection, run.token.run_id)
    connection.execute(
        "update campaign_progress set sampled_at = clock_timestamp() - %s * interval '1 s'"
        " where sampled_at = (select max(sampled_at) from campaign_progress)",
        (seconds_ago,),
    )


def pay(connection: Connection, run: Run, seq: int) -> None:
    connection.execute("update money_share set leased_until = null")
    lease = acquire_share(connection, run.token, run.holder, lease_s=9.0)
    assert lease is not None
    assert len(claim_payments(connection, run.token, lease.token, [seq])) == 1
    paid = Change(seq, "SUCCESS", lease.token, 1, maybe_credited=False, transaction_id=f"t{seq}")
    record_results(connection, run.token, 0, [], [paid])


def test_nothing_is_found_where_nothing_runs(connection: Connection, run: Run) -> None:
    sample(connection, run, TEN_MINUTES_S + 1)
    assert found(connection) == ["STANDSTILL"]
    stop_run(connection, 1, actor="kim")
    hold(connection, TEN_MINUTES_S + 1)
    assert found(connection) == []


def test_a_job_is_gone_when_its_lease_has_passed_and_not_before(connection: Connection, run: Run) -> None:
    connection.execute("update campaign_run set driver_until = clock_timestamp() + interval '10 s'")
    assert found(connection) == []
    sample(connection, run, TEN_MINUTES_S + 1)  # that nothing moves is no second trouble
    connection.execute("update campaign_run set driver_until = clock_timestamp() - interval '1 ms'")
    (gone,) = find_alerts(connection)
    assert (gone.kind, gone.campaign_id, gone.name) == ("DRIVER_GONE", 1, "설날")
    assert (gone.since,) == connection.execute("select driver_until from campaign_run").fetchone()
    assert find_alerts(connection) == [gone], "its key stays"
    connection.execute("update campaign_run set driver_until = driver_until - interval '1 s'")
    assert find_alerts(connection)[0].key != gone.key, "another lease, another trouble"


def test_a_hold_is_told_after_ten_minutes_with_who_and_why(connection: Connection, run: Run) -> None:
    hold(connection, TEN_MINUTES_S - 5)
    assert found(connection) == []
    hold(connection, TEN_MINUTES_S + 1)
    (held,) = find_alerts(connection)
    assert (held.kind, held.campaign_id, held.who, held.why, held.until) == ("ON_HOLD", 1, "park", "money asked", None)
    assert find_alerts(connection) == [held]
    hold(connection, TEN_MINUTES_S + 9)
    assert find_alerts(connection)[0].key != held.key, "set anew"
    set_tps(connection, tps=1, actor="park", reason=None, until=None)
    connection.execute("update money_limit set set_at = set_at - interval '1 h'")
    assert found(connection) == []


def test_a_hold_from_before_the_start_counts_from_the_start(connection: Connection, run: Run) -> None:
    hold(connection, 9 * TEN_MINUTES_S)
    connection.execute("update campaign_run set started_at = clock_timestamp() - interval '9 min'")
    assert found(connection) == []
    connection.execute("update campaign_run set started_at = clock_timestamp() - interval '11 min'")
    assert found(connection) == ["ON_HOLD"]


def test_a_hold_that_ends_by_itself_is_told_with_its_end_and_not_once_that_has_come(
    connection: Connection, run: Run
) -> None:
    hold(connection, TEN_MINUTES_S + 1, until=datetime(2999, 1, 1, tzinfo=UTC))
    assert [one.until for one in find_alerts(connection)] == [datetime(2999, 1, 1, tzinfo=UTC)]
    hold(connection, TEN_MINUTES_S + 1, until=UNTIL)
    assert find_alerts(connection) == []


def test_a_standstill_is_told_ten_minutes_after_the_first_sample_without_a_new_end(
    connection: Connection, run: Run
) -> None:
    sample(connection, run, 40 * 60)
    pay(connection, run, 1)
    assert found(connection) == [], "a payment ended since the latest sample, nobody knows when"
    sample(connection, run, TEN_MINUTES_S - 5)
    assert found(connection) == []
    sample(connection, run, TEN_MINUTES_S + 1)
    sample(connection, run, 1)
    (standing,) = find_alerts(connection)
    since = connection.execute("select sampled_at from campaign_progress order by 1 offset 1 limit 1").fetchone()
    assert (standing.kind, standing.campaign_id, (standing.since,)) == ("STANDSTILL", 1, since)
    assert find_alerts(connection) == [standing]
    pay(connection, run, 2)
    assert found(connection) == []


def test_a_hold_is_no_standstill_and_the_time_of_it_does_not_count(connection: Connection, run: Run) -> None:
    sample(connection, run, 50 * 60)
    set_tps(connection, tps=0, actor="park", reason=None, until=None)
    assert found(connection) == [], "a hold of this moment"
    sample(connection, run, 5 * 60)
    set_tps(connection, tps=100, actor="park", reason=None, until=None)
    sample(connection, run, 4 * 60)
    assert found(connection) == [], "until five minutes ago it was held"
    connection.execute("update campaign_progress set sampled_at = sampled_at - interval '7 min'")
    assert found(connection) == ["STANDSTILL"]


def test_a_check_needs_no_more_than_a_readers_login_and_writes_nothing(
    connection: Connection, run: Run, database_url: str
) -> None:
    make_roles(database_url)
    sample(connection, run, TEN_MINUTES_S + 1)
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
    trouble = Alert(kind, "key", 3, "설날\n{0}", UNTIL, "park\x1b", "money {asked}\u202e", UNTIL)  # type: ignore[arg-type]
    in_korean = alert_sentence(trouble, "Asia/Seoul", "ko")
    in_english = alert_sentence(trouble, "Asia/Seoul", "en")
    assert in_korean.startswith("캠페인 3 (설날\\n{0}): ")
    assert in_english.startswith("Campaign 3 (설날\\n{0}) ")
    assert korean in in_korean
    assert english in in_english
    for sentence in (in_korean, in_english):
        assert next_step in sentence
        assert ("money {asked}\\u202e" in sentence) == (kind == "ON_HOLD")
    if kind == "ON_HOLD":
        assert "2026-01-31 18:00:00까지" in in_korean
        bare = Alert("ON_HOLD", "key", 3, "n", UNTIL, "park", None, None)
        assert "(no reason given)" in alert_sentence(bare, "Asia/Seoul", "en")
