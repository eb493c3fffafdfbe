"""The page as a process: where it may listen, its TLS, and the address that it prints."""

import ipaddress
import shutil
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path

import uvicorn

from bulkpoint.errors import UnreachableError, UsageError
from bulkpoint.settings import Settings
from bulkpoint.web.app import make_app
from bulkpoint.web.door import Door
from bulkpoint.web.site import Host

# Time for the last answers after a signal.
GRACE_S = 10
KEEP_ALIVE_S = 20
CONNECTIONS_MAX = 500
# Of a request's line and headers.
HEADER_BYTES_MAX = 32 * 1024


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def refuse_open_door(settings: Settings, host: str, *, behind_proxy: bool) -> None:
    """Raises UsageError where passwords would be sent in the clear, or a database without logins be open to others."""
    if is_loopback(host):
        return
    if settings.database_url is None:
        raise UsageError("WEB_EMBEDDED_ONLY_HERE", "set_database_url", host=host)
    if settings.web_cert_file is None and not behind_proxy:
        raise UsageError("WEB_NEEDS_TLS", "set_web_tls", host=host)


def serve(
    settings: Settings, database_url: str, *, host: str, port: int, behind_proxy: bool, say: Callable[[str], None]
) -> None:
    """Serve until a signal. `say` is given the address, once the page can be reached there.

    Raises UsageError where it may not listen there, UnreachableError where it cannot.
    """
    refuse_open_door(settings, host, behind_proxy=behind_proxy)
    uploads = Path(tempfile.mkdtemp(prefix="bulkpoint-web-"))
    try:
        listener = _listen(host, port)
        port = listener.getsockname()[1]
        tls = settings.web_cert_file is not None
        door = Door()
        named = (
            frozenset({"localhost", "127.0.0.1", "[::1]", host})
            if is_loopback(host) and not behind_proxy
            else frozenset()
        )
        ours = Host(
            settings,
            database_url,
            uploads,
            embedded=settings.database_url is None,
            behind_proxy=behind_proxy,
            tls=tls,
            hosts=named,
        )
        shown = f"[{host}]" if ":" in host else host
        address = f"http{'s' if tls else ''}://{shown}:{port}/"
        if ours.embedded:
            address += f"sign-in?token={door.new_token()}"
        config = uvicorn.Config(
            make_app(ours, door),
            http="h11",
            loop="asyncio",
            ws="none",
            lifespan="on",
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=GRACE_S,
            limit_concurrency=CONNECTIONS_MAX,
            h11_max_incomplete_event_size=HEADER_BYTES_MAX,
            ssl_certfile=settings.web_cert_file,
            ssl_keyfile=settings.web_key_file,
        )
        _Server(config, lambda: say(address)).run(sockets=[listener])
    finally:
        shutil.rmtree(uploads, ignore_errors=True)


class _Server(uvicorn.Server):
    """uvicorn's, which says when it is ready."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_ready()


def _listen(host: str, port: int) -> socket.socket:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = found[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        raise UnreachableError("WEB_CANNOT_LISTEN", host=host, port=port, why=error.strerror or str(error)) from error
    return listener
