"""One HTTP call, as both clients do it: the request, the reply, and what neither of them ever does.

Neither follows a redirect, asks a proxy, reads a .netrc, keeps a cookie, repeats a call, or waits longer or reads more
than its limits. Any failure on the way is a Reply with trouble, not an exception.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from bulkpoint import __version__
from bulkpoint.errors import UsageError
from bulkpoint.rules.answers import CallTrouble
from bulkpoint.rules.causes import Cause
from bulkpoint.rules.invariants import invariant

# The contract's answers are a few hundred bytes; an error page of a gateway is a few kB.
ANSWER_BYTES_MAX = 65_536
USER_AGENT = f"bulkpoint/{__version__}"

# Called when a call is about to leave, with its connection ready; False: it must not leave.
OnWire = Callable[[], bool]


class HttpRequest(NamedTuple):
    """A call to be sent. `path` comes after the address in the settings. Headers are not shown: one is the token."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes | None

    def __repr__(self) -> str:
        return f"Request({self.method} {self.path})"


class Headers(Mapping[str, str]):
    """The headers of an answer, by name in any case; one that comes several times is joined by ", ".

    Made for each answer and hardly ever read, so it keeps the lines as they came and parses them when it is asked.
    """

    __slots__ = ("_complete", "_fields", "_lines")

    def __init__(self, lines: Sequence[bytes] = ()) -> None:
        """lines: as they came, also the status line, and the lines of interim answers (1xx) before it."""
        self._lines = lines
        self._fields: dict[str, str] | None = None
        self._complete = False

    @property
    def complete(self) -> bool:
        """Whether the empty line after the last header came."""
        self._parsed()
        return self._complete

    def __getitem__(self, name: str) -> str:
        return self._parsed()[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._parsed())

    def __len__(self) -> int:
        return len(self._parsed())

    def __repr__(self) -> str:
        return f"Headers({self._parsed()})"

    def __reduce__(self) -> tuple[type["Headers"], tuple[Sequence[bytes]]]:
        return Headers, (self._lines,)

    def _parsed(self) -> dict[str, str]:
        if self._fields is None:
            self._fields, self._complete = _parse_headers(self._lines)
        return self._fields


NO_HEADERS = Headers()


def _parse_headers(lines: Sequence[bytes]) -> tuple[dict[str, str], bool]:
    fields: dict[str, str] = {}
    name, ended = "", False
    for line in lines:
        text = line.decode("latin-1").rstrip("\r\n")
        if line.startswith(b"HTTP/"):  # what came before belongs to an interim answer
            fields, name, ended = {}, "", False
        elif ended:  # trailers, after a chunked body, are no headers
            continue
        elif not text:
            ended = True
        elif text[:1] in (" ", "\t"):  # a value that goes on, as older servers write it
            if name:
                fields[name] = f"{fields[name]} {text.strip()}"
        elif ":" in text:
            before, _, value = text.partition(":")
            name = before.strip().lower()
            fields[name] = f"{fields[name]}, {value.strip()}" if name in fields else value.strip()
    return fields, ended


class Reply(NamedTuple):
    """What came back. `detail` is the client's own sentence about `trouble`, and `cause` the name of its reason.

    status without trouble: a complete answer. status with trouble: the headers arrived, the rest did not. No status:
    nothing arrived.
    """

    status: int | None
    body: bytes = b""
    retry_after: str | None = None
    trouble: CallTrouble | None = None
    detail: str | None = None
    cause: Cause | None = None
    headers: Headers = NO_HEADERS


class Transport(Protocol):
    """One connection to the money API, kept open between calls. For one thread; closed by the thread that made it."""

    def send(self, request: HttpRequest, *, on_wire: OnWire, fresh: bool = False) -> Reply:
        """Send one call and wait for its answer. fresh: on a new connection, not on the one that is kept open.

        on_wire is called once, right before the call leaves; what it raises is raised here, and the call stays.
        The call's time limit includes the time in on_wire. DefectError: the adapter made a request that cannot be
        sent as it is. Nothing else is raised.
        """

    def close(self) -> None:
        """Close the connection."""


class Calls(Protocol):
    """Many concurrent calls, begun and ended by one thread.

    An executor's cores should make calls, not switch between threads that share the interpreter's lock: with 16 calls
    under way, libcurl's own loop takes a third of the CPU of 16 threads (docs/decisions/0004).
    """

    @property
    def under_way(self) -> int:
        """Calls begun and not yet ended."""

    def begin(self, tag: object, request: HttpRequest, *, on_wire: OnWire, fresh: bool = False) -> None:
        """Begin a call; `tag` comes back with its reply. on_wire as in Transport.send.

        fresh: on a connection of its own, because the last call of this payment was lost on one that was kept open.
        """

    def ended(self, wait_s: float) -> list[tuple[Any, Reply]]:
        """The calls that ended since the last time; waits up to `wait_s` for one. Raises what an on_wire raised."""

    def renew(self) -> UsageError | None:
        """Close the kept connections and read the CA file again: the next calls resolve the name and connect anew.

        Calls under way end as they are; their connections are not used again. A CA file that cannot be used changes
        nothing, and what is wrong with it is returned.
        """

    def close(self) -> None:
        """Close every connection; calls under way are given up."""


def header_lines(headers: Mapping[str, str]) -> list[str]:
    """The headers as lines; raises DefectError where one is not printable ASCII, such as one with a line break.

    It would say something else to the API, or be cut in two: an adapter must encode what comes from a target.
    """
    lines = [f"{name}: {value}" for name, value in headers.items()]
    text = "".join(lines)
    invariant(text.isascii() and text.isprintable(), "the adapter made a header that is not printable ASCII")
    return lines


def target_of(request: HttpRequest) -> str:
    """The request's path; raises DefectError where it is not printable ASCII without spaces, beginning with "/"."""
    path = request.path
    well_formed = path.startswith("/") and path.isascii() and path.isprintable() and " " not in path
    invariant(well_formed and "#" not in path, "the adapter made a path that is no request target")
    return path


def body_of(request: HttpRequest) -> bytes | None:
    """The bytes to send; a POST, PUT or PATCH without any says so by its Content-Length: many servers insist on it."""
    if request.body is None and request.method in ("POST", "PUT", "PATCH"):
        return b""
    return request.body


def retry_after(status: int, headers: Headers) -> str | None:
    """The header Retry-After of an answer that is not a plain success: only those may make us wait."""
    return None if status in (200, 201) else headers.get("retry-after")
