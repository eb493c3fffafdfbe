"""`reconcile` before a money API without an answer about some payments: the others are reached, the rest counted."""

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from bulkpoint.errors import UnreachableError
from bulkpoint.pay import gate
from bulkpoint.reconcile import findings, look_ups
from bulkpoint.reconcile.findings import LookedUp
from bulkpoint.rules import pressure
from bulkpoint.rules.keys import idempotency_key
from bulkpoint.settings import load_settings
from bulkpoint.store.reconcile import Difference
from bulkpoint.views.sentences import sentence
from tests.world.campaigns import Campaign, World
from tests.world.refusals import refused

WITHOUT_ANSWER, WITH_ANSWER = 40, 5


class Money:
    """Answers look-ups of some keys by "not found", refuses some (403), and answers the others by an error page."""

    def __init__(self) -> None:
        self.knows: set[str] = set()
        self.refuses: set[str] = set()
        self.asked: list[str] = []
        self.url = ""


@contextmanager
def money_that_knows_some() -> Iterator[Money]:
    money = Money()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            key = self.path.rpartition("/")[2]
            money.asked.append(key)
            status, body = 502, b"<html>502</html>"
            if key in money.knows:
                status, body = 404, b'{"code":"KEY_NOT_FOUND","message":"no such key"}'
            elif key in money.refuses:
                status, body = 403, b'{"code":"NOT_YOURS","message":"not for you"}'
            self.send_response(status)
            self.send_header("Content-Type", "text/html" if status == 502 else "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        money.url = f"http://127.0.0.1:{server.server_port}"
        yield money
        server.shutdown()


@pytest.fixture
def campaign(world: World) -> Campaign:
    return in_doubt(world, WITHOUT_ANSWER + WITH_ANSWER)


def in_doubt(world: World, count: int) -> Campaign:
    campaign = world.campaign([f"m{n:04}" for n in range(count)]).begun()
    campaign.failed(count, "UNKNOWN", code="TIMED_OUT", tries=4).stopped().was_finished(seconds_ago=600)
    sent_at = world.ago(600)
    return campaign.times(range(1, count + 1), last_sent_at=sent_at, first_sent_at=sent_at - timedelta(minutes=1))


def keys_of(campaign: Campaign, count: int) -> list[str]:
    return [str(idempotency_key(campaign.run.key_namespace, f"m{n:04}")) for n in range(count)]


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (gate, pressure):
        monkeypatch.setattr(module, "PROBE_EVERY_S", 0.05)
    for module in (findings, look_ups):
        monkeypatch.setattr(module, "AGAIN_AFTER_S", 0.1)
    random.seed(7)


def reconciled(database_url: str, world: World, money: Money, **settings: str) -> tuple[LookedUp, list[Difference]]:
    differences: list[Difference] = []
    found = look_ups.look_up_in_doubt(
        world.connection,
        database_url,
        load_settings({"BULKPOINT_MONEY_URL": money.url, "BULKPOINT_BREAKER_PATIENCE_S": "3"} | settings),
        1,
        actor="tester",
        say=lambda _: None,
        report=differences.append,
    )
    return found, differences


def test_payments_without_an_answer_do_not_stand_before_those_that_have_one(
    database_url: str, world: World, campaign: Campaign
) -> None:
    keys = keys_of(campaign, WITHOUT_ANSWER + WITH_ANSWER)
    with money_that_knows_some() as money:
        money.knows = set(keys[WITHOUT_ANSWER:])
        found, differences = reconciled(database_url, world, money, BULKPOINT_BREAKER_PATIENCE_S="60")
    assert (found.not_credited, found.unknown) == (WITH_ANSWER, WITHOUT_ANSWER)
    assert {difference.kind for difference in differences} == {"NO_ANSWER"}
    assert [money.asked.count(key) for key in keys] == [4] * WITHOUT_ANSWER + [1] * WITH_ANSWER
    first_round = money.asked[: len(keys)]
    assert set(first_round) == set(keys), "all of them once before any of them twice"


def test_the_second_command_has_a_patience_of_its_own_and_says_how_many_are_left(
    database_url: str, world: World, campaign: Campaign
) -> None:
    with money_that_knows_some() as money:
        for _ in range(2):
            before = len(money.asked)
            with pytest.raises(UnreachableError) as failed:
                reconciled(database_url, world, money)
            assert len(money.asked) - before > 10, "it did not end after one call"
            assert f"payments still in doubt: {WITHOUT_ANSWER + WITH_ANSWER}" in sentence(failed.value)


def test_a_thousand_payments_without_an_answer_do_not_use_up_the_patience_of_those_behind_them(
    database_url: str, world: World
) -> None:
    campaign = in_doubt(world, 1_200)
    keys = keys_of(campaign, 1_200)
    with money_that_knows_some() as money:
        money.knows = set(keys[1_000:])
        with pytest.raises(UnreachableError) as failed:
            reconciled(database_url, world, money)
    assert [money.asked.count(key) for key in keys[1_000:]] == [1] * 200
    states = world.connection.execute("select failure_kind::text, count(*) from payment group by 1").fetchall()
    assert dict(states) == {"UNKNOWN": 1_000, "UNAVAILABLE": 200}
    assert "(last: NO_ANSWER)" in sentence(failed.value)
    assert "payments still in doubt: 1,000" in sentence(failed.value)


@pytest.mark.parametrize("place", [0, 20, 44], ids=["first", "between", "last"])
def test_a_look_up_that_is_refused_alone_is_named_and_the_others_go_on(
    database_url: str, world: World, campaign: Campaign, place: int
) -> None:
    keys = keys_of(campaign, 45)
    with money_that_knows_some() as money:
        money.refuses = {keys[place]}
        money.knows = set(keys) - money.refuses
        found, differences = reconciled(database_url, world, money)
    assert (found.not_credited, found.unknown) == (44, 1)
    assert [(one.kind, one.member_id) for one in differences] == [("REFUSED", f"m{place:04}")]


def test_many_that_are_refused_alone_do_not_keep_the_others_from_their_answer(database_url: str, world: World) -> None:
    campaign = world.campaign([f"m{n:04}" for n in range(60)]).begun().claimed([1]).paid([1])
    campaign.failed(range(2, 61), "UNKNOWN", code="TIMED_OUT", tries=4).stopped().was_finished(seconds_ago=600)
    sent_at = world.ago(600)
    campaign.times(range(2, 61), last_sent_at=sent_at, first_sent_at=sent_at - timedelta(minutes=1))
    keys = keys_of(campaign, 60)
    with money_that_knows_some() as money:
        money.refuses = set(keys[1:50])
        money.knows = set(keys) - money.refuses
        found, differences = reconciled(database_url, world, money)
    assert (found.not_credited, found.unknown) == (10, 49)
    assert {one.kind for one in differences} == {"REFUSED"}
    assert len(money.asked) < 60 * 5


def test_the_only_one_in_doubt_that_is_refused_is_told_from_a_refused_token_by_a_payment_that_was_paid(
    database_url: str, world: World
) -> None:
    campaign = world.campaign(["m0000", "m0001"]).begun().claimed([1]).paid([1])
    campaign.failed([2], "UNKNOWN", code="TIMED_OUT", tries=4).stopped().was_finished(seconds_ago=600)
    keys = keys_of(campaign, 2)
    with money_that_knows_some() as money:
        money.refuses, money.knows = {keys[1]}, {keys[0]}
        _, (difference,) = reconciled(database_url, world, money)
        assert difference.kind == "REFUSED"
        assert money.asked.count(keys[0]) == 1
        money.refuses, money.knows = set(keys), set()
        with refused("Money refuses our token to look payments up"):
            reconciled(database_url, world, money)


@pytest.mark.parametrize("count", [1, 45])
def test_a_token_that_is_refused_for_all_ends_it_soon(database_url: str, world: World, count: int) -> None:
    campaign = in_doubt(world, count)
    with money_that_knows_some() as money:
        money.refuses = set(keys_of(campaign, count))
        with refused("Money refuses our token to look payments up"):
            reconciled(database_url, world, money)
        assert len(money.asked) <= 3 * count + 32
