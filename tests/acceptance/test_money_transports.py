"""Both clients of money against real sockets: every end a call can have, and every wire send accounted for."""

import gzip
import json
import socket
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID

import pytest
import trustme

from bulkpoint.errors import UsageError
from bulkpoint.money.clients import make_transport
from bulkpoint.money.contract import MoneyV1, PointsCall
from bulkpoint.money.curl_transport import QUIET_S, CurlTransport
from bulkpoint.money.idle import IdleLimit
from bulkpoint.money.requests_transport import RequestsTransport
from bulkpoint.money.transport import NO_HEADERS, Reply, Transport
from bulkpoint.money.trust import Trust
from bulkpoint.rules.answers import CallTrouble
from bulkpoint.rules.causes import Cause
from bulkpoint.settings import load_settings
from tests.world.raw_server import Answer, serve_raw_by
from tests.world.refusals import refused
from tests.world.waiting import wait_for

CONNECT_TIMEOUT_S = 0.4
TIMEOUT_S = 0.6
LATE_S = 0.5  # what a loaded machine may add
KEY = UUID("6f1a2b3c-0000-5000-8000-000000000001")
CALL = PointsCall(KEY, 7, "member-1", 1500, "설 선물")
MONEY = MoneyV1({"token": "canary-token"})
CREDITED = b'{"transaction_id":"t-1"}'


def http(status: int, body: bytes = b"{}", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} Any", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def always(answer: bytes) -> Answer:
    def send(connection: socket.socket, _number: int) -> bool:
        connection.sendall(answer)
        return True

    return send


def nothing_more(connection: socket.socket, _number: int) -> bool:
    """Wait until the client gives up."""
    connection.recv(1)
    return False


class Client:
    """A transport, and a gate that counts the wire sends it was asked for."""

    def __init__(
        self,
        make: type[CurlTransport] | type[RequestsTransport],
        url: str,
        ca_file: Path | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self.transport: Transport = make(
            url, Trust(ca_file), IdleLimit(), connect_timeout_s=CONNECT_TIMEOUT_S, timeout_s=timeout_s
        )
        self.asked = 0
        self.granted = 0
        self.open = True
        self.headers = NO_HEADERS
        self.cause: Cause | None = None

    def on_wire(self) -> bool:
        self.asked += 1
        self.granted += self.open
        return self.open

    def pay(self) -> Reply:
        """The reply without its headers and its cause, which have tests of their own."""
        reply = self.transport.send(MONEY.pay(CALL), on_wire=self.on_wire)
        self.headers, self.cause = reply.headers, reply.cause
        return reply._replace(headers=NO_HEADERS, cause=None)

    def look_up(self) -> Reply:
        return self.transport.send(MONEY.look_up(CALL), on_wire=self.on_wire)


MakeClient = Callable[..., Client]


@pytest.fixture(params=[CurlTransport, RequestsTransport], ids=["curl", "requests"])
def client_of(request: pytest.FixtureRequest) -> Iterator[MakeClient]:
    made: list[Client] = []

    def make(url: str, ca_file: Path | None = None, timeout_s: float = TIMEOUT_S) -> Client:
        made.append(Client(request.param, url, ca_file, timeout_s))
        return made[-1]

    yield make
    for client in made:
        client.transport.close()


@pytest.mark.parametrize("status", [200, 201])
def test_a_credit_comes_back_with_its_body(client_of: MakeClient, status: int) -> None:
    with serve_raw_by(always(http(status, CREDITED))) as server:
        client = client_of(server.url)
        assert client.pay() == Reply(status, CREDITED)
        assert len(server.requests) == client.granted == 1


def test_the_request_is_what_the_contract_says(client_of: MakeClient) -> None:
    with serve_raw_by(always(http(200, CREDITED))) as server:
        client_of(server.url).pay()
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    request_line, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    assert request_line == "POST /v1/points HTTP/1.1"
    assert headers["idempotency-key"] == str(KEY)
    assert headers["content-type"] == "application/json"
    assert headers["authorization"] == "Bearer canary-token"
    assert headers["user-agent"].startswith("bulkpoint/")
    assert headers.get("accept-encoding", "identity") == "identity"
    assert "expect" not in headers
    assert json.loads(body) == {"campaign_id": 7, "member_id": "member-1", "amount": 1500, "reason": "설 선물"}


def test_calls_and_look_ups_take_turns_on_one_connection(client_of: MakeClient) -> None:
    with serve_raw_by(always(http(200, CREDITED))) as server:
        client = client_of(server.url)
        for _ in range(3):
            assert client.pay().status == 200
            assert client.look_up().status == 200
        assert server.connections == 1
        assert [sent.split(b" HTTP", 1)[0] for sent in server.requests[:2]] == [
            b"POST /v1/points",
            b"GET /v1/points/" + str(KEY).encode(),
        ]
        assert all(sent.endswith(b"\r\n\r\n") for sent in server.requests[1::2]), "a look-up has no body"
        assert len(set(server.requests[::2])) == 1, "every try of a payment is the same"
        assert len(server.requests) == client.granted == 6


@pytest.mark.parametrize("status", [400, 401, 404, 409, 422, 429, 500, 503])
def test_a_refusal_is_an_answer_like_any_other(client_of: MakeClient, status: int) -> None:
    with serve_raw_by(always(http(status, b'{"code":"NO"}', "retry-AFTER:  7 "))) as server:
        client = client_of(server.url)
        assert client.pay() == client.pay() == Reply(status, b'{"code":"NO"}', "7")
        assert len(server.requests) == client.granted == 2


def test_an_interim_answer_is_passed_over(client_of: MakeClient) -> None:
    with serve_raw_by(always(b"HTTP/1.1 100 Continue\r\n\r\n" + http(429, b"{}", "Retry-After: 9"))) as server:
        assert client_of(server.url).pay() == Reply(429, b"{}", "9")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(client_of: MakeClient, status: int) -> None:
    with serve_raw_by(always(http(200, CREDITED))) as elsewhere:
        with serve_raw_by(always(http(status, b"", f"Location: {elsewhere.url}/v1/points"))) as server:
            client = client_of(server.url)
            reply = client.pay()
            assert (reply.status, reply.trouble) == (status, None)
            assert len(server.requests) == client.granted == 1
        assert elsewhere.connections == 0


def test_a_reset_after_the_request_was_read_is_not_a_refusal(client_of: MakeClient) -> None:
    def reset(connection: socket.socket, _number: int) -> bool:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return False

    with serve_raw_by(reset) as server:
        client = client_of(server.url)
        reply = client.pay()
        assert (reply.status, reply.trouble) == (None, CallTrouble.RESET)
        assert len(server.requests) == client.granted == 1


@pytest.mark.parametrize("linger", [b"", struct.pack("ii", 1, 0)], ids=["closed", "reset"])
def test_a_reply_lost_on_a_reused_connection_is_not_sent_again_behind_our_back(
    client_of: MakeClient, linger: bytes
) -> None:
    def lose_the_second(connection: socket.socket, number: int) -> bool:
        if number == 2:
            if linger:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            return False
        connection.sendall(http(200, CREDITED))
        return True

    with serve_raw_by(lose_the_second) as server:
        client = client_of(server.url)
        assert client.pay().status == 200
        reply = client.pay()
        assert reply.status is None
        assert reply.trouble in {CallTrouble.SENT_TWICE, CallTrouble.RESET}
        assert client.asked == client.granted == 2
        assert client.pay().status == 200
        time.sleep(0.05)  # a send of its own would have arrived by now
        assert len(server.requests) == client.granted == 3


def test_a_connection_that_was_closed_while_idle_costs_nothing(client_of: MakeClient) -> None:
    def once(connection: socket.socket, _number: int) -> bool:
        connection.sendall(http(200, CREDITED))
        return False

    with serve_raw_by(once) as server:
        client = client_of(server.url)
        for _ in range(3):
            assert client.pay().status == 200
            wait_for(server.settled, "the close")
            time.sleep(2 * QUIET_S)  # then the connection is looked at before it is used again
        assert len(server.requests) == client.granted == client.asked == 3


def test_a_refused_connection_sends_nothing(client_of: MakeClient) -> None:
    with serve_raw_by(nothing_more) as server:
        pass
    client = client_of(server.url)
    reply = client.pay()
    assert (reply.status, reply.trouble, client.asked) == (None, CallTrouble.NOT_CONNECTED, 0)
    assert "refused" in (reply.detail or "").lower() or "connect" in (reply.detail or "").lower()


def test_a_name_that_does_not_resolve_sends_nothing(client_of: MakeClient) -> None:
    client = client_of("http://money.invalid")
    assert client.pay().trouble is CallTrouble.NOT_CONNECTED
    assert client.asked == 0


def test_a_server_that_never_shakes_hands_sends_nothing(client_of: MakeClient) -> None:
    with serve_raw_by(nothing_more) as server:
        client = client_of(server.url.replace("http:", "https:"), timeout_s=5)
        began = time.monotonic()
        assert client.pay().trouble is CallTrouble.NOT_CONNECTED
        assert time.monotonic() - began < CONNECT_TIMEOUT_S + LATE_S
        assert client.asked == 0


def test_a_black_hole_ends_with_the_time_limit(client_of: MakeClient) -> None:
    with serve_raw_by(nothing_more) as server:
        client = client_of(server.url)
        began = time.monotonic()
        reply = client.pay()
        assert TIMEOUT_S * 0.9 < time.monotonic() - began < TIMEOUT_S + LATE_S
        assert (reply.status, reply.trouble) == (None, CallTrouble.TIMED_OUT)
        assert len(server.requests) == client.granted == 1


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"HTTP/1.1 200 OK\r\n", None),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n", 200),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 200),
    ],
    ids=["header", "body", "chunked"],
)
def test_a_slow_drip_ends_with_the_time_limit(client_of: MakeClient, head: bytes, status: int | None) -> None:
    def drip(connection: socket.socket, _number: int) -> bool:
        connection.sendall(head)
        for _ in range(30):
            time.sleep(0.1)
            connection.sendall(b"1\r\nx\r\n" if b"chunked" in head else b"x")
        return False

    with serve_raw_by(drip) as server:
        client = client_of(server.url)
        began = time.monotonic()
        reply = client.pay()
        assert time.monotonic() - began < TIMEOUT_S + LATE_S
        assert reply.trouble is CallTrouble.TIMED_OUT
        assert status is None or reply.status == status
        assert client.granted == 1


@pytest.mark.parametrize("framing", ["Content-Length: 10000000", "Transfer-Encoding: chunked", "Connection: close"])
def test_an_answer_of_ten_megabytes_is_not_read(client_of: MakeClient, framing: str) -> None:
    sent = 0

    def flood(connection: socket.socket, _number: int) -> bool:
        nonlocal sent
        connection.sendall(f"HTTP/1.1 200 OK\r\n{framing}\r\n\r\n".encode())
        piece = b"x" * 10_000
        for _ in range(1000):
            connection.sendall(b"2710\r\n" + piece + b"\r\n" if "chunked" in framing else piece)
            sent += len(piece)
        return False

    with serve_raw_by(flood) as server:
        client = client_of(server.url)
        reply = client.pay()
        assert (reply.status, reply.body, reply.trouble) == (200, b"", CallTrouble.TOO_LARGE)
        assert sent < 10_000_000
        assert client.granted == 1


def test_endless_header_lines_are_not_read(client_of: MakeClient) -> None:
    sent = 0

    def flood(connection: socket.socket, _number: int) -> bool:
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        nonlocal sent
        for _ in range(20_000):
            connection.sendall(b"X-Filler: " + b"x" * 1_000 + b"\r\n")
            sent += 1_000
        return False

    with serve_raw_by(flood) as server:
        reply = client_of(server.url).pay()
        assert reply.trouble in {CallTrouble.TOO_LARGE, CallTrouble.GARBLED, CallTrouble.RESET}
        assert reply.body == b""
        assert sent < 20_000_000


def test_a_page_for_people_is_no_credit(client_of: MakeClient) -> None:
    with serve_raw_by(always(http(200, b"<html>It works!</html>", "Content-Type: text/html"))) as server:
        reply = client_of(server.url).pay()
        assert reply == Reply(200, b"<html>It works!</html>")
        assert MONEY.read_pay(CALL, reply) is None


def test_an_answer_is_not_unpacked(client_of: MakeClient) -> None:
    packed = gzip.compress(CREDITED)
    with serve_raw_by(always(http(200, packed, "Content-Encoding: gzip"))) as server:
        reply = client_of(server.url).pay()
        assert reply == Reply(200, packed)
        assert MONEY.read_pay(CALL, reply) is None


def test_an_answer_that_is_not_http_is_perhaps_a_credit(client_of: MakeClient) -> None:
    with serve_raw_by(always(b"-ERR what?\r\n\r\n")) as server:
        client = client_of(server.url)
        assert client.pay().trouble is CallTrouble.GARBLED
        assert client.granted == 1


def test_an_answer_cut_short_keeps_its_status(client_of: MakeClient) -> None:
    def cut(connection: socket.socket, _number: int) -> bool:
        connection.sendall(http(200, CREDITED)[:-5])
        return False

    with serve_raw_by(cut) as server:
        client = client_of(server.url)
        reply = client.pay()
        assert (reply.status, reply.body, reply.trouble) == (200, b"", CallTrouble.RESET)
        assert len(server.requests) == client.granted == 1


def test_a_body_that_ends_with_the_connection_is_whole(client_of: MakeClient) -> None:
    def unframed(connection: socket.socket, _number: int) -> bool:
        connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + CREDITED)
        return False

    with serve_raw_by(unframed) as server:
        assert client_of(server.url).pay() == Reply(200, CREDITED)


def test_a_closed_gate_keeps_the_call_here(client_of: MakeClient) -> None:
    with serve_raw_by(always(http(200, CREDITED))) as server:
        client = client_of(server.url)
        client.open = False
        for _ in range(2):
            assert client.pay().trouble is CallTrouble.NOT_SENT
        assert server.requests == []
        client.open = True
        assert client.pay().status == 200
        assert (client.asked, client.granted, len(server.requests)) == (3, 1, 1)


def test_the_gate_is_asked_once_the_connection_is_ready(client_of: MakeClient) -> None:
    authority = trustme.CA()
    with (
        serve_raw_by(always(http(200, CREDITED)), authority.issue_cert("127.0.0.1")) as server,
        authority.cert_pem.tempfile() as ca_file,
    ):
        client = client_of(server.url, Path(ca_file))
        connections_when_asked: list[int] = []

        def on_wire() -> bool:
            time.sleep(0.02)
            connections_when_asked.append(server.connections)
            assert server.requests == []
            return True

        client.transport.send(MONEY.pay(CALL), on_wire=on_wire)
        assert connections_when_asked == [1]


@pytest.mark.parametrize(
    "error", [OSError("the gate broke"), KeyboardInterrupt()], ids=["OSError", "KeyboardInterrupt"]
)
def test_what_the_gate_raises_comes_out_and_the_call_stays(client_of: MakeClient, error: BaseException) -> None:
    def on_wire() -> bool:
        raise error

    with serve_raw_by(always(http(200, CREDITED))) as server:
        client = client_of(server.url)
        with pytest.raises(type(error)) as raised:
            client.transport.send(MONEY.pay(CALL), on_wire=on_wire)
        assert raised.value is error
        assert server.requests == []
        assert client.pay().status == 200


def test_proxies_and_passwords_of_the_environment_are_ignored(
    client_of: MakeClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password canary\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    with serve_raw_by(always(http(502))) as proxy, serve_raw_by(always(http(200, CREDITED))) as server:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        client = client_of(server.url)
        assert client.transport.send(MoneyV1({}).pay(CALL), on_wire=client.on_wire).status == 200
        assert proxy.connections == 0
        assert b"uthorization" not in server.requests[0]


def test_cookies_are_not_kept(client_of: MakeClient) -> None:
    with serve_raw_by(always(http(200, CREDITED, "Set-Cookie: session=1; Path=/"))) as server:
        client = client_of(server.url)
        client.pay()
        client.pay()
        assert b"ookie" not in server.requests[1]


def test_a_server_of_the_private_authority_is_trusted(client_of: MakeClient) -> None:
    authority = trustme.CA()
    with (
        serve_raw_by(always(http(200, CREDITED)), authority.issue_cert("127.0.0.1")) as server,
        authority.cert_pem.tempfile() as ca_file,
    ):
        client = client_of(server.url, Path(ca_file))
        for _ in range(5):
            assert client.pay() == Reply(200, CREDITED)
        assert server.connections == 1


@pytest.mark.parametrize("wrong", ["public authorities", "another authority", "another host"])
def test_a_server_that_cannot_prove_itself_gets_nothing(client_of: MakeClient, wrong: str) -> None:
    authority = trustme.CA()
    host = "money.example.com" if wrong == "another host" else "127.0.0.1"
    trusted = trustme.CA() if wrong == "another authority" else authority
    with (
        serve_raw_by(always(http(200, CREDITED)), authority.issue_cert(host)) as server,
        trusted.cert_pem.tempfile() as ca_file,
    ):
        client = client_of(server.url, None if wrong == "public authorities" else Path(ca_file))
        reply = client.pay()
        assert (reply.status, reply.trouble) == (None, CallTrouble.NOT_CONNECTED)
        assert client.asked == 0
        assert server.requests == []
        assert "certificate" in (reply.detail or "").lower()


def test_a_ca_file_without_certificates_is_refused_at_once(client_of: MakeClient, tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("not a certificate\n")
    for name in ("empty.pem", "missing.pem"):
        with refused("BULKPOINT_MONEY_CA_FILE", UsageError):
            client_of("https://127.0.0.1:1", tmp_path / name)


@pytest.mark.parametrize(("name", "kind"), [("curl", CurlTransport), ("requests", RequestsTransport)])
def test_the_settings_choose_the_transport(name: str, kind: type) -> None:
    transport = make_transport(load_settings({"BULKPOINT_MONEY_TRANSPORT": name}))
    assert type(transport) is kind
    transport.close()
