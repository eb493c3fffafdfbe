"""One HTTP call, as both clients do it: the request, the reply, and what neither of them ever does.

Neither follows a redirect, asks a proxy, reads a .netrc, keeps a cookie, repeats a call, or waits longer or reads more
than its limits. Any failure on the way is a Reply with trouble, not an exception.
"""

import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import certifi

from bulkpoint import __version__
from bulkpoint.errors import UsageError
from bulkpoint.rules.answers import CallTrouble

# The contract's answers are a few hundred bytes; an error page of a gateway is a few kB.
ANSWER_BYTES_MAX = 65_536
# Servers close a connection after 5 s of silence or more; if one closes while we reuse it, that call is in doubt.
IDLE_S_MAX = 4
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


class Reply(NamedTuple):
    """What came back. `detail` is the client's own sentence about `trouble`.

    status without trouble: a complete answer. status with trouble: the headers arrived, the rest did not. No status:
    nothing arrived.
    """

    status: int | None
    body: bytes = b""
    retry_after: str | None = None
    trouble: CallTrouble | None = None
    detail: str | None = None


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
    try:
        ssl.create_default_context(cafile=str(ca_file))
    except (OSError, ssl.SSLError) as error:
        raise UsageError("MONEY_CA_FILE_UNREADABLE", file=str(ca_file), why=str(error)) from error
    return str(ca_file)
