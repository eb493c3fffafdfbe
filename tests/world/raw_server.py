"""A server of raw bytes: what it sends is written out byte by byte, and what it receives is kept byte by byte."""

import contextlib
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from typing import Protocol

from tests.world.tcp import ESTABLISHED, client_end, unacknowledged

RESET = "reset"
CLOSE = "close"

# One step of an answer: bytes to send, seconds or an event to wait for, or the end of the connection.
Step = bytes | float | str | threading.Event
# What the n-th request (from 1, over all connections) is answered with.
Script = Callable[[int], list[Step]]
# What is done with the n-th request, where steps do not say it; true: another one is read on this connection.
Answer = Callable[[socket.socket, int], bool]


class Certificate(Protocol):
    def configure_cert(self, context: ssl.SSLContext) -> None: ...


class RawServer:
    """requests: as they came; connections: how many there were; tls: or None."""

    def __init__(self, answer: Answer, certificate: Certificate | None, greeting: bytes = b"", port: int = 0) -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self._answer = answer
        self._greeting = greeting
        self.tls: ssl.SSLContext | None = None
        if certificate is not None:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            certificate.configure_cert(self.tls)
        self._answered = 0  # or given up, where the client closed
        self._open: list[socket.socket] = []
        self._by_client_port: dict[int, socket.socket] = {}
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port = self._listener.getsockname()[1]
        self.url = f"{'http' if certificate is None else 'https'}://127.0.0.1:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def settled(self) -> bool:
        """Whether there was a request, each is answered, and all of it has arrived: also the end of a connection."""
        return 0 < len(self.requests) == self._answered and all(map(self._has_arrived, self._by_client_port))

    def heard(self) -> bool:
        """Whether the client of the newest connection has something to read; its end is something, too."""
        if not self._by_client_port:
            return False
        end = client_end(list(self._by_client_port)[-1], self.port)
        return end is None or end.state != ESTABLISHED or end.unread > 0

    def _has_arrived(self, client_port: int) -> bool:
        with contextlib.suppress(OSError, ValueError):  # closed
            return unacknowledged(self._by_client_port[client_port]) == 0
        end = client_end(client_port, self.port)
        return end is None or end.state != ESTABLISHED

    def stop_listening(self) -> None:
        """Nobody can connect any more; what is connected stays."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def close(self) -> None:
        for opened in [self._listener, *self._open]:  # wakes the threads that wait in accept or recv
            with contextlib.suppress(OSError):
                opened.shutdown(socket.SHUT_RDWR)
            opened.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.connections += 1
                self._open.append(connection)
                threading.Thread(target=self._serve, args=[connection], daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            client_port = connection.getpeername()[1]
            if self.tls is not None:
                connection = self.tls.wrap_socket(connection, server_side=True)
                self._open.append(connection)
            self._by_client_port[client_port] = connection
            with connection:
                connection.sendall(self._greeting)
                while (request := read_request(connection)) and self._answered_wholly(connection, request):
                    pass

    def _answered_wholly(self, connection: socket.socket, request: bytes) -> bool:
        """Whether another request may come."""
        self.requests.append(request)
        goes_on = False
        try:
            goes_on = self._answer(connection, len(self.requests))
        finally:
            if not goes_on:
                connection.close()
            self._answered += 1
        return goes_on


def _take(connection: socket.socket, steps: list[Step]) -> bool:
    """Whether the connection stays open."""
    for step in steps:
        if isinstance(step, bytes):
            connection.sendall(step)
        elif isinstance(step, float):
            time.sleep(step)
        elif isinstance(step, threading.Event):
            step.wait(10)
        else:
            if step == RESET:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return False
    return True


def read_request(connection: socket.socket) -> bytes:
    """One whole request; empty where the other side has closed."""
    request = b""
    while b"\r\n\r\n" not in request:
        if not (chunk := connection.recv(65_536)):
            return b""
        request += chunk
    head, _, body = request.partition(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
    while len(body) < length:
        body += connection.recv(65_536)
    return head + b"\r\n\r\n" + body


def serve_raw(
    script: Script, certificate: Certificate | None = None, *, greeting: bytes = b"", port: int = 0
) -> AbstractContextManager[RawServer]:
    """greeting: sent as soon as there is a connection, before any request. port: 0 for any that is free."""

    def answer(connection: socket.socket, number: int) -> bool:
        return _take(connection, script(number))

    return closing(RawServer(answer, certificate, greeting, port))


def serve_raw_by(answer: Answer, certificate: Certificate | None = None) -> AbstractContextManager[RawServer]:
    """The same, where an answer is a function."""
    return closing(RawServer(answer, certificate))
