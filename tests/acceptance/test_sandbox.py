"""The sandbox as a payer meets it: a real process, real sockets, a real disk, kill -9."""

import contextlib
import http.client
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.world.command_line import COMMAND
from tests.world.money import Money, begin_sandbox, url_of
from tests.world.waiting import wait_for

START_S_MAX = 10
END_S_MAX = 5
LOAD_THREADS = 8
ERROR_KEYS = {"code", "message"}


class Sandbox(Money):
    """One running sandbox, as its callers and those who started it have it."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        super().__init__(url_of(process.stdout.readline), process.pid)
        self.process = process

    def pay(self, key: str | None = None, **changes: object) -> requests.Response:
        body = {"campaign_id": 1, "member_id": "m-1", "amount": 100, "reason": "감사"} | changes
        headers = {"Idempotency-Key": key or new_key()}
        return requests.post(f"{self.url}/v1/points", json=body, headers=headers, timeout=5)

    def find(self, key: str) -> requests.Response:
        return requests.get(f"{self.url}/v1/points/{key}", timeout=5)

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(END_S_MAX)


Start = Callable[..., Sandbox]


def new_key() -> str:
    return str(uuid.uuid4())


def post_bytes(key: str, member_id: str = "m-1") -> bytes:
    body = json.dumps({"campaign_id": 1, "member_id": member_id, "amount": 100, "reason": "r"})
    return (
        f"POST /v1/points HTTP/1.1\r\nHost: x\r\nIdempotency-Key: {key}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


def resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def command(*options: object) -> list[str]:
    return [*COMMAND, "sandbox", "serve", "--port", "0", *map(str, options)]


@pytest.fixture(scope="module")
def start() -> Iterator[Start]:
    """Starts sandboxes with 0 ms latency unless told otherwise; what still runs at the end is killed."""
    running: list[Sandbox] = []

    def start_one(*options: object) -> Sandbox:
        running.append(Sandbox(begin_sandbox("--latency-ms", 0, *options)))
        return running[-1]

    yield start_one
    for sandbox in running:
        sandbox.process.kill()
        sandbox.process.communicate()


@pytest.fixture(scope="module")
def _shared(start: Start) -> Sandbox:
    return start()


@pytest.fixture
def sandbox(_shared: Sandbox) -> Iterator[Sandbox]:
    """One sandbox for the tests that do not look at totals; each leaves it without faults."""
    calm = _shared.change()
    yield _shared
    _shared.change(**calm)


# One credit a key


def test_the_first_request_credits_and_the_next_ones_replay_it(start: Start) -> None:
    sandbox = start()
    key = new_key()
    first, again, upper = sandbox.pay(key), sandbox.pay(key), sandbox.pay(key.upper())
    assert (first.status_code, again.status_code, upper.status_code) == (201, 200, 200)
    assert first.json() == again.json() == upper.json()
    assert first.json().keys() == {"transaction_id"}
    assert (sandbox.stats()["credits"], sandbox.stats()["amount"]) == (1, 100)


@pytest.mark.parametrize("change", [{"amount": 101}, {"reason": "other"}, {"member_id": "m-2"}, {"campaign_id": 2}])
def test_a_known_key_with_another_body_is_refused(sandbox: Sandbox, change: dict[str, Any]) -> None:
    key = new_key()
    sandbox.pay(key)
    refused = sandbox.pay(key, **change)
    assert refused.status_code == 422
    assert refused.json().keys() == ERROR_KEYS


def test_of_many_requests_with_one_key_at_once_one_credits_and_the_others_hear_409(start: Start) -> None:
    sandbox = start("--latency-ms", 1_500)
    key = new_key()
    with ThreadPoolExecutor(12) as pool:
        statuses = [pool.submit(lambda: sandbox.pay(key).status_code) for _ in range(12)]
        wait_for(lambda: sandbox.stats()["requests"] == 12, "all of them")
        other_body = sandbox.pay(key, amount=7)
    assert sorted(status.result() for status in statuses) == [201] + [409] * 11
    assert other_body.status_code == 422
    assert sandbox.stats()["credits"] == 1
    assert sandbox.pay(key).status_code == 200


def test_two_keys_for_one_member_are_two_credits_and_the_judge_says_so(start: Start) -> None:
    sandbox = start()
    for member_id, campaign_id in (("m-1", 1), ("m-1", 1), ("m-2", 1), ("m-1", 2)):
        assert sandbox.pay(member_id=member_id, campaign_id=campaign_id).status_code == 201
    assert sandbox.stats()["paid_twice"] == 1


def test_a_look_up_tells_the_credit_or_404(sandbox: Sandbox) -> None:
    key = new_key()
    assert sandbox.find(key).status_code == 404
    transaction_id = sandbox.pay(key, member_id="회원-1").json()["transaction_id"]
    found = sandbox.find(key)
    assert found.status_code == 200
    assert found.json() == {"transaction_id": transaction_id, "campaign_id": 1, "member_id": "회원-1", "amount": 100}
    assert sandbox.find("no-uuid").status_code == 404


def test_a_payer_that_leaves_before_the_answer_is_credited_all_the_same(sandbox: Sandbox) -> None:
    sandbox.change(latency_ms=200)
    key, before = new_key(), sandbox.stats()["requests"]
    with socket.create_connection(("127.0.0.1", sandbox.port)) as client:
        client.sendall(post_bytes(key))
        wait_for(lambda: sandbox.stats()["requests"] > before, "the request")
    wait_for(lambda: sandbox.find(key).status_code == 200, "its credit")


# Bad input


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status"),
    [
        ("POST", "/v1/points", b"{", {}, 400),
        ("POST", "/v1/points", b"{}", {}, 400),
        ("POST", "/v1/points", None, {"Idempotency-Key": "no-uuid"}, 400),
        ("POST", "/v1/points", None, {"Idempotency-Key": None}, 400),
        ("POST", "/v1/points", None, {"Content-Type": "text/plain"}, 415),
        ("POST", "/v1/points", b" " * 20_000, {}, 413),
        ("POST", "/v1/points", b" " * 20_000_000, {}, 413),
        ("PUT", "/v1/points", None, {}, 405),
        ("GET", "/v1/points", None, {}, 405),
        ("DELETE", f"/v1/points/{uuid.UUID(int=7)}", None, {}, 405),
        ("POST", "/v1/other", None, {}, 404),
        ("GET", "/", None, {}, 404),
        ("DELETE", "/sandbox/stats", None, {}, 405),
        ("PUT", "/sandbox/faults", b"[]", {}, 400),
        ("PUT", "/sandbox/faults", b'{"lightning": 1}', {}, 400),
    ],
)
def test_a_wrong_request_hears_what_is_wrong_and_credits_nothing(
    sandbox: Sandbox, method: str, path: str, body: bytes | None, headers: dict[str, str | None], status: int
) -> None:
    before = sandbox.stats()["credits"]
    order = json.dumps({"campaign_id": 1, "member_id": "m", "amount": 1, "reason": "r"}).encode()
    sent = {"Idempotency-Key": new_key(), "Content-Type": "application/json", **headers}
    try:
        answer = requests.request(method, sandbox.url + path, data=body or order, headers=sent, timeout=5)
    except requests.ConnectionError:
        assert len(body or b"") > 4_194_304, "only a body without end is cut off"
    else:
        assert answer.status_code == status
        assert answer.json().keys() == ERROR_KEYS
    assert sandbox.stats()["credits"] == before


def test_a_setting_nobody_knows_is_named(sandbox: Sandbox) -> None:
    answer = requests.put(f"{sandbox.url}/sandbox/faults", json={"lightning": 1}, timeout=5)
    assert answer.status_code == 400
    assert "'lightning'" in answer.json()["message"]


def test_what_is_no_http_is_answered_and_closed(sandbox: Sandbox) -> None:
    with socket.create_connection(("127.0.0.1", sandbox.port), timeout=5) as client:
        client.sendall(b"hello\r\n\r\n")
        answer = b"".join(iter(lambda: client.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 400 ")


def test_two_keys_on_one_request_are_refused(sandbox: Sandbox) -> None:
    key = new_key()
    twice = post_bytes(key).replace(b"Host: x\r\n", f"Idempotency-Key: {new_key()}\r\n".encode())
    with socket.create_connection(("127.0.0.1", sandbox.port), timeout=5) as client:
        client.sendall(twice)
        assert client.recv(4096).startswith(b"HTTP/1.1 400 ")
    assert sandbox.find(key).status_code == 404


# Connections


def test_pipelined_requests_are_answered_in_order(sandbox: Sandbox) -> None:
    sandbox.change(latency_ms=1)
    keys = [new_key() for _ in range(100)]
    with socket.create_connection(("127.0.0.1", sandbox.port), timeout=5) as client:
        client.sendall(b"".join(post_bytes(key) for key in keys))
        client.shutdown(socket.SHUT_WR)
        answers = b"".join(iter(lambda: client.recv(65_536), b""))
    answered = [
        json.loads(part.partition(b"\r\n\r\n")[2])["transaction_id"] for part in answers.split(b"HTTP/1.1 ")[1:]
    ]
    sandbox.change(latency_ms=0)
    assert answered == [sandbox.find(key).json()["transaction_id"] for key in keys]


def test_a_request_that_comes_in_single_bytes_is_one_request(sandbox: Sandbox) -> None:
    with socket.create_connection(("127.0.0.1", sandbox.port), timeout=5) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in post_bytes(new_key()):
            client.sendall(bytes([byte]))
        assert client.recv(4096).startswith(b"HTTP/1.1 201 ")


def test_waiting_answers_do_not_wait_for_each_other(sandbox: Sandbox) -> None:
    sandbox.change(latency_ms=500)
    with contextlib.ExitStack() as open_clients:
        clients = [
            open_clients.enter_context(socket.create_connection(("127.0.0.1", sandbox.port), timeout=5))
            for _ in range(200)
        ]
        began_s = time.monotonic()
        for client in clients:
            client.sendall(post_bytes(new_key()))
        assert all(client.recv(4096).startswith(b"HTTP/1.1 201 ") for client in clients)
        took_s = time.monotonic() - began_s
    assert 0.49 <= took_s < 2


# Faults


@pytest.mark.parametrize(
    ("fault", "status", "credited"),
    [
        ("unavailable", 503, False),
        ("too_many", 429, False),
        ("unauthorized", 401, False),
        ("mismatch", 422, False),
        ("conflict", 409, False),
        ("rejected", 404, False),
        ("close_before_credit", None, False),
        ("credit_then_close", None, True),
        ("credit_then_500", 500, True),
        ("unreadable", 200, True),
    ],
)
def test_a_fault_answers_as_named_and_credits_as_named(
    sandbox: Sandbox, fault: str, status: int | None, credited: bool
) -> None:
    sandbox.change(**{fault: 1})
    key = new_key()
    answered: int | None = None
    with contextlib.suppress(requests.ConnectionError):
        answer = sandbox.pay(key)
        answered = answer.status_code
        assert answer.headers.get("Retry-After") == ("1" if fault in ("unavailable", "too_many") else None)
        if fault == "unreadable":
            with pytest.raises(requests.JSONDecodeError):
                answer.json()
        else:
            assert answer.json().keys() == ERROR_KEYS
    assert answered == status
    sandbox.change(**{fault: 0})
    assert sandbox.find(key).status_code == (200 if credited else 404)
    assert sandbox.pay(key).status_code == (200 if credited else 201)


def test_a_slow_answer_is_late_and_its_credit_is_not(sandbox: Sandbox) -> None:
    sandbox.change(slow=1, slow_s=1.5)
    key = new_key()
    with ThreadPoolExecutor(1) as pool:
        began_s = time.monotonic()
        slow = pool.submit(sandbox.pay, key)
        wait_for(lambda: sandbox.find(key).status_code == 200, "the credit")
        assert sandbox.pay(key).status_code == 409
        assert slow.result().status_code == 201
    assert time.monotonic() - began_s >= 1.49
    sandbox.change(slow=0)
    assert sandbox.pay(key).json() == slow.result().json()


def test_a_reused_connection_dies_under_a_post_that_is_credited(sandbox: Sandbox) -> None:
    key = new_key()
    with socket.create_connection(("127.0.0.1", sandbox.port), timeout=5) as client:
        client.sendall(post_bytes(new_key()))
        assert client.recv(4096).startswith(b"HTTP/1.1 201 ")
        sandbox.change(credit_then_close=1)
        client.sendall(post_bytes(key))
        assert client.recv(4096) == b""
    assert sandbox.find(key).status_code == 200


def test_close_before_credit_resets_the_connection(sandbox: Sandbox) -> None:
    sandbox.change(close_before_credit=1)
    with socket.create_connection(("127.0.0.1", sandbox.port), timeout=5) as client:
        client.sendall(post_bytes(new_key()))
        with pytest.raises(ConnectionResetError):
            client.recv(4096)


def test_the_same_members_are_rejected_every_time(sandbox: Sandbox) -> None:
    sandbox.change(rejected=0.5)

    def rejected() -> set[int]:
        return {number for number in range(40) if sandbox.pay(member_id=f"r-{number}").status_code == 404}

    first = rejected()
    assert 0 < len(first) < 40
    assert rejected() == first


def test_retry_after_is_what_was_asked_for_or_absent(sandbox: Sandbox) -> None:
    for wanted in ("Sun, 06 Nov 1994 08:49:37 GMT", "-5", "99999999999", None):
        sandbox.change(too_many=1, retry_after=wanted)
        assert sandbox.pay().headers.get("Retry-After") == wanted


def test_faults_can_be_given_at_the_start(start: Start) -> None:
    sandbox = start("--fault", "unavailable=1", "--seed", 5)
    assert sandbox.pay().status_code == 503
    assert sandbox.change()["seed"] == 5


# The limit and the measurements


def test_above_the_limit_a_sliding_second_hears_429(sandbox: Sandbox) -> None:
    sandbox.change(tps_limit=10)
    time.sleep(0.1)
    with requests.Session() as session:
        began_s = time.monotonic()
        answers = [session.get(f"{sandbox.url}/v1/points/{uuid.uuid4()}", timeout=5) for _ in range(15)]
        assert time.monotonic() - began_s < 1, "too noisy to judge"
        assert [answer.status_code for answer in answers] == [404] * 10 + [429] * 5
        assert answers[-1].headers["Retry-After"] == "1"
        time.sleep(1.01)
        assert session.get(f"{sandbox.url}/v1/points/{uuid.uuid4()}", timeout=5).status_code == 404


def test_stats_count_the_requests_under_v1_and_the_fullest_second(start: Start) -> None:
    sandbox = start("--fault", "unavailable=0.5")

    def send(count: int) -> None:
        with socket.create_connection(("127.0.0.1", sandbox.port), timeout=5) as client:
            client.sendall(b"".join(post_bytes(new_key()) for _ in range(count)))
            client.shutdown(socket.SHUT_WR)
            assert b"".join(iter(lambda: client.recv(65_536), b"")).count(b"HTTP/1.1 ") == count

    send(15)
    time.sleep(0.2)
    send(15)
    time.sleep(1.05)
    send(20)
    sandbox.find(new_key())
    stats = sandbox.stats()
    assert list(stats) == ["credits", "amount", "paid_twice", "requests", "max_per_second", "stall_ms_max"]
    assert (stats["requests"], stats["max_per_second"]) == (51, 30)
    reset = requests.post(f"{sandbox.url}/sandbox/stats/reset", timeout=5).json()
    assert (reset["requests"], reset["max_per_second"], reset["credits"]) == (0, 0, stats["credits"])


def test_a_frozen_server_says_how_long_it_stood_still(start: Start) -> None:
    sandbox = start()
    assert sandbox.stats()["stall_ms_max"] < 400
    sandbox.process.send_signal(signal.SIGSTOP)
    time.sleep(0.5)
    sandbox.process.send_signal(signal.SIGCONT)
    wait_for(lambda: sandbox.stats()["stall_ms_max"] >= 400, "its next tick")
    assert sandbox.stats()["stall_ms_max"] < 5_000


def test_arrivals_tell_when_the_last_request_came(start: Start) -> None:
    sandbox = start("--fault", "unavailable=1")
    assert requests.get(f"{sandbox.url}/sandbox/arrivals", timeout=5).json() == {"last_arrival_at": None}
    sandbox.pay()
    last_at = requests.get(f"{sandbox.url}/sandbox/arrivals", timeout=5).json()["last_arrival_at"]
    assert len(last_at) == len("2026-11-22T15:02:34.803958Z")
    assert last_at.endswith("Z")


# The ledger


def test_the_ledger_is_a_json_line_a_credit(start: Start) -> None:
    sandbox = start()
    tricky = '","reason":"x"}\n\u2028😀'
    key = new_key()
    transaction_id = sandbox.pay(key, member_id='"reason":\\', amount=10**12, reason=tricky).json()["transaction_id"]
    (line,) = sandbox.ledger()
    assert list(line) == ["key", "campaign_id", "member_id", "amount", "transaction_id", "credited_at"]
    assert (line["key"], line["campaign_id"], line["amount"]) == (key, 1, 10**12)
    assert (line["member_id"], line["transaction_id"]) == ('"reason":\\', transaction_id)
    assert line["credited_at"].endswith("Z")


def test_a_long_ledger_streams_whole_and_waits_for_a_slow_reader(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    pad = "\\ud83d\\ude00" * 120  # 1.4 kB
    with path.open("w") as ledger:
        for number in range(12_000):
            ledger.write(
                f'{{"key":"{uuid.UUID(int=number)}","campaign_id":1,"member_id":"{number}-{pad}","amount":1,'
                f'"transaction_id":"tx-{number}","credited_at":"2026-11-22T00:00:00.000000Z","reason":"r"}}\n'
            )
    sandbox = start("--ledger", path)
    assert sandbox.stats()["credits"] == 12_000
    before_bytes = resident_bytes(sandbox.process.pid)
    with socket.create_connection(("127.0.0.1", sandbox.port), timeout=5) as client:
        client.sendall(b"GET /sandbox/ledger HTTP/1.1\r\nHost: x\r\n\r\n")
        time.sleep(0.3)
        assert resident_bytes(sandbox.process.pid) - before_bytes < path.stat().st_size / 2
    members = [line["member_id"].partition("-")[0] for line in sandbox.ledger()]
    assert members == [str(number) for number in range(12_000)]


@contextlib.contextmanager
def load(sandbox: Sandbox) -> Iterator[dict[str, str]]:
    """Pays new keys as fast as it can until the connections break; {key: transaction id} of what was answered."""
    answered: dict[str, str] = {}

    def pay_on() -> None:
        client = http.client.HTTPConnection("127.0.0.1", sandbox.port, timeout=5)
        with contextlib.suppress(OSError, http.client.HTTPException):
            while True:
                key = new_key()
                body = json.dumps({"campaign_id": 1, "member_id": key, "amount": 5, "reason": "r"})
                headers = {"Idempotency-Key": key, "Content-Type": "application/json"}
                client.request("POST", "/v1/points", body, headers)
                answered[key] = json.load(client.getresponse())["transaction_id"]

    threads = [threading.Thread(target=pay_on) for _ in range(LOAD_THREADS)]
    for thread in threads:
        thread.start()
    time.sleep(0.6)
    yield answered
    for thread in threads:
        thread.join()
    assert len(answered) > LOAD_THREADS


def test_every_answered_credit_survives_kill_9_and_a_torn_last_line_does_not(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    sandbox = start("--ledger", path)
    with load(sandbox) as answered:
        sandbox.end(signal.SIGKILL)

    whole = path.read_bytes()
    torn_key = new_key()
    path.write_bytes(whole + f'{{"key":"{torn_key}","campaign_id":1,"mem'.encode())
    again = start("--ledger", path)
    kept = {line["key"]: line["transaction_id"] for line in again.ledger()}
    assert answered.items() <= kept.items()
    assert len(kept) - len(answered) <= LOAD_THREADS
    assert again.stats()["amount"] == 5 * len(kept)
    assert path.read_bytes() == whole
    key = next(iter(answered))
    replay = again.pay(key, member_id=key, amount=5, reason="r")
    assert (replay.status_code, replay.json()["transaction_id"]) == (200, answered[key])
    assert again.pay(torn_key).json()["transaction_id"] not in kept.values()
    assert again.stats()["credits"] == len(kept) + 1


def test_a_ledger_with_a_foreign_line_is_refused_by_its_number(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    path.write_text("hello\n")
    ended = subprocess.run(command("--ledger", path), capture_output=True, text=True, timeout=START_S_MAX, check=False)
    assert ended.returncode == 3
    assert "line 1" in ended.stderr
    assert path.read_text() == "hello\n"


def test_a_ledger_belongs_to_one_sandbox_at_a_time(start: Start, tmp_path: Path) -> None:
    start("--ledger", tmp_path / "ledger")
    ended = subprocess.run(
        command("--ledger", tmp_path / "ledger"), capture_output=True, text=True, timeout=START_S_MAX, check=False
    )
    assert ended.returncode == 3
    assert "in use" in ended.stderr


def test_a_key_twice_in_a_ledger_is_refused(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    sandbox = start("--ledger", path)
    sandbox.pay()
    sandbox.end()
    path.write_bytes(path.read_bytes() * 2)
    ended = subprocess.run(command("--ledger", path), capture_output=True, text=True, timeout=START_S_MAX, check=False)
    assert ended.returncode == 3
    assert "line 2" in ended.stderr


def test_a_full_disk_ends_it_without_an_answer_and_the_torn_line_is_no_credit(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    sandbox = start("--ledger", path)
    resource.prlimit(sandbox.process.pid, resource.RLIMIT_FSIZE, (300, 300))
    answered = sandbox.pay()
    assert answered.status_code == 201
    with pytest.raises(requests.ConnectionError):
        sandbox.pay()
    assert sandbox.process.wait(END_S_MAX) == 6
    _, complaints = sandbox.process.communicate()
    assert complaints.count("\n") == 1
    assert len(path.read_bytes()) == 300
    assert [line["transaction_id"] for line in start("--ledger", path).ledger()] == [answered.json()["transaction_id"]]


# The process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly_and_leaves_no_process(start: Start, tmp_path: Path, number: int) -> None:
    sandbox = start("--ledger", tmp_path / "ledger")
    with requests.Session() as idle:
        idle.get(f"{sandbox.url}/sandbox/stats", timeout=5)
        assert sandbox.pay().status_code == 201
        assert sandbox.end(number) == 0
    with pytest.raises(ProcessLookupError):
        os.killpg(sandbox.process.pid, 0)
    _, complaints = sandbox.process.communicate()
    assert complaints == ""
    assert (tmp_path / "ledger").read_text().count("\n") == 1


def test_a_signal_under_load_ends_it_with_every_answered_credit_kept(start: Start, tmp_path: Path) -> None:
    sandbox = start("--ledger", tmp_path / "ledger")
    with load(sandbox) as answered:
        assert sandbox.end() == 0
    kept = [json.loads(line)["key"] for line in (tmp_path / "ledger").read_text().splitlines()]
    assert answered.keys() <= set(kept)


def test_a_taken_port_is_one_sentence_and_exit_6(start: Start) -> None:
    sandbox = start()
    options = [*command(), "--port", str(sandbox.port)]
    ended = subprocess.run(options, capture_output=True, text=True, timeout=START_S_MAX, check=False)
    assert ended.returncode == 6
    assert f"port {sandbox.port}" in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert ended.stdout == ""


@pytest.mark.parametrize("fault", ["slow", "slow=often", "lightning=1", "slow=2"])
def test_a_fault_that_cannot_be_is_exit_2(fault: str) -> None:
    ended = subprocess.run(command("--fault", fault), capture_output=True, text=True, timeout=START_S_MAX, check=False)
    assert ended.returncode == 2
    assert fault.partition("=")[0] in ended.stderr


def test_with_a_token_nobody_else_gets_in(start: Start, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("open-sesame\n")
    sandbox = start("--token-file", tmp_path / "token")
    assert sandbox.pay().status_code == 401
    for token, status in (("open-sesame", 404), ("Open-sesame", 401)):
        headers = {"Authorization": f"Bearer {token}"}
        answer = requests.get(f"{sandbox.url}/v1/points/{uuid.uuid4()}", headers=headers, timeout=5)
        assert answer.status_code == status
    assert sandbox.stats()["credits"] == 0


def test_it_ends_with_its_parent_when_asked_to() -> None:
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import subprocess, sys; subprocess.run(sys.argv[1:])",
            *command("--exit-with-parent"),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    sandbox = Sandbox(parent)
    parent.kill()
    parent.wait()
    wait_for(lambda: not _accepts(sandbox.port), "the sandbox to end as its parent has", seconds=END_S_MAX)


def _accepts(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0
