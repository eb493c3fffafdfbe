"""`bulkpoint web` as a process: where it may listen, how it says its address, its TLS, its end."""

import http.client
import json
import signal
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from bulkpoint.addresses import is_loopback
from bulkpoint.web.uploads import upload_folder
from tests.world.command_line import CommandLine
from tests.world.ports import free_port
from tests.world.tls import make_certificates


@contextmanager
def begun(bulkpoint: CommandLine, *arguments: str, **changes: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command, and the address that it printed."""
    process = bulkpoint.begin("web", "--port", "0", *arguments, **changes)
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert address, process.communicate()[1]
        yield process, address
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "page.example"])
def test_passwords_never_cross_a_network_in_the_clear(bulkpoint: CommandLine, host: str) -> None:
    ended = bulkpoint("web", "--host", host)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "without TLS the page is for this machine only" in ended.stderr
    assert "--behind-proxy" in ended.stderr


@pytest.mark.parametrize("more", [(), ("--behind-proxy",)])
def test_the_embedded_database_is_for_this_machine_only(
    bulkpoint: CommandLine, tmp_path: Path, more: tuple[str, ...]
) -> None:
    ended = bulkpoint("web", "--host", "0.0.0.0", *more, BULKPOINT_DATABASE_URL="")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "the embedded database has no logins" in ended.stderr
    assert not (tmp_path / "data").exists(), "nothing was begun"


def test_a_port_that_is_taken_is_said_so(bulkpoint: CommandLine) -> None:
    port = str(free_port())
    with begun(bulkpoint, "--port", port):
        ended = bulkpoint("web", "--port", port)
    assert ended.returncode == 6
    assert f"cannot listen at 127.0.0.1, port {port}" in ended.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_order_and_nothing_is_left(
    bulkpoint: CommandLine, tmp_path: Path, number: signal.Signals
) -> None:
    folder = tmp_path / "tmp"
    folder.mkdir()
    with begun(bulkpoint, TMPDIR=str(folder)) as (process, address):
        at = http.client.HTTPConnection(urlsplit(address).netloc, timeout=30)
        at.request("GET", "/healthz")
        health = at.getresponse()
        assert (health.status, health.read()) == (200, b"ok\n")
        assert len(list(folder.iterdir())) == 1
        process.send_signal(number)
        _, said = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert "Traceback" not in said
    assert list(folder.iterdir()) == []


def test_its_log_is_an_event_a_line_also_of_what_is_no_request(bulkpoint: CommandLine) -> None:
    with begun(bulkpoint, BULKPOINT_LOG_FORMAT="json") as (process, address):
        at = http.client.HTTPConnection(urlsplit(address).netloc, timeout=30)
        at.request("GET", "/campaigns/7")
        at.getresponse().read()
        with socket.create_connection(("127.0.0.1", urlsplit(address).port or 0)) as odd:
            odd.sendall(b"no request at all\r\n\r\n")
            odd.recv(1_000)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=30)
    events = [json.loads(line) for line in said.splitlines()]
    assert {"request", "server"} <= {event["event"] for event in events}
    assert all(event.keys() >= {"time", "level", "event", "campaign", "run", "message"} for event in events)


def test_with_a_certificate_it_speaks_tls(bulkpoint: CommandLine, tmp_path: Path) -> None:
    made = make_certificates(tmp_path / "tls")
    certificate, key = made.server
    files = {"BULKPOINT_WEB_CERT_FILE": str(certificate), "BULKPOINT_WEB_KEY_FILE": str(key)}
    with begun(bulkpoint, **files) as (_, address):
        trust = ssl.create_default_context(cafile=str(made.root))
        at = http.client.HTTPSConnection(urlsplit(address).netloc, context=trust, timeout=30)
        at.request("GET", "/sign-in")
        answer = at.getresponse()
    assert address.startswith("https://127.0.0.1:")
    assert answer.status == 200
    assert answer.headers["strict-transport-security"]
    ended = bulkpoint("web", **files | {"BULKPOINT_WEB_KEY_FILE": str(certificate)})
    assert ended.returncode == 2
    assert "certificate and key" in ended.stderr


def test_only_loopback_is_this_machine() -> None:
    here = ("127.0.0.1", "localhost", "::1", "[::1]", "127.8.9.1", "::ffff:127.0.0.1")
    there = ("0.0.0.0", "10.0.0.1", "localhost.example", "", "::ffff:10.0.0.1")
    assert [is_loopback(host) for host in (*here, *there)] == [True] * len(here) + [False] * len(there)


def test_what_a_killed_page_has_left_is_removed_by_the_next_and_a_running_ones_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    left = tmp_path / "bulkpoint-web-left"
    left.mkdir()
    for name in ("in-use", "upload-1.csv"):
        (left / name).write_text("x")
    with upload_folder() as running:
        (running / "upload-2.csv").write_text("x")
        with upload_folder():
            assert (running / "upload-2.csv").exists()
            assert not left.exists()
    assert list(tmp_path.iterdir()) == []
