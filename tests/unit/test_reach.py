"""Whether the money API can be reached, and if not, why: in words, within bounds, and without a request."""

import os
import socket
import ssl
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from bulkpoint.errors import UsageError
from bulkpoint.money.reach import NotReached, Reached, try_to_reach
from bulkpoint.rules.causes import Cause
from tests.world.listeners import closes, is_silent, listener, port_that_answers_nobody, says, tls
from tests.world.ports import free_port
from tests.world.refusals import refused

NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> Path:
    file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    return file


def server_context(certificate: trustme.LeafCert, *protocols: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    if protocols:
        context.set_alpn_protocols(list(protocols))
    return context


def reach_port(port: int, ca_file: Path | None = None, scheme: str = "https") -> Reached | NotReached:
    return try_to_reach(f"{scheme}://127.0.0.1:{port}", ca_file, seconds_max=0.5)


def cause_of(found: Reached | NotReached) -> Cause:
    assert isinstance(found, NotReached), found
    return found.cause


def test_over_plain_http_a_connection_is_all() -> None:
    received: list[bytes] = []
    with listener(lambda connection: received.append(connection.recv(100))) as port:
        found = reach_port(port, scheme="http")
    assert isinstance(found, Reached)
    assert (found.address, found.tls) == (f"127.0.0.1:{port}", None)
    assert received == [b""], "no request was sent"


def test_over_https_the_certificate_is_checked_and_nothing_is_sent(authority: trustme.CA, ca_file: Path) -> None:
    received: list[bytes] = []
    with listener(tls(server_context(authority.issue_cert("127.0.0.1")), received)) as port:
        found = reach_port(port, ca_file)
    assert isinstance(found, Reached)
    assert found.tls == "TLSv1.3"
    assert not found.only_http2
    assert set(received) <= {b""}, "no request was sent"


Certificate = Callable[[trustme.CA], trustme.LeafCert]


@pytest.mark.parametrize(
    ("certificate", "cause"),
    [
        (lambda _: trustme.CA().issue_cert("127.0.0.1"), Cause.CERTIFICATE_NOT_TRUSTED),
        (
            lambda ours: ours.issue_cert("127.0.0.1", not_before=NOW - timedelta(2), not_after=NOW - timedelta(1)),
            Cause.CERTIFICATE_EXPIRED,
        ),
        (
            lambda ours: ours.issue_cert("127.0.0.1", not_before=NOW + timedelta(1), not_after=NOW + timedelta(2)),
            Cause.CERTIFICATE_NOT_YET_VALID,
        ),
        (lambda ours: ours.issue_cert("money.example.com"), Cause.CERTIFICATE_OF_ANOTHER_NAME),
    ],
)
def test_a_certificate_that_is_refused_is_named_by_its_cause(
    certificate: Certificate, cause: Cause, authority: trustme.CA, ca_file: Path
) -> None:
    with listener(tls(server_context(certificate(authority)), [])) as port:
        assert cause_of(reach_port(port, ca_file)) is cause


def test_a_server_of_http2_alone_is_found(authority: trustme.CA, ca_file: Path) -> None:
    certificate = authority.issue_cert("127.0.0.1")
    with listener(tls(server_context(certificate, "h2"), [])) as port:
        only_http2 = reach_port(port, ca_file)
    with listener(tls(server_context(certificate, "h2", "http/1.1"), [])) as port:
        both = reach_port(port, ca_file)
    assert isinstance(only_http2, Reached)
    assert isinstance(both, Reached)
    assert (only_http2.only_http2, both.only_http2) == (True, False)


def test_a_plain_port_is_found_by_what_it_says() -> None:
    with listener(says(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")) as port:
        assert cause_of(reach_port(port)) is Cause.NOT_TLS


def test_a_server_that_closes_or_is_silent_instead_of_shaking_hands_is_not_waited_for() -> None:
    for answer in (closes, is_silent):
        with listener(answer) as port:
            assert cause_of(reach_port(port)) is Cause.TLS_FAILED


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_port_that_nobody_listens_at_refuses(scheme: str) -> None:
    assert cause_of(reach_port(free_port(), scheme=scheme)) is Cause.CONNECTION_REFUSED


def test_a_port_that_drops_what_comes_is_given_up_in_time() -> None:
    with port_that_answers_nobody() as port:
        assert cause_of(reach_port(port, scheme="http")) is Cause.CONNECT_TIMED_OUT


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 64 + ".example", "a..b"])
def test_a_name_that_cannot_be_resolved_is_said(host: str) -> None:
    found = try_to_reach(f"http://{host}:80", None, seconds_max=2)
    assert cause_of(found) is Cause.NAME_NOT_RESOLVED


def test_a_resolver_that_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    never = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [never.wait(5)][:0])
    found = try_to_reach("http://money.example.com", None, seconds_max=0.1)
    never.set()
    assert isinstance(found, NotReached)
    assert (found.cause, found.detail) == (Cause.NAME_NOT_RESOLVED, "the resolver does not answer")


def test_every_address_of_a_name_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name with an IPv6 address that leads nowhere, before the IPv4 one that works; and with that one alone."""
    nowhere = (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("100::1", 1, 0, 0))
    with listener(closes) as port:
        works = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [nowhere, works])
        assert isinstance(try_to_reach("http://both.example", None, seconds_max=1), Reached)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [nowhere])
    assert cause_of(try_to_reach("http://six.example", None, seconds_max=0.3)) in {
        Cause.NO_ROUTE, Cause.NO_LOCAL_PORT, Cause.CONNECT_TIMED_OUT,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("content", "why"),
    [(None, "No such file"), (b"", "no certificate in it"), (b"not PEM", "no certificate in it"), ("key", "no cert")],
)
def test_a_ca_file_that_is_of_no_use_is_refused_with_why(
    content: bytes | str | None, why: str, authority: trustme.CA, tmp_path: Path
) -> None:
    file = tmp_path / "ca.pem"
    if content == "key":
        file.write_bytes(authority.private_key_pem.bytes())
    elif isinstance(content, bytes):
        file.write_bytes(content)
    with refused(f"MONEY_CA_FILE is {file}, .*{why}", UsageError):
        reach_port(1, file)


@pytest.mark.parametrize(("kind", "make"), [("a folder", Path.mkdir), ("a named pipe", os.mkfifo)])
def test_a_ca_file_that_is_no_file_is_refused_without_waiting(
    kind: str, make: Callable[[Path], None], tmp_path: Path
) -> None:
    make(tmp_path / "ca.pem")
    with refused(f"it is {kind}", UsageError):
        reach_port(1, tmp_path / "ca.pem")
