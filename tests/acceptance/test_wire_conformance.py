"""Every client of the money API, byte for byte: what it sends, what it makes of each raw answer, what it uses again.

Each row is one answer over a real socket. The call after it shows whether its connection was kept, and that whatever
was left of the first answer is never taken for the second.
"""

import itertools
import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Event
from typing import Any, NamedTuple

import pytest
import trustme

from bulkpoint.errors import UsageError
from bulkpoint.money.curl_calls import CurlCalls
from bulkpoint.money.curl_transport import QUIET_S, CurlTransport
from bulkpoint.money.idle import IdleLimit
from bulkpoint.money.requests_transport import RequestsTransport
from bulkpoint.money.threaded_calls import ThreadedCalls
from bulkpoint.money.transport import ANSWER_BYTES_MAX, NO_HEADERS, USER_AGENT, Calls, HttpRequest, Reply
from bulkpoint.money.trust import Trust
from bulkpoint.rules.answers import CallTrouble
from bulkpoint.rules.causes import Cause
from bulkpoint.rules.invariants import DefectError
from tests.world.raw_server import CLOSE, RESET, RawServer, Script, Step, serve_raw
from tests.world.waiting import wait_for

TIMEOUT_S = 1.0
PUBLIC = Trust(None)
GET = HttpRequest("GET", "/v1/points/1", {}, None)


class Client:
    """One of the four ways to call, all by the same method."""

    def __init__(self, kind: str, url: str, trust: Trust | None = None, timeout_s: float = TIMEOUT_S) -> None:
        trust, self.idle_limit = trust or PUBLIC, IdleLimit()
        self.before_it_leaves: Callable[[], object] = lambda: None
        make = CurlTransport if "curl" in kind else RequestsTransport

        def transport() -> Any:
            return make(url, trust, self.idle_limit, connect_timeout_s=1.0, timeout_s=timeout_s)

        self._one = transport() if "one" in kind else None
        self._calls: Calls | None = None
        if self._one is None:
            self._calls = CurlCalls(transport, trust) if "curl" in kind else ThreadedCalls(transport, trust)
        self.asked = 0

    def send(self, request: HttpRequest = GET, *, fresh: bool = False) -> Reply:
        """One call; its headers are left out, for they have tests of their own."""
        if self._one is not None:
            reply: Reply = self._one.send(request, on_wire=self._on_wire, fresh=fresh)
        else:
            assert self._calls is not None
            self._calls.begin("it", request, on_wire=self._on_wire, fresh=fresh)
            ended: list[tuple[Any, Reply]] = []
            while not ended:
                ended = self._calls.ended(0.01)
            ((_, reply),) = ended
        self.headers = reply.headers
        return reply._replace(detail=None, headers=NO_HEADERS)

    def renew(self) -> UsageError | None:
        assert self._calls is not None
        return self._calls.renew()

    def close(self) -> None:
        (self._one or self._calls).close()  # type: ignore[union-attr]

    def _on_wire(self) -> bool:
        self.asked += 1
        self.before_it_leaves()
        return True


@contextmanager
def talking(kind: str, script: Script) -> Iterator[tuple[RawServer, Client]]:
    with serve_raw(script) as server, closing(Client(kind, server.url)) as client:
        yield server, client


@pytest.fixture(params=["curl, one", "curl, many", "requests, one", "requests, many"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


class Row(NamedTuple):
    """One raw answer, and what is to be made of it. kept: its connection may be used again."""

    name: str
    answer: list[Step]
    status: int | None = 200
    body: bytes = b"{}"
    retry_after: str | None = None
    trouble: CallTrouble | None = None
    cause: Cause | None = None
    kept: bool = True
    method: str = "GET"

    @property
    def reply(self) -> Reply:
        return Reply(self.status, self.body, self.retry_after, self.trouble, None, self.cause)


def ok(body: bytes = b"{}", *headers: bytes) -> bytes:
    lines = [b"HTTP/1.1 200 OK", b"Content-Length: %d" % len(body), *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def chunked(*chunks: bytes, end: bytes = b"0\r\n\r\n", headers: bytes = b"") -> bytes:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n" + headers + b"\r\n"
    return head + b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + end


def lost(name: str, answer: list[Step], cause: Cause, status: int | None = None) -> Row:
    trouble = CallTrouble.TIMED_OUT if cause is Cause.TIMED_OUT else CallTrouble.RESET
    return Row(name, answer, status, b"", None, trouble, cause, kept=False)


def garbled(name: str, answer: list[Step]) -> Row:
    return Row(name, answer, None, b"", None, CallTrouble.GARBLED, Cause.GARBLED, kept=False)


def too_large(name: str, answer: list[Step]) -> Row:
    return Row(name, answer, 200, b"", None, CallTrouble.TOO_LARGE, Cause.TOO_LARGE, kept=False)


ANOTHER = ok(b'{"n":"another"}')
PAUSE = 0.02
DRIP: list[Step] = [b"x", PAUSE] * 80

ROWS = [
    # plain
    Row("a length", [ok()]),
    Row("no body", [ok(b"")], body=b""),
    Row("in many pieces", [bytes([byte]) for byte in ok()]),
    Row("a head, then a body", [ok()[:-2], PAUSE, ok()[-2:]]),
    Row("cut between CR and LF", [b"HTTP/1.1 200 OK\r", PAUSE, b"\nContent-Length: 2\r\n\r", PAUSE, b"\n{}"]),
    Row("no reason", [b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\n{}"]),
    Row("an empty reason", [b"HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\n{}"]),
    Row("lines that end in LF", [b"HTTP/1.1 200 OK\nContent-Length: 2\n\n{}"]),
    Row("names in any case", [b"HTTP/1.1 200 OK\r\ncONTENT-lENGTH:2\r\n\r\n{}"]),
    Row("a header twice", [ok(b"{}", b"X-A: 1", b"x-a: 2")]),
    Row("a header without a value", [ok(b"{}", b"X-A:")]),
    Row("a header that goes on", [ok(b"{}", b"X-A: 1\r\n  2")]),
    Row("the same length twice", [ok(b"{}", b"Content-Length: 2")]),
    Row("a header of 60 kB", [ok(b"{}", b"X-A: " + b"x" * 60_000)]),
    Row("bytes that are no text", [ok(bytes(range(256)))], body=bytes(range(256))),
    Row("compressed, unasked", [ok(b"{}", b"Content-Encoding: gzip")]),
    Row("as large as may be", [ok(b"x" * ANSWER_BYTES_MAX)], body=b"x" * ANSWER_BYTES_MAX),
    # the connection's end
    Row("it says that it closes", [ok(b"{}", b"Connection: close"), CLOSE], kept=False),
    Row("it says so and does not", [ok(b"{}", b"Connection: close")], kept=False),
    Row("it closes and does not say so", [ok(), CLOSE], kept=False),
    Row("it resets after the answer", [ok(), PAUSE / 4, RESET], kept=False),
    Row("a body until the end", [b"HTTP/1.1 200 OK\r\n\r\n{}", CLOSE], kept=False),
    Row("HTTP/1.0", [b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}", CLOSE], kept=False),
    Row("HTTP/1.0 that does not close", [b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}"], kept=False),
    Row("HTTP/1.0 that keeps alive", [b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\n{}"]),
    # interim answers
    Row("100", [b"HTTP/1.1 100 Continue\r\n\r\n" + ok()]),
    Row("102", [b"HTTP/1.1 102 Processing\r\n\r\n" + ok()]),
    Row("103", [b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + ok()]),
    Row("103, and later the answer", [b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", PAUSE, ok()]),
    Row("199", [b"HTTP/1.1 199 Any\r\n\r\n" + ok()]),
    Row("twenty of them", [b"HTTP/1.1 103 Early Hints\r\nX-A: 1\r\n\r\n" * 20 + ok()]),
    Row("one that says to wait", [b"HTTP/1.1 103 Early Hints\r\nRetry-After: 9\r\n\r\n" + ok()]),
    Row(
        "one that says to wait, before a refusal",
        [b"HTTP/1.1 103 E\r\nRetry-After: 9\r\n\r\nHTTP/1.1 429 B\r\nRetry-After: 3\r\nContent-Length: 0\r\n\r\n"],
        429,
        b"",
        "3",
    ),
    Row("one with a length", [b"HTTP/1.1 103 Early Hints\r\nContent-Length: 9\r\n\r\n" + ok()]),
    garbled("101", [b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n" + ok(), CLOSE]),
    garbled("101 that stays", [b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", b"\0\0\0"]),
    lost("an interim answer, then the end", [b"HTTP/1.1 103 Early Hints\r\n\r\n", CLOSE], Cause.CLOSED),
    lost("only interim answers", [b"HTTP/1.1 102 Processing\r\n\r\n", PAUSE] * 80, Cause.TIMED_OUT),
    # status codes
    *[
        Row(f"{status}", [b"HTTP/1.1 %d Any\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n" % status], status, b"", "7")
        for status in (202, 206, 301, 307, 400, 401, 404, 407, 408, 409, 422, 425, 429, 500, 503, 599, 999)
    ],
    Row("204", [b"HTTP/1.1 204 No Content\r\n\r\n"], 204, b""),
    Row("304 with a length and no body", [b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n"], 304, b""),
    Row("204 with a body", [b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n{}"], 204, b"", kept=False),
    Row("304 with a body", [b"HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n{}"], 304, b"", kept=False),
    Row("204 with another answer", [b"HTTP/1.1 204 No Content\r\n\r\n" + ANOTHER], 204, b"", kept=False),
    Row("HEAD", [b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n"], body=b"", method="HEAD"),
    Row("HEAD with a body", [ok()], body=b"", method="HEAD", kept=False),
    Row("a date", [b"HTTP/1.1 503 B\r\nRetry-After:  Wed, 21 Oct 2026 07:28:00 GMT \r\nContent-Length: 0\r\n\r\n"],
        503, b"", "Wed, 21 Oct 2026 07:28:00 GMT"),
    # bytes left over
    Row("two answers in one packet", [ok() + ANOTHER], kept=False),
    Row("two answers, one after the other", [ok(), ANOTHER], kept=False),
    Row("another answer a little later", [ok(), 0.005, ANOTHER], kept=False),
    Row("the end of one and another in one packet", [ok()[:-1], PAUSE, ok()[-1:] + ANOTHER], kept=False),
    Row("a head, then the body and another", [ok()[:-2], PAUSE, ok()[-2:] + ANOTHER], kept=False),
    Row("a body longer than its length", [ok() + b"more"], kept=False),
    Row("an empty line too many", [ok() + b"\r\n"], kept=False),
    Row("one byte too many", [ok() + b"\0"], kept=False),
    Row("408, then the end", [ok(), PAUSE / 4, b"HTTP/1.1 408 T\r\nContent-Length: 0\r\n\r\n", CLOSE], kept=False),
    # chunks
    Row("chunks", [chunked(b"{", b"}")]),
    Row("chunks in many pieces", [bytes([byte]) for byte in chunked(b"{", b"}")]),
    Row("a chunk's size, then the chunk", [chunked(b"{}")[:-8], PAUSE, chunked(b"{}")[-8:]]),
    Row("no chunk", [chunked()], body=b""),
    Row("sizes in capitals and with zeros", [chunked(end=b"00A\r\n0123456789\r\n000\r\n\r\n")], body=b"0123456789"),
    Row("chunk extensions", [chunked(end=b'2;a=b;c="d"\r\n{}\r\n0;e\r\n\r\n')]),
    Row("trailers", [chunked(b"{}", end=b"0\r\nX-Sum: 1\r\nRetry-After: 9\r\n\r\n")]),
    Row("Chunked, capital", [chunked(b"{}").replace(b"chunked", b"Chunked")]),
    Row("both a length and chunks", [chunked(b"{}", headers=b"Content-Length: 9\r\n")], kept=False),
    Row("both, the length first", [chunked(b"{}").replace(b"OK\r\n", b"OK\r\nContent-Length: 2\r\n")], kept=False),
    Row("chunks that close", [chunked(b"{}", headers=b"Connection: close\r\n"), CLOSE], kept=False),
    lost("cut in a chunk", [chunked(end=b"5\r\nab"), CLOSE], Cause.CUT, 200),
    lost("cut in a chunk's size", [chunked(b"{}", end=b"1"), CLOSE], Cause.CUT, 200),
    lost("cut before the last chunk", [chunked(b"{}", end=b""), CLOSE], Cause.CUT, 200),
    lost("cut in the trailers", [chunked(b"{}", end=b"0\r\nX-Sum"), CLOSE], Cause.CUT, 200),
    lost("cut before the end of the trailers", [chunked(b"{}", end=b"0\r\n"), CLOSE], Cause.CUT, 200),
    lost("a chunk that stays away", [chunked(end=b"5\r\nab")], Cause.TIMED_OUT, 200),
    # cut and late
    lost("nothing", [CLOSE], Cause.CLOSED),
    lost("a reset", [RESET], Cause.RESET),
    lost("silence", [], Cause.TIMED_OUT),
    lost("cut in the status line", [b"HTTP/1.1 2", CLOSE], Cause.CLOSED),
    lost("cut in the head", [b"HTTP/1.1 200 OK\r\nContent-Le", CLOSE], Cause.CUT),
    lost("cut after a header", [b"HTTP/1.1 401 No\r\nContent-Length: 2\r\n", CLOSE], Cause.CUT),
    lost("cut in the body", [ok(b"{}xxx")[:-3], CLOSE], Cause.CUT, 200),
    lost("reset in the body", [ok(b"{}xxx")[:-3], PAUSE, RESET], Cause.RESET, 200),
    lost("a head that stays away", [b"HTTP/1.1 200 OK\r\nContent-Le"], Cause.TIMED_OUT),
    lost("a body that stays away", [ok(b"{}xxx")[:-3]], Cause.TIMED_OUT, 200),
    lost("a drip", [ok(b"x" * 99)[:-99], *DRIP], Cause.TIMED_OUT, 200),
    # not HTTP
    garbled("no status line", [b"hello\r\n\r\n", CLOSE]),
    garbled("another protocol", [b"SSH-2.0-OpenSSH_9.6\r\n", CLOSE]),
    garbled("HTTP/2", [b"\0\0\x12\x04\0\0\0\0\0" + b"\0" * 18, CLOSE]),
    garbled("HTTP/0.9", [b"<html></html>", CLOSE]),
    garbled("a status of two digits", [b"HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\n{}", CLOSE]),
    garbled("a status that is text", [b"HTTP/1.1 OK\r\nContent-Length: 2\r\n\r\n{}", CLOSE]),
    garbled("a header without a colon", [ok(b"{}", b"oops"), CLOSE]),
    garbled("a NUL in a header", [ok(b"{}", b"X-A: a\0b"), CLOSE]),
    garbled("two lengths", [ok(b"{}", b"Content-Length: 1"), CLOSE]),
    garbled("a length that is text", [ok(b"{}").replace(b": 2", b": two"), CLOSE]),
    garbled("a length below 0", [ok(b"{}").replace(b": 2", b": -2"), CLOSE]),
    garbled("a chunk's size that is text", [chunked(end=b"xyz\r\n{}\r\n0\r\n\r\n"), CLOSE]),
    garbled("a chunk's size below 0", [chunked(end=b"-2\r\n{}\r\n0\r\n\r\n"), CLOSE]),
    garbled("a chunk longer than its size", [chunked(end=b"1\r\n{}\r\n0\r\n\r\n"), CLOSE]),
    # too large
    too_large("one byte too large", [ok(b"x" * (ANSWER_BYTES_MAX + 1))]),
    too_large("chunks too large", [chunked(*[b"x" * 9_999] * 9)]),
]  # fmt: skip


def test_each_answer_is_read_as_what_it_is_and_never_as_the_next_one(kind: str) -> None:
    assert len({row.name for row in ROWS}) == len(ROWS)
    with ThreadPoolExecutor(24) as at_once:
        seen = dict(zip([row.name for row in ROWS], at_once.map(lambda row: answered(kind, row), ROWS), strict=True))
    assert seen == {row.name: Seen(row.reply, (SECOND, THIRD), 1 if row.kept else 2, 3, 3) for row in ROWS}


def settle(server: RawServer) -> None:
    """Until the whole answer has arrived, and its connection is looked at before it is used again."""
    wait_for(server.settled, "the whole answer")
    time.sleep(2 * QUIET_S)


class Seen(NamedTuple):
    """What one row's answer became, and what followed."""

    first: Reply
    next: tuple[Reply, Reply]
    connections: int
    requests: int
    asked: int


SECOND, THIRD = Reply(200, b'{"n":2}'), Reply(200, b'{"n":3}')


def answered(kind: str, row: Row) -> Seen:
    with serve_raw(lambda number: row.answer if number == 1 else [ok(b'{"n":%d}' % number)]) as server:
        with closing(Client(kind, server.url)) as client:
            first = client.send(HttpRequest(row.method, "/", {}, None))
            settle(server)
            second, third = client.send(), client.send()
        return Seen(first, (second, third), server.connections, len(server.requests), client.asked)


PIECES = [b"\r\n", b"\0", b": ", b"0\r\n\r\n", b"HTTP/1.1 200 OK\r\n", b"Content-Length: 3\r\n"]


def changed(answer: bytes, dice: random.Random) -> bytes:
    """The answer with up to three things added, left out, doubled or overwritten."""
    raw = bytearray(answer)
    for _ in range(dice.randint(1, 3)):
        at, length = dice.randrange(len(raw) + 1), dice.randint(1, 20)
        match dice.randrange(4):
            case 0:
                raw[at:at] = dice.choice(
                    [b"\r\n", b"\0", b": ", b"0\r\n\r\n", b"HTTP/1.1 200 OK\r\n", b"Content-Length: 3\r\n"]
                )
            case 1:
                del raw[at : at + length]
            case 2:
                raw[at:at] = raw[at : at + length]
            case 3:
                raw[at : at + 1] = bytes([dice.randrange(256)])
    return bytes(raw)


def test_whatever_an_answer_looks_like_the_next_one_is_that_of_the_next_call(kind: str) -> None:
    seed = random.randrange(10**6)
    dice = random.Random(seed)
    whole = [ok(), chunked(b"{", b"}"), b"HTTP/1.1 103 E\r\n\r\n" + ok(), chunked(b"{}", end=b"0\r\nX: 1\r\n\r\n")]
    rows = [Row("", [changed(dice.choice(whole), dice)]) for _ in range(32)]
    with ThreadPoolExecutor(len(rows)) as at_once:
        for row, seen in zip(rows, at_once.map(lambda row: answered(kind, row), rows), strict=True):
            assert seen.next == (SECOND, THIRD), f"seed {seed}: {row.answer}"


# Requests

BODY = b'{"a":1}'
JSON = {"Content-Type": "application/json"}
REQUESTS = {
    "GET": HttpRequest("GET", "/v1/points/1", {}, None),
    "GET with a header": HttpRequest("GET", "/v1/points/2?a=%7e&b=%2f", {"Authorization": "Bearer a"}, None),
    "POST": HttpRequest("POST", "/v1/points", {**JSON, "Idempotency-Key": "k-1"}, BODY),
    "POST of another length": HttpRequest("POST", "/v1/points", {**JSON, "Idempotency-Key": "k-2"}, b"{}"),
    "POST without headers": HttpRequest("POST", "/v1/points", {}, BODY),
    "POST without a body": HttpRequest("POST", "/v1/points/3/ask", {}, None),
    "POST with an empty body": HttpRequest("POST", "/v1/points/3/ask", {"X-A": "1"}, b""),
    "POST of 2 MB": HttpRequest("POST", "/v1/points", JSON, b"x" * 2_000_000),
    "POST of a form": HttpRequest("POST", "/pay", {"content-type": "text/x-form", "X-Sign": "a=b:c"}, b"a=1&b=2"),
    "PUT": HttpRequest("PUT", "/v1/points/4", JSON, BODY),
    "PUT without a body": HttpRequest("PUT", "/v1/points/4", {}, None),
    "PATCH": HttpRequest("PATCH", "/v1/points/5", JSON, BODY),
    "DELETE": HttpRequest("DELETE", "/v1/points/6", {}, None),
    "DELETE with a body": HttpRequest("DELETE", "/v1/points/6", JSON, BODY),
    "HEAD": HttpRequest("HEAD", "/v1/points/7", {"X-A": ""}, None),
    "GET with a body": HttpRequest("GET", "/v1/find", JSON, BODY),
    "OPTIONS": HttpRequest("OPTIONS", "/a/../b//c;d", {"Accept": "text/plain", "User-Agent": "other/1"}, None),
}


def on_the_wire(request: HttpRequest, port: int) -> tuple[bytes, list[bytes], bytes]:
    """What must arrive: the request line, the headers in order of their names, and the body."""
    headers = {"host": f"127.0.0.1:{port}", "user-agent": USER_AGENT, "accept": "*/*"}
    headers |= {name.lower(): value for name, value in request.headers.items()}
    if request.body is not None or request.method in ("POST", "PUT", "PATCH"):
        headers["content-length"] = str(len(request.body or b""))
    lines = sorted(f"{name}: {value}".strip().encode() for name, value in headers.items())
    return f"{request.method} {request.path} HTTP/1.1".encode(), lines, request.body or b""


def arrived(raw: bytes) -> tuple[bytes, list[bytes], bytes]:
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    named = [line.partition(b":") for line in lines]
    # What http.client says of an encoding, libcurl does not say: neither wants one.
    headers = [b"%s: %s" % (name.lower(), value.strip()) for name, _, value in named]
    return first, sorted(line.strip() for line in headers if line != b"accept-encoding: identity"), body


def test_a_request_is_the_same_bytes_whatever_was_sent_before_it(kind: str) -> None:
    pairs = list(itertools.product(REQUESTS, repeat=2))
    with serve_raw(lambda _: [b"HTTP/1.1 204 No Content\r\n\r\n"]) as server:
        with closing(Client(kind, server.url, timeout_s=10.0)) as client:
            for before, after in pairs:
                assert client.send(REQUESTS[before]).status == 204
                assert client.send(REQUESTS[after]).status == 204
        assert server.connections == 1
        seen = list(map(arrived, server.requests[1::2]))
        raw = {after: server.requests[1::2][place] for place, (_, after) in enumerate(pairs)}
    for (before, after), got in zip(pairs, seen, strict=True):
        assert got == on_the_wire(REQUESTS[after], server.port), f"{after}, after {before}"
    assert all(raw[after] == whole for (_, after), whole in zip(pairs, server.requests[1::2], strict=True))


@pytest.mark.parametrize(
    "request_",
    [
        HttpRequest("GET", "/", {"X-A": "1\r\nX-B: 2"}, None),
        HttpRequest("GET", "/", {"X-A\nX-B": "1"}, None),
        HttpRequest("GET", "/", {"X-A": "값"}, None),
        HttpRequest("GET", "/", {"X-A": "a\0b"}, None),
        HttpRequest("GET", "/a b", {}, None),
        HttpRequest("GET", "/a\r\nX-B: 2", {}, None),
        HttpRequest("GET", "/회원", {}, None),
        HttpRequest("GET", "/a#b", {}, None),
        HttpRequest("GET", "@elsewhere/", {}, None),
    ],
    ids=str,
)
def test_what_a_target_says_never_becomes_a_header_of_its_own(kind: str, request_: HttpRequest) -> None:
    with serve_raw(lambda _: [ok()]) as server, closing(Client(kind, server.url)) as client:
        with pytest.raises(DefectError, match="the adapter made"):
            client.send(request_)
        assert (server.requests, client.asked) == ([], 0)


# What comes before a request


def test_what_comes_before_a_request_is_never_the_answer_to_it(kind: str) -> None:
    with serve_raw(lambda _: [ok()], greeting=ANOTHER) as server, closing(Client(kind, server.url)) as client:
        client.before_it_leaves = lambda: wait_for(server.heard, "the greeting")
        assert client.send() == Reply(None, trouble=CallTrouble.NOT_CONNECTED, cause=Cause.SPOKE_FIRST)
        assert server.requests == []


@pytest.mark.parametrize("rest", [[ANOTHER], [CLOSE], [RESET]], ids=["an answer", "the end", "a reset"])
def test_what_comes_while_a_call_waits_at_the_gate_keeps_it_back(kind: str, rest: list[Step]) -> None:
    at_the_gate = Event()
    first: list[Step] = [ok(), at_the_gate, *rest]
    with talking(kind, lambda number: first if number == 1 else [ok(b'{"n":2}')]) as (server, client):
        assert client.send() == Reply(200, b"{}")

        def wait_at_the_gate() -> None:
            at_the_gate.set()
            wait_for(server.heard, "the rest")

        client.before_it_leaves = wait_at_the_gate
        assert client.send() == Reply(None, trouble=CallTrouble.NOT_SENT)
        assert len(server.requests) == 1, "nothing was sent"
        client.before_it_leaves = lambda: None
        assert client.send() == SECOND


def test_a_fresh_call_makes_a_connection_of_its_own(kind: str) -> None:
    with serve_raw(lambda number: [ok(b'{"n":%d}' % number)]) as server, closing(Client(kind, server.url)) as client:
        for number, fresh in enumerate([False, False, True, False, True], start=1):
            assert client.send(fresh=fresh) == Reply(200, b'{"n":%d}' % number)
        assert server.connections == 3


def test_a_server_that_says_how_long_it_waits_is_believed(kind: str) -> None:
    with talking(kind, lambda _: [ok(b"{}", b"Keep-Alive: max=9, timeout=1")]) as (server, client):
        client.send()
        assert client.idle_limit.seconds == 0.8
        client.send()
        assert server.connections == 1
        client.idle_limit.seconds = 0.0  # as if that time had passed
        client.send()
        assert server.connections == 2


# TLS


@pytest.mark.parametrize(
    "first",
    [
        [ok() + ANOTHER],
        [ok(), ANOTHER],
        [ok(), PAUSE / 4, ANOTHER],
        [ok()[:-2], PAUSE, ok()[-2:] + ANOTHER],
        [ok()[:-2], ok()[-2:] + ANOTHER],
        [ok(), CLOSE],
    ],
    ids=["in its record", "in the next record", "later", "with the body", "with the body, at once", "the end"],
)
def test_a_secure_connection_is_looked_at_like_any_other(kind: str, authority: trustme.CA, first: list[Step]) -> None:
    with authority.cert_pem.tempfile() as ca_file:
        trust = Trust(Path(ca_file))
    with serve_raw(
        lambda number: first if number == 1 else [ok(b'{"n":%d}' % number)], authority.issue_cert("127.0.0.1")
    ) as server:
        with closing(Client(kind, server.url, trust)) as client:
            assert client.send() == Reply(200, b"{}")
            settle(server)
            assert (client.send(), client.send()) == (SECOND, THIRD)
            for _ in range(20):
                assert client.send().status == 200
        assert (server.connections, len(server.requests)) == (2, 23)
