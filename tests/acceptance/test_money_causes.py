"""Why money could not be reached, or its answer not used: both clients give each situation the same name."""

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from bulkpoint.money.transport import Headers
from bulkpoint.rules.causes import Cause, cause_of_answer
from tests.acceptance.test_money_transports import Client, MakeClient, always, client_of, http, nothing_more
from tests.world.raw_server import serve_raw_by

__all__ = ["client_of"]  # a fixture


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def ca_file(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    path.write_bytes(authority.cert_pem.bytes())
    return path


def test_a_port_that_nobody_listens_on_is_a_refused_connection(client_of: MakeClient) -> None:
    with serve_raw_by(nothing_more) as server:
        pass
    assert cause_at(client_of(server.url)) is Cause.CONNECTION_REFUSED


def test_a_name_that_nobody_knows_is_not_resolved(client_of: MakeClient) -> None:
    assert cause_at(client_of("http://money.invalid")) is Cause.NAME_NOT_RESOLVED


def test_a_network_without_a_route_is_named(client_of: MakeClient) -> None:
    assert cause_at(client_of("http://255.255.255.255:9")) is Cause.NO_ROUTE


def test_a_handshake_that_never_ends_is_no_connection_in_time(client_of: MakeClient) -> None:
    with serve_raw_by(nothing_more) as server:
        client = client_of(server.url.replace("http:", "https:"), timeout_s=5)
        assert cause_at(client) is Cause.CONNECT_TIMED_OUT


def test_an_unknown_ca_an_expired_certificate_and_another_name_are_told_apart(
    client_of: MakeClient, authority: trustme.CA, ca_file: Path
) -> None:
    now = datetime.now(UTC)
    day = timedelta(days=1)
    certificates = {
        Cause.CERTIFICATE_NOT_TRUSTED: trustme.CA().issue_cert("127.0.0.1"),
        Cause.CERTIFICATE_EXPIRED: authority.issue_cert("127.0.0.1", not_after=now - day),
        Cause.CERTIFICATE_NOT_YET_VALID: authority.issue_cert("127.0.0.1", not_before=now + day),
        Cause.CERTIFICATE_OF_ANOTHER_NAME: authority.issue_cert("money.example"),
    }
    for cause, certificate in certificates.items():
        with serve_raw_by(always(http(200)), certificate) as server:
            assert cause_at(client_of(server.url, ca_file)) is cause


def test_a_plain_port_and_a_server_that_wants_a_certificate_are_named(
    client_of: MakeClient, authority: trustme.CA, ca_file: Path
) -> None:
    with serve_plain_400() as port:
        assert cause_at(client_of(f"https://127.0.0.1:{port}", ca_file)) is Cause.NOT_TLS
    with serve_raw_by(always(http(200)), authority.issue_cert("127.0.0.1")) as server:
        assert server.tls is not None
        server.tls.maximum_version, server.tls.verify_mode = ssl.TLSVersion.TLSv1_2, ssl.CERT_REQUIRED
        assert cause_at(client_of(server.url, ca_file)) is Cause.TLS_FAILED


@contextlib.contextmanager
def serve_plain_400() -> Iterator[int]:
    """A port that answers a TLS handshake in plain HTTP, as a server does whose port is for http."""

    def answer(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65_536)
            connection.sendall(http(400))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer, args=[listener])
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        (b"", Cause.CLOSED),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", Cause.CUT),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc", Cause.CUT),
        (b"SSH-2.0-OpenSSH_9.6\r\n", Cause.GARBLED),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n" + b"x" * 100_000, Cause.TOO_LARGE),
    ],
    ids=["closed", "cut", "cut in a chunk", "not HTTP", "too large"],
)
def test_a_call_that_left_and_got_no_whole_answer_says_why(client_of: MakeClient, answer: bytes, cause: Cause) -> None:
    def once(connection: socket.socket, _number: int) -> bool:
        connection.sendall(answer)
        return False

    with serve_raw_by(once) as server:
        assert cause_at(client_of(server.url)) is cause


def test_a_reset_and_a_silence_after_the_request_are_named(client_of: MakeClient) -> None:
    def reset(connection: socket.socket, _number: int) -> bool:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return False

    with serve_raw_by(reset) as server:
        assert cause_at(client_of(server.url)) is Cause.RESET
    with serve_raw_by(nothing_more) as server:
        assert cause_at(client_of(server.url)) is Cause.TIMED_OUT


def test_an_answer_has_no_cause_and_all_of_its_headers(client_of: MakeClient) -> None:
    interim = b"HTTP/1.1 100 Continue\r\nX-Interim: 1\r\n\r\n"
    answer = interim + http(200, b"{}", "X-Two: a", "x-tWO:  b ", "Content-Type: text/plain")
    with serve_raw_by(always(answer)) as server:
        client = client_of(server.url)
        assert cause_at(client) is None
        assert dict(client.headers) == {"content-length": "2", "x-two": "a, b", "content-type": "text/plain"}
        assert client.headers["CONTENT-type"] == "text/plain"
        assert "x-interim" not in client.headers


def test_a_header_that_goes_on_in_the_next_line_is_one_header() -> None:
    assert dict(Headers([b"HTTP/1.1 200 OK\r\n", b"A: 1\r\n", b"  2\r\n", b"no colon\r\n"])) == {"a": "1 2"}


@pytest.mark.parametrize(
    ("status", "body", "cause"),
    [
        (301, b"<html>", Cause.REDIRECTED),
        (200, b" \r\n<!DOCTYPE html>", Cause.PAGE),
        (200, b"", Cause.EMPTY),
        (200, b"{}", Cause.NOT_THE_CONTRACT),
    ],
)
def test_an_answer_that_is_not_the_money_apis_has_a_cause(status: int, body: bytes, cause: Cause) -> None:
    assert cause_of_answer(status, body) is cause


def cause_at(client: Client) -> Cause | None:
    client.pay()
    return client.cause
