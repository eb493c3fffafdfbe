"""Two money APIs of other contracts, each a server of its own with a ledger: for the adapters in conf/examples.

Own code, which shares nothing with the adapters: a judge. `Payer.next_answers` are given before anything is done.
"""

import hashlib
import hmac
import json
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

# Status, headers, body.
Raw = tuple[int, dict[str, str], bytes]


@dataclass
class Payer:
    """What both have in common: a ledger of one credit for each key, and answers that a test puts in front."""

    url: str = ""
    requests: int = 0
    next_answers: deque[Raw] = field(default_factory=deque)
    orders: dict[str, dict[str, Any]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Raw:
        """One request, one answer."""
        with self.lock:
            self.requests += 1
            if self.next_answers:
                return self.next_answers.popleft()
            return self.decide(method, path, headers, body)

    def decide(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Raw:
        raise NotImplementedError

    def stats(self) -> dict[str, Any]:
        return {"requests": self.requests, "paid_twice": 0}

    def ledger(self) -> list[dict[str, Any]]:
        return [order for order in self.orders.values() if order["transaction_id"] is not None]

    def book(self, key: str, member_id: str, amount: int, memo: str) -> dict[str, Any]:
        """The order under this key: a new one with its credit, or the one that is there."""
        number = len(self.orders) + 1
        new = {"member_id": member_id, "amount": amount, "memo": memo, "transaction_id": f"T{number:08}"}
        return self.orders.setdefault(key, new)


class SignedFormPayer(Payer):
    """Signed forms; always 200, with a resultCode."""

    KEY = "the-sign-key-of-a-merchant"

    def decide(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Raw:
        form, _, sign = body.rpartition(b"&sign=")
        right = hmac.new(self.KEY.encode(), form, hashlib.sha256).hexdigest()
        if headers.get("content-type", "").partition(";")[0] != "application/x-www-form-urlencoded":
            return 415, {"Content-Type": "text/html"}, b"<h1>Unsupported Media Type</h1>"
        if sign.decode() != right:
            return self._say("9002", "wrong signature")
        fields = dict(parse_qsl(form.decode(), strict_parsing=True))
        key = fields["orderId"]
        if (method, path) == ("POST", "/query.do"):
            return self._order(self.orders[key]) if key in self.orders else self._say("3001", "no such order")
        if fields["userId"].endswith("7"):
            return self._say("1002", "해지된 회원")
        order = self.book(key, fields["userId"], int(fields["amount"]), fields["memo"])
        if (order["member_id"], order["amount"]) != (fields["userId"], int(fields["amount"])):
            return self._say("2001", "another order has this id")
        return self._order(order)

    def _order(self, order: dict[str, Any]) -> Raw:
        return self._say(
            "0000", "OK", tid=order["transaction_id"], userId=order["member_id"], amount=str(order["amount"])
        )

    def _say(self, code: str, message: str, **fields: str) -> Raw:
        body = json.dumps({"resultCode": code, "resultMsg": message, **fields}).encode()
        return 200, {"Content-Type": "application/json"}, body


class AcceptAndPollPayer(Payer):
    """Takes with 202, credits when it is asked for the second time."""

    KEY = "an-api-key"

    def decide(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Raw:
        if headers.get("x-api-key") != self.KEY:
            return self._say(401, {"error": "BAD_KEY"})
        key = path.removeprefix("/transfers/")
        order = self.orders.get(key)
        if method == "GET":
            return self._say(404, {"error": "NO_SUCH_TRANSFER"}) if order is None else self._asked(order)
        fields = json.loads(body)
        if order is None:
            order = self.book(key, fields["user"], fields["points"], fields["memo"])
            order |= {"later": order["transaction_id"], "transaction_id": None, "asked": 0, "put": 0}
        order["put"] += 1
        if (order["member_id"], order["amount"]) != (fields["user"], fields["points"]):
            return self._say(409, {"error": "OTHER_CONTENT"})
        return self._say(202, {"status": "QUEUED"})

    def _asked(self, order: dict[str, Any]) -> Raw:
        order["asked"] += 1
        if order["member_id"].endswith("7"):
            return self._say(200, {"status": "DECLINED", "why": "MEMBER_CLOSED"})
        if order["asked"] < 2:
            return self._say(200, {"status": "WORKING"})
        order["transaction_id"] = order["later"]
        done = {"id": order["transaction_id"], "user": order["member_id"], "points": order["amount"]}
        return self._say(200, {"status": "DONE", **done})

    def _say(self, http_status: int, fields: dict[str, Any]) -> Raw:
        later = {"Retry-After": "1"} if fields.get("status") in ("QUEUED", "WORKING") else {}
        return http_status, {"Content-Type": "application/json", **later}, json.dumps(fields).encode()


@contextmanager
def serving(payer: Payer) -> Iterator[None]:
    """The payer on a port of its own, for the block."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, more, answer = payer.answer(self.command, self.path, headers, body)
            self.send_response(status)
            for name, value in {**more, "Content-Length": str(len(answer))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_POST = do_PUT = do  # noqa: N815 (http.server's names)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    payer.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
