"""A money API that moves, and certificates that are exchanged, while calls go on."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme

from bulkpoint.money.transport import Reply
from bulkpoint.money.trust import Trust
from bulkpoint.rules.answers import CallTrouble
from bulkpoint.rules.causes import Cause
from tests.acceptance.test_wire_conformance import Client, ok
from tests.world.money import Money
from tests.world.raw_server import CLOSE, RawServer, Step, serve_raw
from tests.world.stalling_proxy import StallingProxy
from tests.world.waiting import wait_for
from tests.world.workers import crew

BUSY = Reply(503, b"")
OLD: list[Step] = [ok(b'"old"')]
DOWN: list[Step] = [b"HTTP/1.1 503 Down\r\nContent-Length: 0\r\n\r\n"]
NEW = Reply(200, b'"new"')


@pytest.fixture(params=["curl, many", "requests, many"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@contextmanager
def moved(old: RawServer, certificate: trustme.LeafCert | None = None) -> Iterator[RawServer]:
    """The old node accepts nothing any more, but keeps its connections; the new one is at the same address."""
    old.stop_listening()
    with serve_raw(lambda _: [ok(b'"new"')], certificate, port=old.port) as new:
        yield new


def test_an_api_that_moved_is_found_once_the_connections_are_made_anew(kind: str) -> None:
    with serve_raw(lambda number: OLD if number == 1 else DOWN) as old, closing(Client(kind, old.url)) as client:
        assert client.send() == Reply(200, b'"old"')
        with moved(old) as new:
            assert [client.send() for _ in range(3)] == [BUSY] * 3, "the kept connection still leads to the old node"
            client.renew()
            assert [client.send() for _ in range(3)] == [NEW] * 3
            assert (len(old.requests), len(new.requests), new.connections) == (4, 3, 1)


def test_a_call_under_way_ends_as_it_is_and_its_connection_is_not_used_again(kind: str) -> None:
    with serve_raw(lambda _: [0.05, *OLD]) as old, closing(Client(kind, old.url)) as client:
        client.before_it_leaves = client.renew
        assert client.send() == Reply(200, b'"old"')
        client.before_it_leaves = lambda: None
        assert client.send() == Reply(200, b'"old"')
        assert old.connections == 2


def test_a_ca_that_was_exchanged_is_trusted_once_it_is_read_again(kind: str, tmp_path: Path) -> None:
    first, second = trustme.CA(), trustme.CA()
    file = tmp_path / "ca.pem"
    first.cert_pem.write_to_path(str(file))
    trust = Trust(file)
    with (
        serve_raw(lambda _: OLD, first.issue_cert("127.0.0.1")) as old,
        closing(Client(kind, old.url, trust)) as client,
    ):
        assert client.send() == Reply(200, b'"old"')
        file.unlink()
        assert client.renew() is not None, "it is in the middle of a change"
        assert client.send() == Reply(200, b'"old"'), "what was read before stays in use"
        with moved(old, second.issue_cert("127.0.0.1")):
            client.renew()
            refused = Reply(None, trouble=CallTrouble.NOT_CONNECTED, cause=Cause.CERTIFICATE_NOT_TRUSTED)
            assert client.send() == refused
            second.cert_pem.write_to_path(str(file))
            assert client.renew() is None
            assert client.send() == NEW


def test_a_server_that_closes_idle_connections_after_a_while_costs_no_call(kind: str) -> None:
    """Every call comes about when the server closes: found closed, and from then on not used for that long."""
    wait_s = 0.3
    with serve_raw(lambda _: [ok(), wait_s, CLOSE]) as server, closing(Client(kind, server.url)) as client:
        replies = []
        for _ in range(6):
            replies.append(client.send())
            wait_for(server.settled, "the close")
        assert [reply.trouble for reply in replies] == [None] * 6
        assert client.idle_limit.seconds < wait_s
        assert len(server.requests) == 6


class Moved:
    """The money API, of which some calls have met only the old node."""

    def __init__(self, money: Money, old: RawServer) -> None:
        self.url = old.url
        self._money = money
        self._old = old

    def stats(self) -> dict[str, Any]:
        stats = self._money.stats()
        return stats | {"requests": stats["requests"] + len(self._old.requests)}

    def ledger(self) -> list[dict[str, Any]]:
        return self._money.ledger()


def test_a_worker_finds_an_api_that_moved_before_its_patience_ends(
    database_url: str, money: Money, tmp_path: Path
) -> None:
    with (
        serve_raw(lambda _: DOWN) as old,
        crew(
            database_url, Moved(money, old), tmp_path, members=20, tps=100, shares=1, BULKPOINT_BREAKER_PATIENCE_S="20"
        ) as its,
    ):
        worker = its.hire()
        wait_for(lambda: len(old.requests) >= 8, "the breaker opens")
        old.stop_listening()
        with StallingProxy(money.url, port=old.port):
            worker.assert_ends_well()
            assert its.halt() is None
            assert its.count("SUCCESS") > 0, "by the worker that was there when the API moved"
            its.finish()
            assert its.count("SUCCESS") == 20
