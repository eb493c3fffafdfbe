"""A TCP proxy that a test puts between a worker and a server, to make the link between them stall, break, or lose."""

import socket
import threading
from typing import Self
from urllib.parse import urlsplit

# The end of every answer of PostgreSQL outside a transaction: ReadyForQuery, idle.
READY = b"Z\x00\x00\x00\x05I"
CHUNK_BYTES = 65_536


class StallingProxy:
    """Passes bytes both ways, one connection of the server for each of a client's, until it is told otherwise."""

    def __init__(self, url: str, *, port: int = 0) -> None:
        """url: of the server, with its port. port: the proxy's own; 0 for any that is free."""
        self.lost = 0  # answers that were made and never delivered
        self._server = urlsplit(url)
        self._to_server = threading.Event()
        self._to_client = threading.Event()
        self._refusing = False
        self._lock = threading.Lock()  # guards everything below
        self._links: set[_Link] = set()
        self._marker: bytes | None = None
        self._losses_left = 0
        self._passed: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", port))
        self.pass_on()

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, name="proxy", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        # A thread that is inside accept() would keep the port open.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        self.pass_on()

    @property
    def url(self) -> str:
        """The server's address, by way of the proxy."""
        host, port = self._listener.getsockname()
        login, at, _ = self._server.netloc.rpartition("@")
        return self._server._replace(netloc=f"{login}{at}{host}:{port}").geturl()

    def passed_to_server(self, marker: bytes) -> int:
        """How often these bytes went to the server so far; each time inside one write of the client."""
        with self._lock:
            return sum(chunk.count(marker) for chunk in self._passed)

    def stall(self, *, to_server: bool = True, to_client: bool = True) -> None:
        """Keep bytes back; connections stay open."""
        if to_server:
            self._to_server.clear()
        if to_client:
            self._to_client.clear()

    def pass_on(self) -> None:
        """Deliver what was kept back, and all that follows."""
        self._to_server.set()
        self._to_client.set()

    def cut(self, *, refuse: bool = False) -> None:
        """Close every connection; with `refuse` also every new one, until `accept`."""
        self._refusing = refuse
        with self._lock:
            links = list(self._links)
        for link in links:
            link.close()

    def accept(self) -> None:
        """Let new connections through again."""
        self._refusing = False

    def lose_answers_to(self, marker: bytes, times: int) -> None:
        """Deliver the next so many statements with these bytes in them; when the server has answered, cut instead.

        Outside a transaction the server answers once the statement is committed: what is lost is the reply to a COMMIT.
        """
        with self._lock:
            self._marker, self._losses_left = marker, times

    def loses_answer_to(self, sent: bytes) -> bool:
        """Whether the answer to these bytes of a client is one of those to be lost."""
        with self._lock:
            if self._marker is None or not self._losses_left or self._marker not in sent:
                return False
            self._losses_left -= 1
            return True

    def wait_to_pass(self, chunk: bytes, *, to_server: bool) -> None:
        """Return when the chunk may be delivered."""
        (self._to_server if to_server else self._to_client).wait()
        if to_server:
            with self._lock:
                self._passed.append(chunk)

    def forget(self, link: "_Link") -> None:
        """A connection is over."""
        with self._lock:
            self._links.discard(link)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._refusing:
                client.close()
                continue
            server = socket.create_connection((self._server.hostname, self._server.port))
            link = _Link(self, client, server)
            with self._lock:
                self._links.add(link)
            link.start()


class _Link:
    """One connection of a client, and the server's end of it."""

    def __init__(self, proxy: StallingProxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy = proxy
        self._client = client
        self._server = server
        self._loses_answer = False
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def start(self) -> None:
        threading.Thread(target=self._pass_to_server, daemon=True).start()
        threading.Thread(target=self._pass_to_client, daemon=True).start()

    def close(self) -> None:
        self._proxy.forget(self)
        for end in (self._client, self._server):
            try:
                end.shutdown(socket.SHUT_RDWR)  # wakes the thread that reads it; that one closes
            except OSError:
                end.close()

    def _pass_to_server(self) -> None:
        tail = b""  # the marker may lie across two chunks
        try:
            while chunk := self._client.recv(CHUNK_BYTES):
                self._proxy.wait_to_pass(chunk, to_server=True)
                if self._proxy.loses_answer_to(tail + chunk):
                    self._loses_answer, tail = True, b""
                else:
                    tail = chunk[-100:]
                self._server.sendall(chunk)
        except OSError:
            pass
        finally:
            self.close()
            self._client.close()

    def _pass_to_client(self) -> None:
        tail = b""
        try:
            while chunk := self._server.recv(CHUNK_BYTES):
                tail = (tail + chunk)[-len(READY) :]
                if self._loses_answer:
                    if tail == READY:
                        self._proxy.lost += 1
                        return
                    continue
                self._proxy.wait_to_pass(chunk, to_server=False)
                self._client.sendall(chunk)
        except OSError:
            pass
        finally:
            self.close()
            self._server.close()
