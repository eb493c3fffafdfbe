"""A worker still at work uses the shares that finished ones gave back: the limit is used to the last payment."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest

from bulkpoint.campaigns.tps import set_tps
from bulkpoint.pay.gate import LeasedGate, boot_clock
from bulkpoint.pay.lease import Lease, LeaseTerms, take_share
from bulkpoint.rules.answers import Overload
from bulkpoint.rules.promises import MoneyPromises
from bulkpoint.store.connect import Connection
from bulkpoint.store.share import RunToken, acquire_share, renew_share
from tests.world.campaigns import Campaign, World
from tests.world.waiting import wait_for

PROMISES = MoneyPromises(key_retention_h=24.0, settle_s=1.0, connect_timeout_s=1.0, timeout_s=1.0)


@pytest.fixture
def campaign(connection: Connection) -> Campaign:
    """RUNNING with three shares of 31 TPS: 11, 10 and 10."""
    return World(connection, tps=31, shares=3).campaign(3).begun()


@contextmanager
def leased(connection: Connection, database_url: str, run: RunToken | None) -> Iterator[Lease]:
    terms = LeaseTerms(database_url, "tests", run, PROMISES)
    lease = take_share(connection, terms, partial(LeasedGate, guard_s=0.01, counts_from="send"))
    assert lease is not None
    try:
        yield lease
    finally:
        lease.stop()
        lease.release(connection)


def wait_until_permits(lease: Lease, permits: int) -> None:
    wait_for(lambda: lease.gate.permits == permits, lambda: f"{permits} permits, there are {lease.gate.permits}")


def send_all_it_may(lease: Lease) -> int:
    """Calls that leave without waiting."""
    sent = 0
    while lease.gate.try_enter() == 0:
        if lease.gate.pass_out() is None:
            lease.gate.abandon()
            break
        sent += 1
    return sent


def test_a_share_that_nobody_else_takes_is_used_by_a_worker_still_at_work(
    connection: Connection, database_url: str, campaign: Campaign
) -> None:
    run = campaign.run.token
    with leased(connection, database_url, run) as at_work:
        with leased(connection, database_url, run), leased(connection, database_url, run):
            assert at_work.gate.permits == 11
        wait_until_permits(at_work, 31)
        assert connection.execute("select count(distinct holder), count(*) from live_share").fetchone() == (1, 3)
    assert connection.execute("select count(*) from live_share").fetchone() == (0,), "all were given back"


def test_its_permits_count_at_once(
    connection: Connection, database_url: str, campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []

    def noted(name: str, what: Callable[..., Any]) -> Callable[..., Any]:
        def note(*arguments: Any, **named: Any) -> Any:
            done.append(f"{name} {named['rate']}" if "rate" in named else name)
            return what(*arguments, **named)

        return note

    with leased(connection, database_url, campaign.run.token) as at_work:
        with leased(connection, database_url, campaign.run.token):
            pass
        monkeypatch.setattr("bulkpoint.pay.lease.renew_share", noted("renew", renew_share))
        monkeypatch.setattr("bulkpoint.pay.lease.acquire_share", noted("take", acquire_share))
        monkeypatch.setattr(at_work.gate, "learn", noted("learn", at_work.gate.learn))
        wait_until_permits(at_work, 21)
    taken = done.index("take")
    assert done[taken : taken + 2] == ["take", "learn 21"], "no renewal in between"


def test_what_its_last_holder_sent_still_counts(connection: Connection, database_url: str, campaign: Campaign) -> None:
    run = campaign.run.token
    with leased(connection, database_url, run) as at_work:
        with leased(connection, database_url, run) as finished:
            in_a_moment = finished.clock.stamp(boot_clock()) + 60.0
        connection.execute(  # as if its sends were of just now, again and again
            "update money_share set handover = jsonb_build_object('sent_at', array_fill(%s::float8, array[10]))"
            " where share = %s",
            (in_a_moment, finished.token.share),
        )
        wait_until_permits(at_work, 21)
        assert len(at_work.gate.remembered()) == 10


def test_its_sends_are_dealt_to_the_next_holders_each_once(
    connection: Connection, database_url: str, campaign: Campaign
) -> None:
    run = campaign.run.token
    with leased(connection, database_url, run) as at_work:
        with leased(connection, database_url, run):
            pass
        wait_until_permits(at_work, 21)
        at_work.gate.remember([boot_clock() + number / 1000 for number in range(7)])
    handed_over = connection.execute(
        "select jsonb_array_length(handover->'sent_at') from money_share where share < 2 order by share"
    ).fetchall()
    assert handed_over == [(4,), (3,)]


def test_while_the_money_api_slows_a_share_down_each_worker_has_one(
    connection: Connection, database_url: str, campaign: Campaign
) -> None:
    run = campaign.run.token
    with leased(connection, database_url, run) as at_work:
        with leased(connection, database_url, run):
            pass
        wait_until_permits(at_work, 21)
        sent = send_all_it_may(at_work)
        assert sent > 0
        at_work.gate.observe(Overload.THROTTLED, sent_at=boot_clock())
        wait_until_permits(at_work, 11)
        wait_for(
            lambda: connection.execute("select count(*) from live_share").fetchone() == (1,), "the share given back"
        )
        (handed_over,) = connection.execute(
            "select jsonb_array_length(handover->'sent_at') from money_share where share = 1"
        ).fetchone() or (0,)
        assert handed_over >= sent, "they count for the next holder too"


def test_an_idle_share_that_is_lost_leaves_the_worker_with_its_own(
    connection: Connection, database_url: str, campaign: Campaign
) -> None:
    run = campaign.run.token
    with leased(connection, database_url, run) as at_work:
        with leased(connection, database_url, run):
            pass
        wait_until_permits(at_work, 21)
        connection.execute("update money_share set epoch = epoch + 1 where share = 1")
        wait_until_permits(at_work, 11)
        assert not at_work.over


def test_a_new_limit_counts_for_all_that_a_worker_leases(
    connection: Connection, database_url: str, campaign: Campaign
) -> None:
    run = campaign.run.token
    with leased(connection, database_url, run) as at_work:
        with leased(connection, database_url, run):
            pass
        wait_until_permits(at_work, 21)
        set_tps(connection, tps=7, actor="tester", reason=None, until=None)
        wait_until_permits(at_work, 5)


def test_shares_of_workers_that_died_and_of_look_ups_are_left_alone(
    connection: Connection, database_url: str, campaign: Campaign
) -> None:
    run = campaign.run.token
    campaign.lose(campaign.share())
    with leased(connection, database_url, run) as at_work, leased(connection, database_url, None) as looks_up:
        assert (at_work.token.share, looks_up.token.share) == (0, 1)
        wait_for(lambda: boot_clock() > at_work.clock.answered_at + 1.5, "a second and a half")
        assert (at_work.gate.permits, looks_up.gate.permits) == (11, 10)
