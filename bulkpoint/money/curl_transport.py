"""libcurl as client of the money API: it uses a tenth of the CPU of requests, and calls us before every wire send.

libcurl sends a POST again by itself when a reused connection dies before any answer. No option prevents it. But
PREREQFUNCTION is called before every wire send, also the second: it is refused there, and the first counts as lost.
To keep this rare, an idle connection is checked before it is used: libcurl checks only once a second.
"""

import select
from pathlib import Path
from urllib.parse import urlsplit

import pycurl

from bulkpoint.money.causes import cause_of_os_error, cause_of_tls_error, cause_of_verification
from bulkpoint.money.transport import (
    ANSWER_BYTES_MAX,
    IDLE_S_MAX,
    USER_AGENT,
    Headers,
    HttpRequest,
    OnWire,
    Reply,
    ca_bundle,
)
from bulkpoint.rules.answers import CallTrouble
from bulkpoint.rules.causes import Cause

# For calls that have left. Any other error then counts as a reset.
_TROUBLES = {
    pycurl.E_OPERATION_TIMEDOUT: CallTrouble.TIMED_OUT,
    pycurl.E_UNSUPPORTED_PROTOCOL: CallTrouble.GARBLED,  # HTTP/0.9: libcurl assumes it when there is no status line
    pycurl.E_FTP_WEIRD_SERVER_REPLY: CallTrouble.GARBLED,  # for HTTP too, despite its name
}

# Why there is no answer, for calls that have left.
_ANSWER_CAUSES = {
    pycurl.E_OPERATION_TIMEDOUT: Cause.TIMED_OUT,
    pycurl.E_GOT_NOTHING: Cause.CLOSED,
    pycurl.E_PARTIAL_FILE: Cause.CUT,
}


class _Call:
    """What is known about the call under way."""

    __slots__ = (
        "asked",
        "body",
        "body_bytes",
        "left",
        "on_wire",
        "raised",
        "too_large",
        "twice",
    )

    def __init__(self, on_wire: OnWire) -> None:
        self.on_wire = on_wire
        self.asked = self.left = self.twice = self.too_large = False
        self.raised: BaseException | None = None
        self.body: list[bytes] = []
        self.body_bytes = 0


class CurlTransport:
    """A Transport over one libcurl handle; see transport.Transport."""

    def __init__(self, url: str, *, ca_file: Path | None, connect_timeout_s: float, timeout_s: float) -> None:
        """url: the address that a request's path comes after. Raises UsageError for a CA file that cannot be used."""
        self._url = url
        self._method = self._path = ""  # the handle's present settings
        self._call = _Call(lambda: False)
        self._socket = -1  # of the idle connection
        self._idle = select.poll()
        self._head: list[bytes] = []  # of the answer: its lines; libcurl gives up after 300 kB of them
        self._fresh = False  # whether the handle is set to use no idle connection
        self._curl = curl = pycurl.Curl()
        curl.setopt(pycurl.NOSIGNAL, 1)  # signals and threads do not mix
        curl.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1)  # HTTP/2 has its own re-sends
        curl.setopt(pycurl.TCP_NODELAY, 1)
        curl.setopt(pycurl.USERAGENT, USER_AGENT)
        curl.setopt(pycurl.FOLLOWLOCATION, 0)
        curl.setopt(pycurl.PROXY, "")  # an empty value also keeps libcurl from reading the environment
        curl.setopt(pycurl.NOPROXY, "*")
        curl.setopt(pycurl.NETRC, pycurl.NETRC_IGNORED)
        curl.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTPS if urlsplit(url).scheme == "https" else pycurl.PROTO_HTTP)
        curl.setopt(pycurl.CAINFO, ca_bundle(ca_file))
        curl.setopt(pycurl.SSL_VERIFYPEER, 1)
        curl.setopt(pycurl.SSL_VERIFYHOST, 2)
        curl.setopt(pycurl.SSLVERSION, pycurl.SSLVERSION_TLSv1_2)
        curl.setopt(pycurl.CONNECTTIMEOUT_MS, round(connect_timeout_s * 1000))
        curl.setopt(pycurl.TIMEOUT_MS, round(timeout_s * 1000))
        curl.setopt(pycurl.MAXAGE_CONN, IDLE_S_MAX)
        curl.setopt(pycurl.MAXCONNECTS, 1)  # a new connection replaces the dead one
        curl.setopt(pycurl.PREREQFUNCTION, self._before_sending)
        curl.setopt(pycurl.WRITEFUNCTION, self._read_body)
        curl.setopt(pycurl.HEADERFUNCTION, self._head.append)  # None, which it returns, means "taken"

    def send(self, request: HttpRequest, *, on_wire: OnWire) -> Reply:
        """Send one call and wait for its answer; see Transport.send."""
        # An idle connection receives no data: if there is something to read, it was closed.
        dead = self._socket != -1 and bool(self._idle.poll(0))
        if dead != self._fresh:
            self._curl.setopt(pycurl.FRESH_CONNECT, dead)
            self._fresh = dead
        curl = self.begin(request, on_wire=on_wire)
        error: tuple[int, str] | None = None
        try:
            curl.perform()
        except pycurl.error as failure:
            error = failure.args
        self._watch_idle()
        return self.end(error)

    def begin(self, request: HttpRequest, *, on_wire: OnWire) -> "pycurl.Curl":
        """The handle, ready to perform this call; for CurlCalls, which performs many at once."""
        self._prepare(request)
        self._call = _Call(on_wire)
        self._head.clear()
        return self._curl

    def end(self, error: tuple[int, str] | None) -> Reply:
        """The result of the call that was begun; `error` is libcurl's code and sentence, None where it has none."""
        call = self._call
        if call.raised is not None:
            raise call.raised from None
        status = self._curl.getinfo(pycurl.RESPONSE_CODE)
        if error is None:
            retry_after = self._retry_after() if status > 201 else None
            return Reply(status, b"".join(call.body), retry_after, headers=Headers(self._head.copy()))
        code, detail = error
        status = None if call.twice else status or None
        trouble = _trouble(call, code)
        return Reply(
            status,
            retry_after=self._retry_after(),
            trouble=trouble,
            detail=detail,
            cause=self._cause(trouble, code, detail),
            headers=Headers(self._head.copy()),
        )

    def close(self) -> None:
        """Close the connection."""
        self._curl.close()

    def _prepare(self, request: HttpRequest) -> None:
        if request.method != self._method:
            self._curl.setopt(pycurl.HTTPGET if request.body is None else pycurl.POST, 1)
            self._curl.setopt(pycurl.CUSTOMREQUEST, request.method)
            self._method = request.method
        if request.path != self._path:
            self._curl.setopt(pycurl.URL, self._url + request.path)
            self._path = request.path
        if request.body is not None:
            self._curl.setopt(pycurl.POSTFIELDS, request.body)
        self._curl.setopt(pycurl.HTTPHEADER, [f"{name}: {value}" for name, value in request.headers.items()])

    def _watch_idle(self) -> None:
        now_idle = self._curl.getinfo(pycurl.ACTIVESOCKET)
        if now_idle != self._socket:
            if self._socket != -1:
                self._idle.unregister(self._socket)
            if now_idle != -1:
                self._idle.register(now_idle, select.POLLIN)
            self._socket = now_idle

    def _cause(self, trouble: CallTrouble, code: int, detail: str) -> Cause | None:
        """Why there is no whole answer; libcurl's code is exact for few things, so the system's error is asked too."""
        if trouble is CallTrouble.NOT_SENT:
            return None
        if trouble is CallTrouble.NOT_CONNECTED:
            return self._connect_cause(code, detail)
        if trouble is CallTrouble.TOO_LARGE:
            return Cause.TOO_LARGE
        return Cause.GARBLED if trouble is CallTrouble.GARBLED else _ANSWER_CAUSES.get(code, Cause.RESET)

    def _connect_cause(self, code: int, detail: str) -> Cause:
        match code:
            case pycurl.E_COULDNT_RESOLVE_HOST:
                return Cause.NAME_NOT_RESOLVED
            case pycurl.E_OPERATION_TIMEDOUT:
                resolved = self._curl.getinfo(pycurl.NAMELOOKUP_TIME) > 0
                return Cause.CONNECT_TIMED_OUT if resolved else Cause.NAME_NOT_RESOLVED
            case pycurl.E_PEER_FAILED_VERIFICATION:
                return cause_of_verification(self._curl.getinfo(pycurl.SSL_VERIFYRESULT))
            case pycurl.E_SSL_CONNECT_ERROR:
                return cause_of_tls_error(detail)
        return cause_of_os_error(self._curl.getinfo(pycurl.OS_ERRNO))

    def _retry_after(self) -> str | None:
        """As libcurl read it, in seconds; it gives up by itself when the headers exceed 300 kB."""
        seconds = self._curl.getinfo(pycurl.RETRY_AFTER)
        return str(seconds) if seconds > 0 else None

    def _before_sending(self, *_addresses: object) -> int:
        """libcurl's PREREQFUNCTION: the connection is ready, and the request leaves when this returns OK."""
        call = self._call
        if call.asked:
            call.twice = True
            return int(pycurl.PREREQFUNC_ABORT)
        call.asked = True
        try:
            call.left = call.on_wire()
        except BaseException as error:  # noqa: BLE001 (libcurl cannot carry it; send raises it)
            call.raised = error
        return int(pycurl.PREREQFUNC_OK if call.left else pycurl.PREREQFUNC_ABORT)

    def _read_body(self, chunk: bytes) -> int:
        call = self._call
        call.body.append(chunk)
        call.body_bytes += len(chunk)
        if call.body_bytes > ANSWER_BYTES_MAX:
            call.too_large = True
            return 0
        return len(chunk)


def _trouble(call: _Call, code: int) -> CallTrouble:
    if not call.left:
        return CallTrouble.NOT_SENT if call.asked else CallTrouble.NOT_CONNECTED
    if call.twice:
        return CallTrouble.SENT_TWICE
    return CallTrouble.TOO_LARGE if call.too_large else _TROUBLES.get(code, CallTrouble.RESET)
