"""Many concurrent calls in libcurl's own loop (its "multi" interface), driven by one thread."""

import time
from collections.abc import Callable
from typing import Any

import pycurl

from bulkpoint.errors import UsageError
from bulkpoint.money.curl_transport import CurlTransport
from bulkpoint.money.transport import HttpRequest, OnWire, Reply
from bulkpoint.money.trust import Trust

# While libcurl has no socket to wait for (it connects, or resolves a name in a thread of its own).
NO_SOCKET_WAIT_S = 0.002


class CurlCalls:
    """Calls over handles with a connection each; see transport.Calls. One is made when all others are in use."""

    def __init__(self, make_transport: Callable[[], CurlTransport], trust: Trust) -> None:
        """trust: what the transports are made with."""
        self._make_transport = make_transport
        self._trust = trust
        self._idle: list[CurlTransport] = []
        self._busy: dict[pycurl.Curl, tuple[object, CurlTransport]] = {}
        self._renewed_under_way: set[CurlTransport] = set()  # they end with their call
        self._multi = pycurl.CurlMulti()

    @property
    def under_way(self) -> int:
        """Calls begun and not yet ended."""
        return len(self._busy)

    def begin(self, tag: object, request: HttpRequest, *, on_wire: OnWire, fresh: bool = False) -> None:
        """Begin a call; it is sent while `ended` runs."""
        transport = self._idle.pop() if self._idle else self._make_transport()
        curl = transport.begin(request, on_wire=on_wire, fresh=fresh)
        self._multi.add_handle(curl)
        self._busy[curl] = (tag, transport)

    def ended(self, wait_s: float) -> list[tuple[Any, Reply]]:
        """The calls that ended since the last time; waits up to `wait_s` for one."""
        if not self._busy:
            time.sleep(wait_s)
            return []
        self._multi.perform()
        replies = self._collect()
        if not replies and wait_s > 0:
            if self._multi.select(wait_s) == -1:
                time.sleep(min(wait_s, NO_SOCKET_WAIT_S))
            self._multi.perform()
            replies = self._collect()
        return replies

    def renew(self) -> UsageError | None:
        """Close the kept connections and read the CA file again; see transport.Calls."""
        wrong = self._trust.renew()
        for transport in self._idle:
            transport.close()
        self._idle.clear()
        self._renewed_under_way.update(transport for _, transport in self._busy.values())
        return wrong

    def close(self) -> None:
        """Close every connection; calls under way are given up."""
        for curl, (_, transport) in self._busy.items():
            self._multi.remove_handle(curl)
            self._idle.append(transport)
        self._busy.clear()
        self._multi.close()
        for transport in self._idle:
            transport.close()

    def _collect(self) -> list[tuple[Any, Reply]]:
        replies = []
        more = 1
        while more:
            more, succeeded, failed = self._multi.info_read()
            for curl in succeeded:
                replies.append(self._end(curl, None))
            for curl, code, detail in failed:
                replies.append(self._end(curl, (code, detail)))
        return replies

    def _end(self, curl: "pycurl.Curl", error: tuple[int, str] | None) -> tuple[Any, Reply]:
        tag, transport = self._busy.pop(curl)
        try:
            reply = transport.end(error)
        finally:
            self._multi.remove_handle(curl)
        if self._renewed_under_way and transport in self._renewed_under_way:
            self._renewed_under_way.remove(transport)
            transport.close()
        else:
            self._idle.append(transport)
        return tag, reply
