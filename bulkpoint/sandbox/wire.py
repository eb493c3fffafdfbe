"""HTTP/1.1 on a socket: reads whole requests, answers them in order, or closes in the two ways that a network does.

Written on asyncio's protocols because no server framework closes a connection without an answer.
"""

import asyncio
import json
import socket
import struct
import time
from collections import deque
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Final, NamedTuple

import httptools

BODY_BYTES_MAX: Final = 16_384  # the longest valid order is below 10 kB
DROPPED_BYTES_MAX: Final = 4_194_304  # of a body too large: this much is read and dropped, so that the 413 arrives
HEAD_BYTES_MAX: Final = 524_288  # counted by reads of up to 256 kB, so roughly
READ_AHEAD_MAX: Final = 64  # pipelined requests that wait for the answers before theirs

_PHRASES: Final = {status.value: status.phrase for status in HTTPStatus}
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)  # struct linger: on, 0 s


class Answer(NamedTuple):
    """A status and a JSON body; further headers as wire lines, each with its CRLF."""

    status: int
    body: bytes
    headers: str = ""


class Request(NamedTuple):
    """One request, wholly read."""

    method: str
    path: str  # without the query
    idempotency_key: str
    content_type: str
    authorization: str
    body: bytes
    keep_alive: bool
    arrived_ns: int  # monotonic
    problem: Answer | None  # the refusal of HTTP itself


def json_answer(status: int, value: object, headers: str = "") -> Answer:
    """An answer whose body is value as JSON."""
    return Answer(status, json.dumps(value).encode(), headers)


def error_answer(status: int, code: str, message: str, headers: str = "") -> Answer:
    """An answer in the contract's form of an error."""
    return json_answer(status, {"code": code, "message": message}, headers)


TOO_LARGE: Final = error_answer(
    413, "TOO_LARGE", f"the request is too large: a body has at most {BODY_BYTES_MAX} bytes"
)
NOT_HTTP: Final = error_answer(400, "BAD_REQUEST", "this is not HTTP/1.1, or asks to leave it")


class Connection(asyncio.Protocol):
    """One client's connection. A pipelined request is handled after the one before it was answered."""

    _transport: asyncio.Transport

    def __init__(
        self,
        on_arrival: Callable[[Request], None],
        on_request: Callable[[Request, "Connection"], None],
        open_connections: set["Connection"],
    ) -> None:
        """on_arrival gets a request when it has been read, on_request when it is its turn to be answered."""
        self._on_arrival = on_arrival
        self._on_request = on_request
        self._open_connections = open_connections
        self._parser: httptools.HttpRequestParser | None = httptools.HttpRequestParser(self)
        self._current: Request | None = None
        self._read_ahead: deque[Request] = deque()
        self._reading_paused = False
        self._ended_by_client = False
        self._writable = asyncio.Event()
        self._writable.set()
        self._streaming: asyncio.Task[None] | None = None
        self._received_ns = 0
        self._parsed: list[Request] = []
        self.on_message_begin()

    # What the server does with a connection

    def answer(self, answer: Answer) -> None:
        """Answer the current request and take up the next."""
        assert self._current is not None, "each request is answered once"
        if self._transport.is_closing():
            return
        closing = "" if self._current.keep_alive else "Connection: close\r\n"
        self._transport.write(
            f"HTTP/1.1 {answer.status} {_PHRASES[answer.status]}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(answer.body)}\r\n{answer.headers}{closing}\r\n".encode()
            + answer.body
        )
        self._finish()

    def answer_in_chunks(self, content_type: str, chunks: Iterator[bytes]) -> None:
        """Answer the current request with 200 and a long body, read only as fast as the client takes it."""
        self._streaming = asyncio.get_running_loop().create_task(self._stream(content_type, chunks))

    def close(self) -> None:
        """End the connection in good order (FIN), without an answer to the current request."""
        self._transport.close()

    def reset(self) -> None:
        """Break the connection (RST), without an answer to the current request."""
        if self._transport.is_closing():
            return
        client: socket.socket = self._transport.get_extra_info("socket")
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._transport.abort()

    # asyncio.Protocol: the transport's callbacks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # uvloop's are not asyncio.Transport by name
        self._open_connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (asyncio's signature)
        self._open_connections.discard(self)
        self._parser = None  # it refers back to this object
        self._read_ahead.clear()
        self._writable.set()

    def eof_received(self) -> bool:
        self._ended_by_client = True
        return self._current is not None  # True keeps the connection open for the answer

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        if self._parser is None:
            return
        self._received_ns = time.monotonic_ns()
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserCallbackError:
            raise  # a defect in this class, not the client's
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._refuse_the_rest(NOT_HTTP)
        else:
            if not self._head_complete:
                self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES_MAX or self._dropped_bytes > DROPPED_BYTES_MAX:
                self._refuse_the_rest(TOO_LARGE)
        # The server is called here and not in the parser's callbacks, which would turn its errors into HTTP 400.
        parsed, self._parsed = self._parsed, []
        for request in parsed:
            self._on_arrival(request)
            self._read_ahead.append(request)
        if self._current is None:
            self._take_next()
        if len(self._read_ahead) > READ_AHEAD_MAX and not self._reading_paused:
            self._reading_paused = True
            self._transport.pause_reading()

    # httptools: the parser's callbacks

    def on_message_begin(self) -> None:
        self._url = b""
        self._idempotency_key = self._content_type = self._authorization = b""
        self._body = b""
        self._head_complete = False
        self._head_bytes = 0
        self._dropped_bytes = 0

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        match name.lower():
            case b"idempotency-key":
                # Two keys joined are not a UUID, so the request is refused.
                self._idempotency_key = self._idempotency_key + b"," + value if self._idempotency_key else value
            case b"content-type":
                self._content_type = value
            case b"authorization":
                self._authorization = value
            case b"expect":
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_headers_complete(self) -> None:
        self._head_complete = True

    def on_body(self, body: bytes) -> None:
        if len(self._body) + len(body) > BODY_BYTES_MAX or self._dropped_bytes:
            self._dropped_bytes += len(body)
        else:
            self._body += body

    def on_message_complete(self) -> None:
        assert self._parser is not None, "it is the parser that calls"
        problem = TOO_LARGE if self._dropped_bytes else None
        self._parsed.append(self._request(self._parser.get_method(), self._parser.should_keep_alive(), problem))
        self._head_complete = True

    def _request(self, method: bytes, keep_alive: bool, problem: Answer | None) -> Request:
        return Request(
            method=method.decode("latin-1"),
            path=self._url.partition(b"?")[0].decode("latin-1"),
            idempotency_key=self._idempotency_key.decode("latin-1"),
            content_type=self._content_type.decode("latin-1"),
            authorization=self._authorization.decode("latin-1"),
            body=self._body,
            keep_alive=keep_alive,
            arrived_ns=self._received_ns,
            problem=problem,
        )

    def _refuse_the_rest(self, problem: Answer) -> None:
        """Read nothing more; answer what was read before, then this, then close."""
        self._parsed.append(self._request(b"", keep_alive=False, problem=problem))
        self._parser = None

    def _take_next(self) -> None:
        if self._read_ahead:
            self._current = self._read_ahead.popleft()
            self._on_request(self._current, self)
        elif self._reading_paused:
            self._reading_paused = False
            self._transport.resume_reading()

    def _finish(self) -> None:
        assert self._current is not None, "each request is answered once"
        keep_alive = self._current.keep_alive
        self._current = None
        if not keep_alive or (self._ended_by_client and not self._read_ahead):
            self._transport.close()
        elif not self._transport.is_closing():
            self._take_next()

    async def _stream(self, content_type: str, chunks: Iterator[bytes]) -> None:
        self._transport.write(
            f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        )
        for chunk in chunks:
            self._transport.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
            await asyncio.sleep(0)  # lets others run, and the transport report that the client is slow
            await self._writable.wait()
            if self._transport.is_closing():
                return
        self._transport.write(b"0\r\n\r\n")
        self._finish()
