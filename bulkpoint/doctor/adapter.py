"""`bulkpoint doctor --adapter`: the adapter of the settings, with sample calls and sample replies. Sends nothing."""

import inspect
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

from bulkpoint.doctor.questions import problem
from bulkpoint.errors import BulkpointError, UsageError
from bulkpoint.money.adapter import Adapter, load_adapter
from bulkpoint.money.contract import PointsCall
from bulkpoint.money.transport import ANSWER_BYTES_MAX, Headers, HttpRequest, Reply
from bulkpoint.rules.answers import Answer, Outcome
from bulkpoint.rules.checks import Check, ok, warning
from bulkpoint.rules.refusals import Refusal
from bulkpoint.rules.targets import AMOUNT_MAX, MEMBER_ID_CHARACTERS_MAX, REASON_CHARACTERS_MAX
from bulkpoint.settings import Settings, money_secrets

# A signature over the time of day changes at least this often, in seconds.
CLOCK_STEP_S = 1.1
KEY, OTHER_KEY = UUID("0192aaaa-0000-7000-8000-000000000001"), UUID("0192aaaa-0000-7000-8000-000000000002")
CALL = PointsCall(KEY, 1, "member-1", 100, "sample")
SAMPLES = (
    CALL,
    PointsCall(KEY, 2**31, "회원 1", 1, "10주년 감사 포인트"),
    PointsCall(KEY, 1, "a/b?c=d&e%20\"'\\<>{}+;", AMOUNT_MAX, "line\nline\t\"'&=%<>"),
    PointsCall(KEY, 1, "é" * MEMBER_ID_CHARACTERS_MAX, 1, "🎁" * REASON_CHARACTERS_MAX),
    PointsCall(KEY, 1, "-", 1, ""),  # a look-up of `reconcile` has no reason
)
# What of a call must be in its request: without it, two calls would be one to the money API.
DIFFERENT = {
    "key": CALL._replace(key=OTHER_KEY),
    "member_id": CALL._replace(member_id="member-2"),
    "amount": CALL._replace(amount=101),
}
# What both clients put into a request line as it is.
_PATH = re.compile("/[!-~]*")
# Answers that settle a payment. In what is not the money API's own they would settle it wrongly.
_SETTLING = {Outcome.CREDITED, Outcome.REJECTED, Outcome.MISMATCH, Outcome.NOT_FOUND}
# Answers that say "surely not credited", or end a run.
_BOLD = {Outcome.NOT_TAKEN, Outcome.UNAUTHORIZED, Outcome.STOPPED}
# Of a method that no reply can make work.
_DEFECT = "defect"
_PAGE = b"<!DOCTYPE html><html><head><title>%d</title></head><body><h1>%d</h1><hr>nginx</body></html>"


class Foreign(NamedTuple):
    """A reply that is none of the money API's own, and a name for people: `404 HTML page`."""

    name: str
    reply: Reply


def foreign_replies() -> Iterator[Foreign]:
    """What gateways, proxies and broken servers have been seen to answer."""
    for status in (200, 201, 301, 400, 401, 403, 404, 405, 409, 422, 426, 429, 500, 502, 503):
        yield _foreign(f"{status} HTML page", status, _PAGE.replace(b"%d", str(status).encode()), "text/html")
        yield _foreign(f"{status} empty", status, b"", "text/plain")
    for name, body in (
        ("{}", b"{}"),
        ("null", b"null"),
        ("[]", b"[]"),
        ("a number", b"1e999"),
        ("cut JSON", b'{"status": "O'),
        ("60,000 brackets", b"[" * 60_000),
        ("binary", bytes(range(256)) * 16),
        ("UTF-16", "{}".encode("utf-16")),
        ("as large as is read", b"x" * ANSWER_BYTES_MAX),
    ):
        yield _foreign(f"200 with {name}", 200, body, "application/json")
    yield Foreign("200 without headers", Reply(200))
    yield Foreign("a status that is none", Reply(999, b"?"))


def _foreign(name: str, status: int, body: bytes, content_type: str) -> Foreign:
    lines = [b"HTTP/1.1 %d X\r\n" % status, b"Content-Type: %s\r\n" % content_type.encode(), b"\r\n"]
    return Foreign(name, Reply(status, body, headers=Headers(lines)))


def try_adapter(settings: Settings) -> Iterator[Check]:
    """Its requests, then how it reads replies that are not the money API's."""
    try:
        secrets = money_secrets(settings)
        with importing_as_a_worker():
            adapter = load_adapter(settings.money_adapter, secrets)
            checks = [problem("adapter-requests", each) for each in requests_problems(adapter)]
            checks = checks or [_repeated(adapter, partial(load_adapter, settings.money_adapter, secrets))]
    except (Exception, SystemExit) as error:  # noqa: BLE001 (code of others)
        yield problem("adapter-requests", _loaded_badly(settings, error))
        return
    yield from checks
    yield from read_foreign_replies(adapter)


def _loaded_badly(settings: Settings, error: BaseException) -> BulkpointError:
    if isinstance(error, BulkpointError):
        return error
    return UsageError("ADAPTER_RAISES", "correct_adapter", adapter=settings.money_adapter, why=_words(error))


@contextmanager
def importing_as_a_worker() -> Iterator[None]:
    """Workers of this machine find modules of the working folder too (they are started by `python -m`)."""
    here = str(Path.cwd())
    sys.path.append(here)
    try:
        yield
    finally:
        sys.path.remove(here)


def try_first_call(adapter: Adapter) -> None:
    """Raises UsageError where not even a plain payment, or its look-up, can be asked for: no run could pay."""
    for method in ("pay", "look_up"):
        wrong = _wrong_with_request(adapter, method, CALL)
        if wrong is not None:
            raise wrong


def requests_problems(adapter: Adapter) -> Iterator[BulkpointError]:
    """What is wrong with its requests, at once: they cannot be made or sent, or two calls have the same one."""
    for call in SAMPLES:
        for method in ("pay", "look_up"):
            wrong = _wrong_with_request(adapter, method, call)
            if wrong is not None:
                yield wrong
                return
    request = adapter.pay(CALL)
    for name, call in DIFFERENT.items():
        if _bytes_of(adapter.pay(call)) == _bytes_of(request):
            yield UsageError("REQUEST_LACKS", "put_into_request", method="pay", field=name)
    if _bytes_of(adapter.look_up(DIFFERENT["key"])) == _bytes_of(adapter.look_up(CALL)):
        yield UsageError("REQUEST_LACKS", "put_into_request", method="look_up", field="key")
    if _bytes_of(adapter.look_up(CALL)) == _bytes_of(request):
        yield UsageError("LOOK_UP_PAYS", "correct_adapter")


def _repeated(adapter: Adapter, make_another: Callable[[], Adapter]) -> Check:
    """Each worker makes an adapter of its own, and a retry comes seconds later: the bytes must be the same."""
    before = [adapter.pay(call) for call in SAMPLES]
    time.sleep(CLOCK_STEP_S)
    another = make_another()
    later = [another.pay(call) for call in SAMPLES]
    if [_bytes_of(request._replace(headers={})) for request in before] != [
        _bytes_of(request._replace(headers={})) for request in later
    ]:
        return problem("adapter-requests", UsageError("REQUEST_CHANGES", "make_requests_equal"))
    if [*map(_bytes_of, before)] != [*map(_bytes_of, later)]:
        return warning("adapter-requests", Refusal("HEADERS_CHANGE", {}, ("make_requests_equal",)))
    return ok("adapter-requests", Refusal("REQUESTS_ARE_EQUAL", {"samples": len(SAMPLES)}))


def _wrong_with_request(adapter: Adapter, method: str, call: PointsCall) -> BulkpointError | None:
    make: Callable[[PointsCall], object] = getattr(adapter, method)
    try:
        request = make(call)
    except Exception as error:  # noqa: BLE001 (code of others)
        return UsageError("REQUEST_RAISES", "correct_adapter", method=method, call=_shown(call), why=_words(error))
    why = _unsendable(request)
    return None if why is None else UsageError("REQUEST_UNUSABLE", "correct_adapter", method=method, part=why)


def _unsendable(request: object) -> str | None:
    """Which part of a request no client can send; None where all can."""
    if not isinstance(request, HttpRequest):
        return type(request).__name__
    if not (isinstance(request.method, str) and request.method.isascii() and request.method.isalpha()):
        return "method"
    if not (isinstance(request.path, str) and _PATH.fullmatch(request.path)):
        return "path"
    if not isinstance(request.headers, Mapping):
        return "headers"
    for name, value in request.headers.items():
        sendable = isinstance(name, str) and isinstance(value, str) and not set("\r\n\0") & set(name + value)
        if not (sendable and (name + value).isascii()):
            return "headers"
    return None if request.body is None or isinstance(request.body, bytes) else "body"


def read_foreign_replies(adapter: Adapter) -> Iterator[Check]:
    """A reply that is not the money API's own settles nothing. A method that raises counts as None, as in a run."""
    read: Counter[str] = Counter()
    wrong = []
    for method in ("read_pay", "read_look_up"):
        for name, reply in foreign_replies():
            outcome, check = _read_one(adapter, method, name, reply)
            read[outcome] += 1
            if check is not None:
                wrong.append(check)
            if outcome == _DEFECT:
                break  # it would be the same for each reply
    yield from wrong
    if not wrong:
        outcomes = tuple(f"{outcome} x {count}" for outcome, count in read.most_common())
        yield ok("adapter-replies", Refusal("PAGES_SETTLE_NOTHING", {"outcomes": outcomes}))


def _read_one(adapter: Adapter, method: str, name: str, reply: Reply) -> tuple[str, Check | None]:
    """What it says of a reply, and what is wrong with that."""
    facts = {"method": method, "reply": name}
    read: Callable[[PointsCall, Reply], object] = getattr(adapter, method)
    try:
        answer = read(CALL, reply)
    except Exception as error:  # noqa: BLE001 (code of others)
        if _takes_call_and_reply(read) and not isinstance(error, NameError | ImportError):
            return "raised", None  # as of a page where JSON was expected
        raises = UsageError("READING_RAISES", "correct_adapter", **facts, why=_words(error))
        return _DEFECT, problem("adapter-replies", raises)
    return _judge_answer(answer, facts)


def _judge_answer(answer: object, facts: dict[str, str]) -> tuple[str, Check | None]:
    if answer is None:
        return "None", None
    if not isinstance(answer, Answer):
        kind = type(answer).__name__
        return _DEFECT, problem("adapter-replies", UsageError("READING_GIVES_OTHER", "answer_none", **facts, kind=kind))
    outcome = str(answer.outcome)
    if answer.outcome in _SETTLING:
        settled = UsageError("SETTLED_BY_PAGE", "answer_none", **facts, outcome=outcome)
        return outcome, problem("adapter-replies", settled)
    if answer.outcome in _BOLD:
        return outcome, warning("adapter-replies", Refusal("BOLD_ABOUT_PAGE", {**facts, "outcome": outcome}))
    return outcome, None


def _takes_call_and_reply(read: Callable[[PointsCall, Reply], object]) -> bool:
    try:
        inspect.signature(read).bind(CALL, None)
    except TypeError:
        return False
    return True


def _bytes_of(request: HttpRequest) -> tuple[object, ...]:
    return request.method, request.path, sorted(request.headers.items()), request.body


def _shown(call: PointsCall) -> str:
    return ascii(call.member_id[:20])


def _words(error: BaseException) -> str:
    return (f"{type(error).__name__}: {error}".splitlines() or [""])[0].rstrip(".: ")
