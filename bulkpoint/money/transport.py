"""One HTTP call, as both clients do it: the request, the reply, and what neither of them ever does.

Neither follows a redirect, asks a proxy, reads a .netrc, keeps a cookie, repeats a call, or waits longer or reads more
than its limits. Any failure on the way is a Reply with trouble, not an exception.
"""

import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import certifi

from bulkpoint import __version__
from bulkpoint.errors import UsageError
from bulkpoint.files import NotAFileError, read_bounded
from bulkpoint.rules.answers import CallTrouble
from bulkpoint.rules.causes import Cause
from bulkpoint.rules.refusals import Refusal

# The contract's answers are a few hundred bytes; an error page of a gateway is a few kB.
ANSWER_BYTES_MAX = 65_536
# Servers close a connection after 5 s of silence or more; if one closes while we reuse it, that call is in doubt.
IDLE_S_MAX = 4
# The public CAs together are 300 kB.
CA_FILE_BYTES_MAX = 10_000_000
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

    __slots__ = ("_fields", "_lines")

    def __init__(self, lines: Sequence[bytes] = ()) -> None:
        """lines: as they came, also the status line, and the lines of interim answers (1xx) before it."""
        self._lines = lines
        self._fields: dict[str, str] | None = None

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
            self._fields = _parse_headers(self._lines)
        return self._fields


NO_HEADERS = Headers()


def _parse_headers(lines: Sequence[bytes]) -> dict[str, str]:
    fields: dict[str, str] = {}
    name = ""
    for line in lines:
        text = line.decode("latin-1").rstrip("\r\n")
        if line.startswith(b"HTTP/"):  # what came before belongs to an interim answer
            fields, name = {}, ""
        elif text[:1] in (" ", "\t"):  # a value that goes on, as older servers write it
            if name:
                fields[name] = f"{fields[name]} {text.strip()}"
        elif ":" in text:
            before, _, value = text.partition(":")
            name = before.strip().lower()
            fields[name] = f"{fields[name]}, {value.strip()}" if name in fields else value.strip()
    return fields


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

    def send(self, request: HttpRequest, *, on_wire: OnWire) -> Reply:
        """Send one call and wait for its answer.

        on_wire is called once, right before the call leaves; what it raises is raised here, and the call stays.
        The call's time limit includes the time in on_wire. Nothing else is raised.
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

    def begin(self, tag: object, request: HttpRequest, *, on_wire: OnWire) -> None:
        """Begin a call; `tag` comes back with its reply. on_wire as in Transport.send."""

    def ended(self, wait_s: float) -> list[tuple[Any, Reply]]:
        """The calls that ended since the last time; waits up to `wait_s` for one. Raises what an on_wire raised."""

    def close(self) -> None:
        """Close every connection; calls under way are given up."""


def ca_bundle(ca_file: Path | None) -> str:
    """Path of the CA certificates for the API's own: the file in the settings, or the public ones for both clients.

    Raises UsageError where the file in the settings has none.
    """
    if ca_file is None:
        return certifi.where()
    why: str | Refusal | None = None
    try:
        content = read_bounded(ca_file, CA_FILE_BYTES_MAX)
        if b"CERTIFICATE-----" not in content:
            why = Refusal("HAS_NO_CERTIFICATE")
        else:
            ssl.create_default_context(cafile=str(ca_file))
    except NotAFileError as error:
        why = Refusal("IT_IS", {"kind": Refusal(error.kind)})
    except OSError as error:  # OpenSSL's are OSErrors too
        why = error.strerror or str(error)
    if why is not None:
        raise UsageError("MONEY_CA_FILE_UNREADABLE", file=str(ca_file), why=why)
    return str(ca_file)
