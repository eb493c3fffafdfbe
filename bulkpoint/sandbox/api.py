"""The money API's answers: the contract's rules over the ledger, faults on purpose, and the sandbox's own pages."""

import asyncio
import hmac
import json
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final, TypeVarTuple

from bulkpoint.sandbox.arrivals import Arrivals, LeakyBucket, SlidingSecond, Stalls
from bulkpoint.sandbox.faults import Fault, Faults
from bulkpoint.sandbox.ledger import Ledger
from bulkpoint.sandbox.orders import InvalidOrderError, Order, read_key, read_order
from bulkpoint.sandbox.refusals import WrongValueError
from bulkpoint.sandbox.wire import Answer, Connection, Request, error_answer, json_answer

Arguments = TypeVarTuple("Arguments")

POINTS: Final = "/v1/points"

IN_PROGRESS: Final = error_answer(409, "KEY_IN_PROGRESS", "a request with this key is in progress: ask again later")
MISMATCH: Final = error_answer(422, "KEY_MISMATCH", "this key was used with another body")
UNAUTHORIZED: Final = error_answer(401, "UNAUTHORIZED", "the token is missing or wrong", "WWW-Authenticate: Bearer\r\n")
LIMITER_PAGE: Final = Answer(503, b"<html><head><title>503 Service Temporarily Unavailable</title></head></html>")
NO_MEMBER: Final = error_answer(404, "MEMBER_NOT_FOUND", "there is no such member")
NO_KEY: Final = error_answer(404, "KEY_NOT_FOUND", "nothing was credited with this key")
NO_ROUTE: Final = error_answer(404, "NOT_FOUND", "there is nothing under this path")
NOT_JSON: Final = error_answer(415, "UNSUPPORTED_MEDIA_TYPE", "Content-Type must be application/json")
BROKEN: Final = error_answer(500, "INTERNAL", "something broke; whether it was before or after the credit is not said")
UNREADABLE: Final = Answer(200, b'{"transaction_id": ')
INSTEAD_OF_CREDIT: Final[Mapping[Fault | None, Answer]] = {Fault.CONFLICT: IN_PROGRESS, Fault.MISMATCH: MISMATCH}
INSTEAD_OF_SUCCESS: Final[Mapping[Fault | None, Answer]] = {Fault.CREDIT_THEN_500: BROKEN, Fault.UNREADABLE: UNREADABLE}


class SandboxMoney:
    """One credit per key, however often it is requested.

    Every answer under /v1 comes `latency_ms` after its request. A key is in progress from its first request until that
    is answered. The credit is made when the latency is over and answered once it is durable; `slow` comes on top, so a
    slow answer's credit exists long before it. A client that leaves changes nothing: what was read is credited.
    """

    def __init__(self, ledger: Ledger, faults: Faults, *, token: str | None) -> None:
        """token: None lets every client in."""
        self._ledger = ledger
        self._faults = faults
        self._authorization = None if token is None else f"Bearer {token}".encode()
        self._in_progress: dict[int, Order] = {}
        self._let_in = SlidingSecond()
        self._bucket = LeakyBucket()
        self._arrivals = Arrivals()
        self.stalls = Stalls()

    def arrived(self, request: Request) -> None:
        """Count a request; called the moment it has been read."""
        if request.path.startswith("/v1/"):
            self._arrivals.add(request.arrived_ns)

    def handle(self, request: Request, connection: Connection) -> None:
        """Answer a request, now or later, or close its connection."""
        if request.path.startswith("/v1/"):
            self._handle_v1(request, connection)
        elif request.problem is not None:
            connection.answer(request.problem)
        elif request.method == "GET" and request.path == "/sandbox/ledger":
            connection.answer_in_chunks("application/x-ndjson", self._ledger.public_lines())
        else:
            connection.answer(self._operate(request))

    # money API v1

    def _handle_v1(self, request: Request, connection: Connection) -> None:
        fault = self._faults.draw()
        answer = self._turned_away(request, fault)
        if answer is None:
            if request.path == POINTS:
                answer = self._post(request, connection, fault) if request.method == "POST" else _only("POST")
            elif request.path.startswith(POINTS + "/"):
                answer = self._find(request) if request.method == "GET" else _only("GET")
            else:
                answer = NO_ROUTE
        if answer is not None:
            self._after_latency(connection.answer, answer)

    def _turned_away(self, request: Request, fault: Fault | None) -> Answer | None:
        """The answer to a request that is refused before its content is looked at, else None."""
        limit = self._faults.tps_limit
        if limit and not self._is_let_in(limit):
            too_many = self._try_later(429, "TOO_MANY_REQUESTS", f"more than {limit} requests in a second")
            return LIMITER_PAGE if self._faults.limit_status == 503 else too_many
        match fault:
            case Fault.UNAVAILABLE:
                return self._try_later(503, "UNAVAILABLE", "money is out of order for a moment")
            case Fault.TOO_MANY:
                return self._try_later(429, "TOO_MANY_REQUESTS", "too many requests")
            case Fault.UNAUTHORIZED:
                return UNAUTHORIZED
        if self._authorization is not None and not hmac.compare_digest(
            request.authorization.encode("latin-1"), self._authorization
        ):
            return UNAUTHORIZED
        return request.problem

    def _is_let_in(self, limit: int) -> bool:
        now_ns = time.monotonic_ns()
        if self._faults.limit_burst is not None:
            return self._bucket.let_in(now_ns, rate=limit, burst=self._faults.limit_burst)
        if self._let_in.count(now_ns) >= limit:
            return False
        self._let_in.add(now_ns)
        return True

    def _try_later(self, status: int, code: str, message: str) -> Answer:
        after = self._faults.retry_after
        return error_answer(status, code, message, "" if after is None else f"Retry-After: {after}\r\n")

    def _find(self, request: Request) -> Answer:
        try:
            credit = self._ledger.find(read_key(request.path.removeprefix(POINTS + "/")))
        except InvalidOrderError:
            credit = None
        if credit is None:
            return NO_KEY
        order = credit.order
        return json_answer(
            200,
            {
                "transaction_id": credit.transaction_id,
                "campaign_id": order.campaign_id,
                "member_id": order.member_id,
                "amount": order.amount,
            },
        )

    def _post(self, request: Request, connection: Connection, fault: Fault | None) -> Answer | None:  # noqa: PLR0911 (one exit for each of the contract's cases)
        """The answer, or None if the credit, the answer or the closing comes later."""
        if request.content_type.partition(";")[0].strip().lower() != "application/json":
            return NOT_JSON
        try:
            key = read_key(request.idempotency_key)
            order = read_order(request.body)
        except InvalidOrderError as error:
            return error_answer(400, "INVALID_REQUEST", str(error))
        if fault is Fault.CLOSE_BEFORE_CREDIT:
            self._after_latency(connection.reset)
            return None
        if fault in INSTEAD_OF_CREDIT:
            return INSTEAD_OF_CREDIT[fault]
        begun = self._in_progress.get(key)
        if begun is not None:
            return IN_PROGRESS if begun == order else MISMATCH
        credit = self._ledger.find(key)
        if credit is not None:
            if credit.order != order:
                return MISMATCH
            self._after_latency(self._credited, connection, fault, Answer(200, _body(credit.transaction_id)))
            return None
        if self._faults.rejects(order.member_id):
            return NO_MEMBER
        self._begin(key, order, connection, fault)
        return None

    def _begin(self, key: int, order: Order, connection: Connection, fault: Fault | None) -> None:
        self._in_progress[key] = order

        def on_durable(transaction_id: str) -> None:
            self._credited(connection, fault, Answer(201, _body(transaction_id)), key)

        self._after_latency(self._ledger.credit, key, order, on_durable)

    def _credited(self, connection: Connection, fault: Fault | None, answer: Answer, key: int | None = None) -> None:
        """Answer with a durable credit, as far as the fault allows; a key in progress stays so until then."""
        if fault is Fault.SLOW:
            asyncio.get_running_loop().call_later(self._faults.slow_s, self._credited, connection, None, answer, key)
            return
        if key is not None:
            del self._in_progress[key]
        if fault is Fault.CREDIT_THEN_CLOSE:
            connection.close()
        else:
            connection.answer(INSTEAD_OF_SUCCESS.get(fault, answer))

    def _after_latency(self, act: Callable[[*Arguments], None], *arguments: *Arguments) -> None:
        latency_ms = self._faults.latency_ms
        if latency_ms:
            asyncio.get_running_loop().call_later(latency_ms / 1000, act, *arguments)
        else:
            act(*arguments)

    # The sandbox's own pages

    def _operate(self, request: Request) -> Answer:
        pages: dict[str, dict[str, Callable[[Request], Answer]]] = {
            "/sandbox/stats": {"GET": self._show_stats},
            "/sandbox/stats/reset": {"POST": self._reset_stats},
            "/sandbox/arrivals": {"GET": self._show_arrivals},
            "/sandbox/faults": {"GET": self._show_faults, "PUT": self._change_faults},
            "/sandbox/ledger": {"GET": lambda _: NO_ROUTE},  # answered in chunks, see handle
        }
        page = pages.get(request.path)
        if page is None:
            return NO_ROUTE
        act = page.get(request.method)
        return _only(", ".join(page)) if act is None else act(request)

    def _show_stats(self, _request: Request) -> Answer:
        return json_answer(
            200,
            {
                "credits": self._ledger.credits,
                "amount": self._ledger.amount,
                "paid_twice": self._ledger.paid_twice,
                "requests": self._arrivals.requests,
                "max_per_second": self._arrivals.max_per_second,
                "stall_ms_max": round(self.stalls.max_ms, 1),
            },
        )

    def _reset_stats(self, request: Request) -> Answer:
        """Start the measurements again; the ledger's figures stay."""
        self._arrivals.reset()
        self.stalls.reset()
        return self._show_stats(request)

    def _show_arrivals(self, _request: Request) -> Answer:
        last_at = self._arrivals.last_at
        text = None if last_at is None else datetime.fromtimestamp(last_at, UTC).isoformat(timespec="microseconds")
        return json_answer(200, {"last_arrival_at": text and text.replace("+00:00", "Z")})

    def _show_faults(self, _request: Request) -> Answer:
        return json_answer(200, self._faults.settings())

    def _change_faults(self, request: Request) -> Answer:
        try:
            wanted = json.loads(request.body.decode())
        except (ValueError, RecursionError):
            wanted = None
        if not isinstance(wanted, dict):
            return error_answer(400, "INVALID_FAULTS", "the body must be a JSON object of settings")
        try:
            self._faults.change(wanted)
        except WrongValueError as error:
            return error_answer(400, "INVALID_FAULTS", str(error))
        return json_answer(200, self._faults.settings())


def _only(methods: str) -> Answer:
    return error_answer(405, "METHOD_NOT_ALLOWED", f"this path takes {methods}", f"Allow: {methods}\r\n")


def _body(transaction_id: str) -> bytes:
    return f'{{"transaction_id": "{transaction_id}"}}'.encode()
