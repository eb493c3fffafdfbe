"""A payer that forgets idempotency keys, as some do after a minute: a call that comes later is credited anew."""

import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any


class ForgetfulMoney:
    """Speaks the contract, and has its own ledger of every credit it made. answers: whether callers learn of credits.

    Without answers it credits and says 500, to each POST; look-ups then get a 503.
    """

    def __init__(self, *, remembers_s: float) -> None:
        self.answers = False
        self.remembers_s = remembers_s
        self.credits = Counter[str]()
        self.requests = Counter[str]()
        self._ledger: list[dict[str, Any]] = []
        self._known: dict[str, tuple[float, dict[str, Any]]] = {}
        self._lock = Lock()
        handler = type("Handler", (_Handler,), {"money": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    @contextmanager
    def serving(self) -> Iterator["ForgetfulMoney"]:
        """While the block runs."""
        thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()

    def pay(self, key: str, order: dict[str, Any]) -> dict[str, Any]:
        """The credit of the key; a new one where the key is not known any more."""
        with self._lock:
            self.requests["POST"] += 1
            credit = self._find(key)
            if credit is None:
                self.credits[order["member_id"]] += 1
                credit = order | {"transaction_id": f"tx-{self.credits.total()}", "credited_at": "2026-01-31T09:00:00Z"}
                self._ledger.append(credit)
                self._known[key] = (time.monotonic(), credit)
            return credit

    def look_up(self, key: str) -> dict[str, Any] | None:
        """The credit of the key, while it is known."""
        with self._lock:
            self.requests["GET"] += 1
            return self._find(key)

    # As the sandbox has it

    def ledger(self) -> list[dict[str, Any]]:
        return list(self._ledger)

    def stats(self) -> dict[str, Any]:
        paid_twice = sum(count - 1 for count in self.credits.values())
        return {"requests": self.requests.total(), "paid_twice": paid_twice}

    def _find(self, key: str) -> dict[str, Any] | None:
        since, credit = self._known.get(key, (0.0, None))
        return credit if credit is not None and time.monotonic() - since < self.remembers_s else None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    money: ForgetfulMoney

    def do_POST(self) -> None:
        order = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        credit = self.money.pay(self.headers["Idempotency-Key"], order)
        if self.money.answers:
            self._answer(200, credit)
        else:
            self._answer(500, {"code": "INTERNAL"})

    def do_GET(self) -> None:
        credit = self.money.look_up(self.path.rpartition("/")[2])
        if not self.money.answers:
            self._answer(503, {"code": "UNAVAILABLE"})
        elif credit is None:
            self._answer(404, {"code": "KEY_NOT_FOUND"})
        else:
            self._answer(200, credit)

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Says nothing."""
