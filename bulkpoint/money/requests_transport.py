"""requests as client of the money API: the second transport behind the same Protocol, and the one to debug with.

What it lacks is added below its pool, in the connection: the question to the gate before every wire send, a look at the
connection before and after each call (a connection that is out of step is not used again), a strict reader of answers
(strict_http.py), and a time limit for the whole call (its own limit restarts with every byte). Only the DNS look-up is
outside that limit.
"""

import http.client
import io
import select
import socket
import ssl
import time
from collections.abc import Iterator
from typing import Any, cast
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter

from bulkpoint.money.causes import cause_of_os_error, cause_of_tls_error, cause_of_verification
from bulkpoint.money.idle import IdleLimit
from bulkpoint.money.strict_http import StrictResponse
from bulkpoint.money.transport import (
    ANSWER_BYTES_MAX,
    NO_HEADERS,
    USER_AGENT,
    Headers,
    HttpRequest,
    OnWire,
    Reply,
    body_of,
    header_lines,
    retry_after,
    target_of,
)
from bulkpoint.money.trust import Trust
from bulkpoint.rules.answers import CallTrouble
from bulkpoint.rules.causes import Cause

# Sent with every call: what libcurl sends, and that the answer must not be compressed.
_STATIC_HEADERS = {"User-Agent": USER_AGENT, "Accept": "*/*", "Accept-Encoding": "identity"}


class RequestsTransport:
    """A Transport over one requests.Session; see transport.Transport."""

    def __init__(
        self, url: str, trust: Trust, idle_limit: IdleLimit, *, connect_timeout_s: float, timeout_s: float
    ) -> None:
        """url: the address that a request's path comes after. idle_limit: learned from all connections to it."""
        self._url = url
        self._base_path = urlsplit(url).path
        self._timeouts_s = (connect_timeout_s, timeout_s)
        self._departure = _Departure(idle_limit)
        self._idle_limit = idle_limit
        self._session = requests.Session()
        self._session.trust_env = False  # no proxy, no .netrc, no CA file from the environment
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, _Adapter(self._departure, trust))

    def send(self, request: HttpRequest, *, on_wire: OnWire, fresh: bool = False) -> Reply:
        """Send one call and wait for its answer; see Transport.send."""
        header_lines(request.headers)
        departure, now = self._departure, time.monotonic()
        if fresh or now - departure.idle_since > self._idle_limit.seconds:
            self._session.close()  # closes its connections; the next call opens a new one
        target = self._base_path + target_of(request)
        departure.begin(on_wire, target, deadline=now + self._timeouts_s[1])
        response = None
        try:
            response = self._session.send(
                self._prepared(request), stream=True, timeout=self._timeouts_s, verify=True, allow_redirects=False
            )
            body = _read_body(response)
        except (_HeldBackError, requests.RequestException, urllib3.exceptions.HTTPError) as error:
            if departure.raised is not None:
                raise departure.raised from None
            reply = _troubled(departure, response, error)
        else:
            too_large, headers = body is None, _headers(response)
            reply = Reply(
                response.status_code,
                body or b"",
                retry_after(response.status_code, headers),
                CallTrouble.TOO_LARGE if too_large else None,
                f"the answer is larger than {ANSWER_BYTES_MAX} bytes" if too_large else None,
                Cause.TOO_LARGE if too_large else None,
                headers,
            )
        departure.ended(reply)
        if departure.out_of_step or reply.trouble is not None:
            self._session.close()
        return reply

    def close(self) -> None:
        """Close the connection."""
        self._session.close()

    def _prepared(self, request: HttpRequest) -> requests.PreparedRequest:
        """Prepared outside the session, which would add its cookies."""
        url, headers, body = self._url + request.path, {**_STATIC_HEADERS, **request.headers}, body_of(request)
        prepared = requests.Request(request.method, url, headers=headers, data=body).prepare()
        if body is None:
            prepared.headers.pop("Content-Length", None)
        return prepared


def _read_body(response: requests.Response) -> bytes | None:
    """The body, undecoded; None where it is too large. A connection that was not read to its end is closed."""
    body = b""
    with response:
        while chunk := response.raw.read(ANSWER_BYTES_MAX + 1 - len(body), decode_content=False):
            body += chunk
            if len(body) > ANSWER_BYTES_MAX:
                return None
    return body


def _troubled(departure: "_Departure", response: requests.Response | None, error: BaseException) -> Reply:
    causes = list(_causes(error))
    if departure.spoke_first:  # nothing was sent; a kept connection is just closed, a new one is not the money API's
        trouble = CallTrouble.NOT_SENT if departure.reused else CallTrouble.NOT_CONNECTED
    elif not departure.left:
        trouble = CallTrouble.NOT_SENT if departure.asked else CallTrouble.NOT_CONNECTED
    elif departure.twice:
        trouble = CallTrouble.SENT_TWICE
    elif any(isinstance(cause, TimeoutError | urllib3.exceptions.TimeoutError) for cause in causes):
        trouble = CallTrouble.TIMED_OUT
    elif any(isinstance(cause, http.client.HTTPException) and not _is_cut(cause) for cause in causes):
        trouble = CallTrouble.GARBLED
    else:
        trouble = CallTrouble.RESET
    detail, cause = str(causes[-1]), _cause(trouble, causes)
    if departure.spoke_first and cause is not None:
        cause = Cause.SPOKE_FIRST
    if response is None or trouble is CallTrouble.GARBLED:
        return Reply(None, trouble=trouble, detail=detail, cause=cause)
    status, headers = response.status_code, _headers(response)
    return Reply(status, b"", retry_after(status, headers), trouble, detail, cause, headers)


def _cause(trouble: CallTrouble, causes: list[BaseException]) -> Cause | None:
    """Why there is no whole answer: what the errors of the chain say, the socket's own first."""
    match trouble:
        case CallTrouble.NOT_SENT:
            return None
        case CallTrouble.NOT_CONNECTED:
            return next(filter(None, map(_connect_cause, reversed(causes))), Cause.NOT_CONNECTED)
        case CallTrouble.TIMED_OUT:
            return Cause.TIMED_OUT
        case CallTrouble.GARBLED:
            return Cause.GARBLED
    if any(isinstance(cause, http.client.IncompleteRead) for cause in causes):
        return Cause.CUT
    closed = any(isinstance(cause, http.client.RemoteDisconnected) for cause in causes)
    return Cause.CLOSED if closed else Cause.RESET


def _connect_cause(error: BaseException) -> Cause | None:
    """Why there is no connection, as far as this error of the chain says it."""
    match error:
        case ssl.SSLCertVerificationError():
            return cause_of_verification(error.verify_code)
        case ssl.SSLError():
            return cause_of_tls_error(str(error))
        case socket.gaierror():
            return Cause.NAME_NOT_RESOLVED
        case TimeoutError():
            return Cause.CONNECT_TIMED_OUT
        case OSError() if error.errno:
            return cause_of_os_error(error.errno)
    return None


def _headers(response: requests.Response) -> Headers:
    fields = response.raw.headers if response.raw is not None else {}
    lines = [f"{name}: {value}".encode("latin-1", "replace") for name, value in fields.items()]
    return Headers(lines) if lines else NO_HEADERS


def _is_cut(error: BaseException) -> bool:
    return isinstance(error, http.client.RemoteDisconnected | http.client.IncompleteRead)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error, its cause, and so on: the last one is the socket's own."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


class _HeldBackError(Exception):
    """This wire send was refused."""


class _Departure:
    """The call under way, shared by the transport and its connections.

    reused: it goes out on a kept connection. out_of_step: something came in after the answer, which is not one.
    """

    def __init__(self, idle_limit: IdleLimit) -> None:
        self.idle_since = 0.0
        self._idle_limit = idle_limit
        self.begin(lambda: False, "", deadline=0.0)

    def begin(self, on_wire: OnWire, target: str, *, deadline: float) -> None:
        self.on_wire = on_wire
        self.target = target  # as it is: requests and urllib3 would write it in their own way
        self.deadline = deadline  # of time.monotonic()
        self.asked = self.left = self.twice = self.spoke_first = self.out_of_step = False
        self.reused = True  # until one is made
        self.raised: BaseException | None = None

    def found_closed(self) -> None:
        """The kept connection has something to read before it is used: it is closed, or out of step."""
        self._idle_limit.saw_close(time.monotonic() - self.idle_since)

    def ended(self, reply: Reply) -> None:
        """Learn from the answer how long a connection may be kept."""
        if self.reused and reply.trouble in (CallTrouble.RESET, CallTrouble.SENT_TWICE):
            self.found_closed()
        self.idle_since = time.monotonic()
        self._idle_limit.read_keep_alive(reply.headers.get("keep-alive"))

    def ask(self, sock: socket.socket) -> None:
        """Return when the request may leave now; raise _HeldBackError when not."""
        if self.asked:
            self.twice = True
            raise _HeldBackError
        self.asked = True
        try:
            self.left = self.on_wire()
        except BaseException as error:
            self.raised = error  # requests would translate it; send raises it as it is
            raise _HeldBackError from error
        if not self.left:
            raise _HeldBackError
        # Tickets of a new TLS connection come at any time, and are no answer.
        if (self.reused or not isinstance(sock, ssl.SSLSocket)) and _has_something_to_read(sock):
            self.spoke_first, self.left = True, False
            raise _HeldBackError

    def remaining_s(self) -> float:
        """The rest of the call's time; raises TimeoutError when there is none."""
        remaining_s = self.deadline - time.monotonic()
        if remaining_s <= 0:
            raise TimeoutError("the time limit of the call has passed")
        return remaining_s


def _has_something_to_read(sock: socket.socket) -> bool:
    if isinstance(sock, ssl.SSLSocket) and sock.pending():
        return True
    watched = select.poll()
    watched.register(sock, select.POLLIN)
    return bool(watched.poll(0))


class _Adapter(HTTPAdapter):
    def __init__(self, departure: _Departure, trust: Trust) -> None:
        self._departure = departure
        self._trust = trust
        super().__init__(pool_connections=1, pool_maxsize=1, max_retries=0)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, ssl_context=self._trust.context, **options)
        self.poolmanager.pool_classes_by_scheme = _pools(self._departure)

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Nothing: the context has the CA certificates; requests would add the public ones to it."""


def _pools(departure: _Departure) -> dict[str, type[urllib3.HTTPConnectionPool]]:
    """urllib3's pools by scheme, with connections that ask `departure` and respect its deadline."""

    class Response(StrictResponse):
        def __init__(self, sock: Any, *args: Any, **options: Any) -> None:
            super().__init__(_TimedSocket(sock, departure), *args, **options)  # type: ignore[arg-type]

    class Connection(urllib3.connection.HTTPConnection):
        response_class = Response
        auto_open = 0  # else http.client reconnects by itself for a request that has left

        @property
        def is_connected(self) -> bool:
            if self.sock is None:
                return False
            if _has_something_to_read(self.sock):
                departure.found_closed()
                return False
            return True

        def connect(self) -> None:
            departure.reused = False
            super().connect()

        def request(self, method: str, _url: str, *args: Any, **options: Any) -> None:  # type: ignore[override]
            if self.is_closed:
                self.connect()
            departure.ask(cast("socket.socket", self.sock))
            self.timeout = departure.remaining_s()  # for sending; reading has its own timeout
            super().request(method, departure.target, *args, **options)

    class SecureConnection(Connection, urllib3.connection.HTTPSConnection):
        pass

    class Pool(urllib3.HTTPConnectionPool):
        ConnectionCls = Connection  # type: ignore[assignment]

    class SecurePool(urllib3.HTTPSConnectionPool):
        ConnectionCls = SecureConnection  # type: ignore[assignment]

    return {"http": Pool, "https": SecurePool}


class _TimedSocket:
    """The one method of a socket that http.client needs to read an answer."""

    def __init__(self, sock: socket.socket, departure: _Departure) -> None:
        self._sock = sock
        self._departure = departure

    def makefile(self, _mode: str) -> io.BufferedReader:
        return _Reader(_TimedFile(self._sock, self._departure))


class _Reader(io.BufferedReader):
    """http.client closes it at the end of the answer: what is left in it then came after the answer."""

    raw: "_TimedFile"

    def close(self) -> None:
        if not self.closed:
            self.raw.close_after(self)
        super().close()


class _TimedFile(io.RawIOBase):
    """A socket's file; each read ends within the rest of the call's time."""

    def __init__(self, sock: socket.socket, departure: _Departure) -> None:
        self._sock = sock
        self._file = sock.makefile("rb", buffering=0)  # also keeps the socket open until the body is read
        self._departure = departure
        self._ended = False

    def readable(self) -> bool:
        return True

    def close_after(self, reader: io.BufferedReader) -> None:
        """Read no more; see whether anything is left that was read, or that TLS has decrypted."""
        self._ended = True
        pending = self._sock.pending() if isinstance(self._sock, ssl.SSLSocket) else 0
        if pending or reader.peek(1):
            self._departure.out_of_step = True

    def readinto(self, buffer: Any) -> int | None:
        if self._ended:
            return 0
        self._sock.settimeout(self._departure.remaining_s())
        return self._file.readinto(buffer)

    def close(self) -> None:
        self._file.close()
        super().close()
