"""Can the money API be reached? Name, connection and TLS, as a call would have them, and no request.

By Python's own sockets and not by a client of the money API: those connect only in order to send, and every request
passes the gate (pay/call_loop.py).
"""

import socket
import ssl
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from bulkpoint.money.causes import cause_of_os_error, cause_of_tls_error, cause_of_verification
from bulkpoint.money.trust import ca_bundle
from bulkpoint.rules.causes import Cause

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Reached:
    """A connection was made, and closed. tls: its version, None over plain HTTP. only_http2: no HTTP/1.1 is offered."""

    address: str
    tls: str | None
    took_s: float
    only_http2: bool = False


@dataclass(frozen=True, slots=True)
class NotReached:
    """No connection. detail: the system's or OpenSSL's own words."""

    cause: Cause
    detail: str


def try_to_reach(url: str, ca_file: Path | None, *, seconds_max: float) -> Reached | NotReached:
    """Resolve the name, connect, and shake hands where it is https; in `seconds_max` at most.

    Raises UsageError for a CA file that cannot be used.
    """
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
    context = None if parts.scheme == "http" else _context(ca_file, "http/1.1")
    began = time.monotonic()
    deadline = began + seconds_max
    addresses = _resolve(host, port, deadline)
    if isinstance(addresses, NotReached):
        return addresses
    failure = NotReached(Cause.NO_ROUTE, "")
    for family, address in addresses:
        tried = _connect(family, address, host, context, deadline)
        if isinstance(tried, NotReached):
            failure = tried
            continue
        protocol, tls = tried
        only_http2 = (
            context is not None and protocol is None and _speaks_http2(family, address, host, ca_file, deadline)
        )
        return Reached(_shown(address), tls, time.monotonic() - began, only_http2)
    return failure


Address = tuple[str, int] | tuple[str, int, int, int]


def _resolve(host: str, port: int, deadline: float) -> list[tuple[int, Address]] | NotReached:
    """In a thread of its own, which is left behind where the resolver takes too long: nothing can interrupt it."""
    found: list[list[tuple[int, Address]] | NotReached] = []

    def look_up() -> None:
        try:
            entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            found.append([(family, address) for family, _, _, _, address in entries])  # type: ignore[misc]
        except (OSError, UnicodeError) as error:  # UnicodeError: no name of a host is like this
            found.append(NotReached(Cause.NAME_NOT_RESOLVED, _words(error)))

    thread = threading.Thread(target=look_up, name=f"resolve {host}", daemon=True)
    thread.start()
    thread.join(max(0.0, deadline - time.monotonic()))
    return found[0] if found else NotReached(Cause.NAME_NOT_RESOLVED, "the resolver does not answer")


def _connect(
    family: int, address: Address, host: str, context: ssl.SSLContext | None, deadline: float
) -> tuple[str | None, str | None] | NotReached:
    """The protocol that was agreed on and the version of TLS, both None over plain HTTP."""
    try:
        with socket.socket(family, socket.SOCK_STREAM) as connection:
            connection.settimeout(max(0.001, deadline - time.monotonic()))
            try:
                connection.connect(address)
            except OSError as error:
                return NotReached(_cause_of_connecting(error), _words(error))
            if context is None:
                return None, None
            connection.settimeout(max(0.001, deadline - time.monotonic()))
            with context.wrap_socket(connection, server_hostname=host) as secure:
                return secure.selected_alpn_protocol(), secure.version()
    except (OSError, ValueError) as error:  # ValueError: no name that a certificate can have
        return NotReached(_cause_of_handshake(error), _words(error))


def _speaks_http2(family: int, address: Address, host: str, ca_file: Path | None, deadline: float) -> bool:
    """A server that knows of protocols, agrees to none for HTTP/1.1 and agrees to HTTP/2 offers nothing else."""
    tried = _connect(family, address, host, _context(ca_file, "h2"), deadline)
    return not isinstance(tried, NotReached) and tried[0] == "h2"


def _context(ca_file: Path | None, protocol: str) -> ssl.SSLContext:
    """As both clients have it: TLS 1.2 or later, the certificate and its name are checked."""
    context = ssl.create_default_context(cafile=ca_bundle(ca_file))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols([protocol])
    return context


def _cause_of_connecting(error: OSError) -> Cause:
    if isinstance(error, TimeoutError):
        return Cause.CONNECT_TIMED_OUT
    return cause_of_os_error(error.errno) or Cause.NOT_CONNECTED


def _cause_of_handshake(error: Exception) -> Cause:
    match error:
        case ssl.SSLCertVerificationError():
            return cause_of_verification(error.verify_code)
        case ssl.SSLError():
            return cause_of_tls_error(str(error))
    return Cause.TLS_FAILED


def _words(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.lower().replace("_", " ")
    return (getattr(error, "strerror", None) or str(error)).rstrip(".")


def _shown(address: Address) -> str:
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
