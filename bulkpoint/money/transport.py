"""One HTTP call, as both clients do it: what goes in, what comes out, and what neither of them ever does.

Neither follows a redirect, asks a proxy, reads a .netrc, keeps a cookie, repeats a call, or waits longer or reads more
than it was told. Whatever happens on the way is an answer (a Reply with trouble), not an exception.
"""

import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import certifi

from bulkpoint import __version__
from bulkpoint.errors import UsageError
from bulkpoint.rules.answers import CallTrouble

# The contract's answers are some hundred bytes; an error page of a gateway is a few kB.
ANSWER_BYTES_MAX = 65_536
# Servers close a connection after 5 s of silence and more; one that closes just as it is used again costs a perhaps.
IDLE_S_MAX = 4
USER_AGENT = f"bulkpoint/{__version__}"

# Asked at the moment a call is about to leave, with its connection ready; False keeps it here.
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

    status without trouble: a whole answer. status beside trouble: its head came, the rest did not. No status: nothing.
    """

    status: int | None
    body: bytes = b""
    retry_after: str | None = None
    trouble: CallTrouble | None = None
    detail: str | None = None


class Transport(Protocol):
    """One connection to money, kept open between calls. For one thread; closed by the thread that made it."""

    def send(self, request: HttpRequest, *, on_wire: OnWire) -> Reply:
        """Send one call and wait for its answer.

        on_wire is called once, right before the call leaves; what it raises comes out of here, and the call stays. The
        time limit of the call runs on in it. Nothing else is raised.
        """

    def close(self) -> None:
        """Close the connection."""


class Calls(Protocol):
    """Many calls under way side by side, begun and ended by one thread.

    An executor's cores are better spent on calls than on threads that hand the interpreter's lock round: with 16 calls
    under way libcurl's own loop takes a third of the CPU that 16 threads take (docs/decisions/0004).
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
    """Path of the certificates that money's is checked by: the settings' own, or the public ones for both clients.

    Raises UsageError where the settings' file holds none.
    """
    if ca_file is None:
        return certifi.where()
    try:
        ssl.create_default_context(cafile=str(ca_file))
    except (OSError, ssl.SSLError) as error:
        raise UsageError("MONEY_CA_FILE_UNREADABLE", file=str(ca_file), why=str(error)) from error
    return str(ca_file)
