"""requests as client of the money API: the second transport behind the same Protocol, and the one to debug with.

Two things that it lacks are added below its pool, in the connection: the question to the gate before every wire send,
and a time limit for the whole call (its own limit restarts with every byte). Only the DNS look-up is outside that
limit.
"""

import http.client
import io
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter

from bulkpoint.money.causes import cause_of_os_error, cause_of_tls_error, cause_of_verification
from bulkpoint.money.transport import (
    ANSWER_BYTES_MAX,
    IDLE_S_MAX,
    NO_HEADERS,
    USER_AGENT,
    Headers,
    HttpRequest,
    OnWire,
    Reply,
    ca_bundle,
)
from bulkpoint.rules.answers import CallTrouble
from bulkpoint.rules.causes import Cause

# Sent with every call: what libcurl sends, and that the answer must not be compressed.
_STATIC_HEADERS = {"User-Agent": USER_AGENT, "Accept": "*/*", "Accept-Encoding": "identity"}


class RequestsTransport:
    """A Transport over one requests.Session; see transport.Transport."""

    def __init__(self, url: str, *, ca_file: Path | None, connect_timeout_s: float, timeout_s: float) -> None:
        """url: the address that a request's path comes after. Raises UsageError for a CA file that cannot be used."""
        self._url = url
        self._ca_bundle = ca_bundle(ca_file)
        self._timeouts_s = (connect_timeout_s, timeout_s)
        self._departure = _Departure()
        self._idle_since = time.monotonic()
        self._session = requests.Session()
        self._session.trust_env = False  # no proxy, no .netrc, no CA file from the environment
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, _Adapter(self._departure))

    def send(self, request: HttpRequest, *, on_wire: OnWire) -> Reply:
        """Send one call and wait for its answer; see Transport.send."""
        now = time.monotonic()
        if now - self._idle_since > IDLE_S_MAX:
            self._session.close()  # closes its connections; the next call opens a new one
        departure = self._departure
        departure.begin(on_wire, deadline=now + self._timeouts_s[1])
        response = None
        try:
            # Prepared outside the session, which would add its cookies.
            response = self._session.send(
                requests.Request(
                    request.method,
                    self._url + request.path,
                    headers={**_STATIC_HEADERS, **request.headers},
                    data=request.body,
                ).prepare(),
                stream=True,
                timeout=self._timeouts_s,
                verify=self._ca_bundle,
                allow_redirects=False,
            )
            body = _read_body(response)
        except (_HeldBackError, requests.RequestException, urllib3.exceptions.HTTPError) as error:
            if departure.raised is not None:
                raise departure.raised from None
            reply = _troubled(departure, response, error)
        else:
            too_large = body is None
            reply = Reply(
                response.status_code,
                body or b"",
                _retry_after(response),
                CallTrouble.TOO_LARGE if too_large else None,
                f"the answer is larger than {ANSWER_BYTES_MAX} bytes" if too_large else None,
                Cause.TOO_LARGE if too_large else None,
                _headers(response),
            )
        self._idle_since = time.monotonic()
        return reply

    def close(self) -> None:
        """Close the connection."""
        self._session.close()


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
    if not departure.left:
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
    if response is None:
        return Reply(None, trouble=trouble, detail=detail, cause=cause)
    return Reply(response.status_code, b"", _retry_after(response), trouble, detail, cause, _headers(response))


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


def _retry_after(response: requests.Response) -> str | None:
    value = response.headers.get("Retry-After")
    return None if value is None else value.strip()


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
    """The call under way, shared by the transport and its connections."""

    def __init__(self) -> None:
        self.begin(lambda: False, deadline=0.0)

    def begin(self, on_wire: OnWire, *, deadline: float) -> None:
        self.on_wire = on_wire
        self.deadline = deadline  # of time.monotonic()
        self.asked = self.left = self.twice = False
        self.raised: BaseException | None = None

    def ask(self) -> None:
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

    def remaining_s(self) -> float:
        """The rest of the call's time; raises TimeoutError when there is none."""
        remaining_s = self.deadline - time.monotonic()
        if remaining_s <= 0:
            raise TimeoutError("the time limit of the call has passed")
        return remaining_s


class _Adapter(HTTPAdapter):
    def __init__(self, departure: _Departure) -> None:
        self._departure = departure
        super().__init__(pool_connections=1, pool_maxsize=1, max_retries=0)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = _pools(self._departure)


def _pools(departure: _Departure) -> dict[str, type[urllib3.HTTPConnectionPool]]:
    """urllib3's pools by scheme, with connections that ask `departure` and respect its deadline."""

    class Response(http.client.HTTPResponse):
        def __init__(self, sock: Any, *args: Any, **options: Any) -> None:
            super().__init__(_TimedSocket(sock, departure), *args, **options)  # type: ignore[arg-type]

    class Connection(urllib3.connection.HTTPConnection):
        response_class = Response
        auto_open = 0  # else http.client reconnects by itself for a request that has left

        def request(self, *args: Any, **options: Any) -> None:
            if self.is_closed:
                self.connect()
            departure.ask()
            self.timeout = departure.remaining_s()  # for sending; reading has its own timeout
            super().request(*args, **options)

    class SecureConnection(Connection, urllib3.connection.HTTPSConnection):
        pass

    class Pool(urllib3.HTTPConnectionPool):
        ConnectionCls = Connection

    class SecurePool(urllib3.HTTPSConnectionPool):
        ConnectionCls = SecureConnection

    return {"http": Pool, "https": SecurePool}


class _TimedSocket:
    """The one method of a socket that http.client needs to read an answer."""

    def __init__(self, sock: socket.socket, departure: _Departure) -> None:
        self._sock = sock
        self._departure = departure

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_TimedFile(self._sock, self._departure))


class _TimedFile(io.RawIOBase):
    """A socket's file; each read ends within the rest of the call's time."""

    def __init__(self, sock: socket.socket, departure: _Departure) -> None:
        self._sock = sock
        self._file = sock.makefile("rb", buffering=0)  # also keeps the socket open until the body is read
        self._departure = departure

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._sock.settimeout(self._departure.remaining_s())
        return self._file.readinto(buffer)

    def close(self) -> None:
        self._file.close()
        super().close()
