"""A server of raw bytes: what it sends is written out byte by byte, and what it receives is kept byte by byte."""

import contextlib
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from typing import Protocol

RESET = "reset"
CLOSE = "close"

# One step of an answer: bytes to send, seconds or an event to wait for, or the end of the connection.
Step = bytes | float | str | threading.Event
# What the n-th request (from 1, over all connections) is answered with.
Script = Callable[[int], list[Step]]


class Certificate(Protocol):
    def configure_cert(self, context: ssl.SSLContext) -> None: ...


class RawServer:
    """requests: as they came; connections: how many there were."""

    def __init__(self, script: Script, certificate: Certificate | None, greeting: bytes, port: int) -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self._script = script
        self._greeting = greeting
        self._tls: ssl.SSLContext | None = None
        if certificate is not None:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            certificate.configure_cert(self._tls)
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port = self._listener.getsockname()[1]
        self.url = f"{'http' if certificate is None else 'https'}://127.0.0.1:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

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
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
                self._open.append(connection)
            with connection:
                connection.sendall(self._greeting)
                while request := read_request(connection):
                    self.requests.append(request)
                    if not _answer(connection, self._script(len(self.requests))):
                        return


def _answer(connection: socket.socket, steps: list[Step]) -> bool:
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


@contextlib.contextmanager
def serve_raw(
    script: Script, certificate: Certificate | None = None, *, greeting: bytes = b"", port: int = 0
) -> Iterator[RawServer]:
    """greeting: sent as soon as there is a connection, before any request. port: 0 for any that is free."""
    server = RawServer(script, certificate, greeting, port)
    try:
        yield server
    finally:
        server.close()
