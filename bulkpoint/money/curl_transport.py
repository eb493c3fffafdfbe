"""libcurl as client of the money API: it uses a tenth of the CPU of requests, and calls us before every wire send.

libcurl sends a POST again by itself when a reused connection dies before any answer. No option prevents it. But
PREREQFUNCTION is called before every wire send, also the second: it is refused there, and the first counts as lost.

libcurl looks at an idle connection once a second at most, and takes bytes that it finds there for the next answer. So
each handle has a pool of its own with one connection, which is looked at before each use, and once more after the gate
has let the call out. A connection with anything to read is closed or out of step: it is thrown away with its handle.
"""

import math
import select
import socket
import time
from urllib.parse import urlsplit

import certifi
import pycurl

from bulkpoint.money.causes import cause_of_os_error, cause_of_tls_error, cause_of_verification
from bulkpoint.money.idle import IdleLimit
from bulkpoint.money.transport import (
    ANSWER_BYTES_MAX,
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

# The name is resolved again for a connection that is made later than this: an API that moves is found where it is now.
RESOLVED_S_MAX = 1

# Within this time after its last answer a connection is looked at once only, when the gate has let the call out: a call
# that is then kept back waits for another permit, which is a loss only where most connections are closed in between.
QUIET_S = 0.01

# Without a socket to wait for, libcurl resolves a name in a thread of its own.
SELECT_S = 0.01

# For calls that have left. Any other error then counts as a reset.
_TROUBLES = {
    pycurl.E_OPERATION_TIMEDOUT: CallTrouble.TIMED_OUT,
    pycurl.E_UNSUPPORTED_PROTOCOL: CallTrouble.GARBLED,  # HTTP/0.9: libcurl assumes it when there is no status line
    pycurl.E_FTP_WEIRD_SERVER_REPLY: CallTrouble.GARBLED,  # for HTTP too, despite its name
}

# Why there is no answer, for calls that have left. Any other error then is a reset.
_ANSWER_CAUSES = {
    pycurl.E_OPERATION_TIMEDOUT: Cause.TIMED_OUT,
    pycurl.E_GOT_NOTHING: Cause.CLOSED,
    pycurl.E_PARTIAL_FILE: Cause.CUT,
}

# What our callbacks return to libcurl.
_SEND, _DO_NOT_SEND = int(pycurl.PREREQFUNC_OK), int(pycurl.PREREQFUNC_ABORT)

_EMPTY_LINES = ([b"\r\n"], [b"\n"])


class _Call:
    """What is known about the call under way. spoke_first: something came in before the request was sent."""

    __slots__ = (
        "asked",
        "body",
        "body_bytes",
        "idle_s",
        "left",
        "on_wire",
        "raised",
        "spoke_first",
        "too_large",
        "twice",
    )

    def __init__(self, on_wire: OnWire, idle_s: float | None) -> None:
        """idle_s: how long its connection was idle; None: it needs a new one."""
        self.on_wire = on_wire
        self.idle_s = idle_s
        self.asked = self.left = self.twice = self.too_large = self.spoke_first = False
        self.raised: BaseException | None = None
        self.body: list[bytes] = []
        self.body_bytes = 0


class CurlTransport:
    """A Transport over one libcurl handle with one connection; see transport.Transport."""

    def __init__(
        self, url: str, trust: Trust, idle_limit: IdleLimit, *, connect_timeout_s: float, timeout_s: float
    ) -> None:
        """url: the address that a request's path comes after. idle_limit: learned from all connections to it."""
        self._url = url
        self._secure = urlsplit(url).scheme == "https"
        self._trust = trust
        self._idle_limit = idle_limit
        self._timeouts_ms = round(connect_timeout_s * 1000), round(timeout_s * 1000)
        self._multi: pycurl.CurlMulti | None = None  # of `send`
        self._call = _Call(lambda: False, None)
        self._head: list[bytes] = []  # lines of the answer's head; libcurl gives up after 300 kB of them
        self._made: list[int] = []  # sockets that libcurl made for the call under way
        self._idle = select.poll()
        self._socket = -1  # of the idle connection
        self._idle_since = 0.0
        self._open()

    def send(self, request: HttpRequest, *, on_wire: OnWire, fresh: bool = False) -> Reply:
        """Send one call and wait for its answer; see Transport.send."""
        curl = self.begin(request, on_wire=on_wire, fresh=fresh)
        multi = self._multi = self._multi or pycurl.CurlMulti()
        multi.add_handle(curl)
        try:
            while multi.perform()[1]:
                multi.select(SELECT_S)
            _, _, failed = multi.info_read()
            return self.end(failed[0][1:] if failed else None)
        finally:
            multi.remove_handle(curl)

    def begin(self, request: HttpRequest, *, on_wire: OnWire, fresh: bool = False) -> "pycurl.Curl":
        """The handle, ready to perform this call; for CurlCalls, which performs many at once. fresh: see Calls."""
        idle_s = None if self._socket == -1 else self._usable_after(fresh=fresh)
        if idle_s is None and self._socket != -1:
            self._close()
            self._open()
        self._prepare(request)
        self._call = _Call(on_wire, idle_s)
        self._head.clear()
        return self._curl

    def end(self, error: tuple[int, str] | None) -> Reply:
        """The result of the call that was begun; `error` is libcurl's code and sentence, None where it has none.

        Call it before the handle leaves its loop.
        """
        call = self._call
        if call.raised is not None:
            raise call.raised from None
        curl = self._curl
        status = curl.getinfo(pycurl.RESPONSE_CODE)
        headers = Headers(self._head.copy())
        self._watch_idle(headers)
        if self._secure and self._socket != -1 and not self._nothing_decrypted():
            self._idle_since = -math.inf
        if curl.getinfo(pycurl.CONTENT_LENGTH_DOWNLOAD_T) < 0 and "content-length" in headers:
            self._idle_since = -math.inf  # both a length and chunks: somebody on the way may have read it differently
        if error is None and self._head[-1:] not in _EMPTY_LINES and not headers.complete:
            error = pycurl.E_PARTIAL_FILE, "the answer ended in its head"  # for libcurl this is a whole answer
        if error is None and status != 101:
            return Reply(status, b"".join(call.body), retry_after(status, headers), headers=headers)
        code, detail = error or (pycurl.E_FTP_WEIRD_SERVER_REPLY, "switched to another protocol, unasked")
        trouble = CallTrouble.GARBLED if status == 101 else _trouble(call, code, detail)
        if call.idle_s is not None and trouble in (CallTrouble.RESET, CallTrouble.SENT_TWICE):
            self._idle_limit.saw_close(call.idle_s)
        twice_or_none = trouble in (CallTrouble.SENT_TWICE, CallTrouble.GARBLED)
        arrived = status if status >= 200 and headers.complete and not twice_or_none else None
        return Reply(
            arrived,
            retry_after=None if arrived is None else retry_after(arrived, headers),
            trouble=trouble,
            detail=detail,
            cause=self._cause(trouble, code, detail),
            headers=headers,
        )

    def close(self) -> None:
        """Close the connection."""
        self._close()
        if self._multi is not None:
            self._multi.close()
            self._multi = None

    def _close(self) -> None:
        self._curl.close()
        self._pool.close()
        if self._socket != -1:
            self._idle.unregister(self._socket)
            self._socket = -1

    def _open(self) -> None:
        """A new handle, with an empty pool of connections."""
        self._how = ("", False)  # the handle's present method, and whether it sends a body
        self._path = ""
        self._pool = pycurl.CurlShare()
        self._pool.setopt(pycurl.SH_SHARE, pycurl.LOCK_DATA_CONNECT)
        self._curl = curl = pycurl.Curl()
        curl.setopt(pycurl.SHARE, self._pool)
        curl.setopt(pycurl.NOSIGNAL, 1)  # signals and threads do not mix
        curl.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1)  # HTTP/2 has its own re-sends
        curl.setopt(pycurl.TCP_NODELAY, 1)
        curl.setopt(pycurl.USERAGENT, USER_AGENT)
        curl.setopt(pycurl.PATH_AS_IS, 1)
        curl.setopt(pycurl.FOLLOWLOCATION, 0)
        curl.setopt(pycurl.PROXY, "")  # an empty value also keeps libcurl from reading the environment
        curl.setopt(pycurl.NOPROXY, "*")
        curl.setopt(pycurl.NETRC, pycurl.NETRC_IGNORED)
        curl.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTPS if self._secure else pycurl.PROTO_HTTP)
        if self._trust.pem is None:
            curl.setopt(pycurl.CAINFO, certifi.where())
        else:
            curl.setopt(pycurl.CAINFO_BLOB, self._trust.pem)
        curl.setopt(pycurl.SSL_VERIFYPEER, 1)
        curl.setopt(pycurl.SSL_VERIFYHOST, 2)
        curl.setopt(pycurl.SSLVERSION, pycurl.SSLVERSION_TLSv1_2)
        curl.setopt(pycurl.DNS_CACHE_TIMEOUT, RESOLVED_S_MAX)
        curl.setopt(pycurl.CONNECTTIMEOUT_MS, self._timeouts_ms[0])
        curl.setopt(pycurl.TIMEOUT_MS, self._timeouts_ms[1])
        curl.setopt(pycurl.SOCKOPTFUNCTION, self._made_socket)
        curl.setopt(pycurl.PREREQFUNCTION, self._before_sending)
        curl.setopt(pycurl.WRITEFUNCTION, self._read_body)
        curl.setopt(pycurl.HEADERFUNCTION, self._head.append)  # None, which it returns, means "taken"

    def _prepare(self, request: HttpRequest) -> None:
        """Set everything that is sent: whatever the handle has sent before, none of it is left."""
        curl, body = self._curl, request.body
        if body is None:
            body = body_of(request)
        how = (request.method, body is not None)
        if how != self._how:
            self._how = ("", False)  # in case one of these raises
            if body is not None:
                curl.setopt(pycurl.POST, 1)
            elif request.method == "HEAD":
                curl.setopt(pycurl.NOBODY, 1)
            else:
                curl.setopt(pycurl.HTTPGET, 1)
            curl.setopt(pycurl.CUSTOMREQUEST, request.method)
            self._how = how
        if request.path != self._path:
            curl.setopt(pycurl.URL, self._url + target_of(request))
            self._path = request.path
        headers = request.headers
        lines = header_lines(headers)
        if "" in headers.values():  # for libcurl, a header without a value is one that is not to be sent
            lines = [line if value else f"{name};" for line, (name, value) in zip(lines, headers.items(), strict=True)]
        if body is not None:
            curl.setopt(pycurl.POSTFIELDS, body)
            if "Content-Type" not in headers and not any(name.lower() == "content-type" for name in headers):
                lines.append("Content-Type:")  # else libcurl sends that of a form
        lines.append("Expect:")  # never ask before a body is sent. Also: pycurl ignores an empty list
        curl.setopt(pycurl.HTTPHEADER, lines)

    def _usable_after(self, *, fresh: bool) -> float | None:
        """How long the kept connection has been idle; None where it must not be used again."""
        idle_s = time.monotonic() - self._idle_since
        if idle_s > QUIET_S and self._idle.poll(0):
            self._idle_limit.saw_close(idle_s)
            return None
        return None if fresh or idle_s > self._idle_limit.seconds else idle_s

    def _watch_idle(self, headers: Headers) -> None:
        curl = self._curl
        now_idle = curl.getinfo(pycurl.ACTIVESOCKET)
        if now_idle != self._socket or self._made:
            if self._socket != -1:
                self._idle.unregister(self._socket)
            if now_idle != -1:
                self._idle.register(now_idle, select.POLLIN)
                self._idle_limit.read_keep_alive(headers.get("keep-alive"))
            self._socket = now_idle
            self._made.clear()
        self._idle_since = time.monotonic()

    def _nothing_decrypted(self) -> bool:
        """Whether TLS has nothing more to read: it reads ahead of the answer, and poll does not see what it has.

        libcurl's raw read is for handles that only connect. It binds the connection to the handle again, until the
        handle leaves the loop that it is in.
        """
        curl = self._curl
        curl.setopt(pycurl.CONNECT_ONLY, 1)
        try:
            curl.recv(1)
        except BlockingIOError:
            return True
        except pycurl.error:  # closed
            return False
        finally:
            curl.setopt(pycurl.CONNECT_ONLY, 0)
        return False

    def _made_socket(self, number: int, _purpose: int) -> int:
        """libcurl's SOCKOPTFUNCTION: it has made a socket, and will connect it."""
        self._made.append(number)
        return int(pycurl.SOCKOPT_OK)

    def _before_sending(self, _remote: str, _local: str, _remote_port: int, local_port: int) -> int:
        """libcurl's PREREQFUNCTION: the connection is ready, and the request leaves when this returns OK."""
        call = self._call
        if call.asked:
            call.twice = True
            return _DO_NOT_SEND
        call.asked = True
        try:
            call.left = call.on_wire()
        except BaseException as error:  # noqa: BLE001 (libcurl cannot carry it; send raises it)
            call.raised = error
        if call.left and (self._idle.poll(0) if not self._made else self._speaks_first(local_port)):
            call.spoke_first = True
            call.left = False
        return _SEND if call.left else _DO_NOT_SEND

    def _speaks_first(self, local_port: int) -> bool:
        """Whether something came in on a new connection before the request leaves: it would be taken for its answer."""
        if self._secure:  # tickets of the handshake come at any time, and are no answer
            return False
        just_made = select.poll()
        for number in self._made:
            if _local_port(number) == local_port:
                just_made.register(number, select.POLLIN)
        return bool(just_made.poll(0))

    def _read_body(self, chunk: bytes) -> int:
        call = self._call
        call.body.append(chunk)
        call.body_bytes += len(chunk)
        if call.body_bytes > ANSWER_BYTES_MAX:
            call.too_large = True
            return 0
        return len(chunk)

    def _cause(self, trouble: CallTrouble, code: int, detail: str) -> Cause | None:
        """Why there is no whole answer; libcurl's code is exact for few things, so the system's error is asked too."""
        if trouble is CallTrouble.NOT_SENT:
            return None
        if trouble is CallTrouble.NOT_CONNECTED:
            return Cause.SPOKE_FIRST if self._call.spoke_first else self._connect_cause(code, detail)
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


def _trouble(call: _Call, code: int, detail: str) -> CallTrouble:
    if call.spoke_first:  # nothing was sent; a kept connection is just closed, a new one is not the money API's
        return CallTrouble.NOT_CONNECTED if call.idle_s is None else CallTrouble.NOT_SENT
    if not call.left:
        return CallTrouble.NOT_SENT if call.asked else CallTrouble.NOT_CONNECTED
    if call.twice:
        return CallTrouble.SENT_TWICE
    if call.too_large:
        return CallTrouble.TOO_LARGE
    if code == pycurl.E_RECV_ERROR and "chunk" in detail:  # it has no code of its own for chunks that are none
        return CallTrouble.GARBLED
    return _TROUBLES.get(code, CallTrouble.RESET)


def _local_port(number: int) -> int | None:
    """The port of a socket of libcurl's, which stays open; None where libcurl has closed it."""
    try:
        borrowed = socket.socket(fileno=number)
    except OSError:
        return None
    try:
        return int(borrowed.getsockname()[1])
    except (OSError, IndexError):
        return None
    finally:
        borrowed.detach()
