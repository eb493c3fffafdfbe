"""A money API of a test's own that keeps its contract, but for what the test takes away."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

JSON = "application/json"


@dataclass
class Payer:
    """What it has credited, and how it differs from the contract. shows_after_s: until a look-up sees a credit."""

    deduplicates: bool = True
    compares_bodies: bool = True
    checks_token: bool = True
    not_found: tuple[int, str] = (404, '{"code": "KEY_NOT_FOUND"}')
    content_type: str = JSON
    shows_after_s: float = 0.0
    refuses: tuple[int, str] | None = None
    calls: list[str] = field(default_factory=list)
    credits: dict[str, tuple[dict[str, Any], str, float]] = field(default_factory=dict)
    credited: int = 0
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def pay(self, key: str, order: dict[str, Any]) -> tuple[int, str]:
        if self.refuses:
            return self.refuses
        if key in self.credits and self.deduplicates:
            known, transaction_id, _ = self.credits[key]
            if known != order and self.compares_bodies:
                return 422, '{"code": "KEY_USED_WITH_ANOTHER_BODY"}'
            return 200, json.dumps({"transaction_id": transaction_id})
        self.credited += 1
        transaction_id = f"tx-{self.credited}"
        self.credits[key] = order, transaction_id, time.monotonic()
        return 201, json.dumps({"transaction_id": transaction_id})

    def look_up(self, key: str) -> tuple[int, str]:
        if key not in self.credits or time.monotonic() < self.credits[key][2] + self.shows_after_s:
            return self.not_found
        order, transaction_id, _ = self.credits[key]
        return 200, json.dumps({"transaction_id": transaction_id, **order})


@contextmanager
def payer(token: str, **changes: Any) -> Iterator[Payer]:
    """One that listens, for the block."""
    its = Payer(**changes)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            order = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            its.calls.append("POST")
            self._answer(*self._unless_refused(lambda: its.pay(self.headers["Idempotency-Key"], order)))

        def do_GET(self) -> None:
            its.calls.append("GET")
            self._answer(*self._unless_refused(lambda: its.look_up(self.path.rpartition("/")[2])))

        def _unless_refused(self, answer: Any) -> tuple[int, str]:
            if its.checks_token and self.headers.get("Authorization") != f"Bearer {token}":
                return 401, '{"code": "UNAUTHORIZED"}'
            found: tuple[int, str] = answer()
            return found

        def _answer(self, status: int, body: str) -> None:
            content = body.encode()
            self.send_response(status)
            self.send_header("Content-Type", its.content_type)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        its.port = server.server_port
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield its
        server.shutdown()
