"""Servers that accept connections as money's address would, and answer as a test says: over TLS, or anything else."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

Answer = Callable[[socket.socket], None]


@contextmanager
def listener(answer: Answer, *, backlog: int = 8) -> Iterator[int]:
    """A port of this machine; each connection is handed to `answer`, then closed, those of the block all of them."""
    with socket.create_server(("127.0.0.1", 0), backlog=backlog) as server:
        ends: list[tuple[str, int]] = []  # where the connection that ends it comes from; those before it are answered

        def serve() -> None:
            while True:
                connection, peer = server.accept()
                with connection, suppress(OSError):
                    if peer in ends:
                        return
                    connection.settimeout(5)
                    answer(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            with socket.socket() as last:
                last.bind(("127.0.0.1", 0))
                ends.append(last.getsockname())
                last.connect(server.getsockname())
                thread.join(5)


def tls(context: ssl.SSLContext, received: list[bytes]) -> Answer:
    """Shakes hands, and keeps what the client says afterwards."""

    def answer(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secure:
            received.append(secure.recv(1000))

    return answer


def closes(_: socket.socket) -> None:
    """At once, without a word."""


def is_silent(connection: socket.socket) -> None:
    """Until the client leaves."""
    while connection.recv(1000):
        pass


def says(text: bytes) -> Answer:
    """Says this to whatever comes, and no more."""

    def answer(connection: socket.socket) -> None:
        connection.recv(1000)
        connection.sendall(text)

    return answer


@contextmanager
def port_that_answers_nobody() -> Iterator[int]:
    """As a firewall that drops what comes: its queue is full, and nothing more is accepted."""
    with (
        socket.create_server(("127.0.0.1", 0), backlog=0) as server,
        socket.socket() as first,
        socket.socket() as second,
    ):
        for connection in (first, second):
            connection.setblocking(False)
            connection.connect_ex(server.getsockname())
        yield server.getsockname()[1]
