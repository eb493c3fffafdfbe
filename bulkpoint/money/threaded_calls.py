"""Many concurrent calls over a client that makes one at a time: one thread per call under way."""

import threading
from collections.abc import Callable
from contextlib import closing
from queue import Empty, SimpleQueue
from typing import Any

from bulkpoint.errors import UsageError
from bulkpoint.money.transport import HttpRequest, OnWire, Reply, Transport
from bulkpoint.money.trust import Trust


class ThreadedCalls:
    """Calls over blocking transports; see transport.Calls. A thread is started when all others are in use."""

    def __init__(self, make_transport: Callable[[], Transport], trust: Trust) -> None:
        """trust: what the transports are made with."""
        self._make_transport = make_transport
        self._trust = trust
        self._renewals = 0
        self._begun: SimpleQueue[tuple[object, HttpRequest, OnWire, bool] | None] = SimpleQueue()
        self._ended: SimpleQueue[tuple[object, Reply | BaseException]] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._under_way = 0

    @property
    def under_way(self) -> int:
        """Calls begun and not yet ended."""
        return self._under_way

    def begin(self, tag: object, request: HttpRequest, *, on_wire: OnWire, fresh: bool = False) -> None:
        """Begin a call."""
        self._under_way += 1
        if self._under_way > len(self._threads):
            thread = threading.Thread(target=self._work, name="call", daemon=True)
            thread.start()
            self._threads.append(thread)
        self._begun.put((tag, request, on_wire, fresh))

    def ended(self, wait_s: float) -> list[tuple[Any, Reply]]:
        """The calls that ended since the last time; waits up to `wait_s` for one."""
        replies: list[tuple[Any, Reply]] = []
        try:
            while True:
                tag, reply = self._ended.get(timeout=wait_s) if wait_s > 0 and not replies else self._ended.get_nowait()
                self._under_way -= 1
                if isinstance(reply, BaseException):
                    raise reply
                replies.append((tag, reply))
        except Empty:
            return replies

    def renew(self) -> UsageError | None:
        """Read the CA file again; each thread makes its connection anew before its next call; see transport.Calls."""
        wrong = self._trust.renew()
        self._renewals += 1
        return wrong

    def close(self) -> None:
        """Join the threads: calls under way end first, by their time limit at the latest."""
        for _ in self._threads:
            self._begun.put(None)
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        call = self._begun.get()
        while call is not None:
            renewals = self._renewals
            with closing(self._make_transport()) as transport:
                while call is not None and renewals == self._renewals:
                    self._send(transport, *call)
                    call = self._begun.get()

    def _send(self, transport: Transport, tag: object, request: HttpRequest, on_wire: OnWire, fresh: bool) -> None:
        try:
            self._ended.put((tag, transport.send(request, on_wire=on_wire, fresh=fresh)))
        except BaseException as error:  # noqa: BLE001 (raised again in the thread that asks for what ended)
            self._ended.put((tag, error))
