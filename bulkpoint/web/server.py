"""The page as a process: where it may listen, its TLS, and the address that it prints."""

import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from bulkpoint.addresses import is_loopback
from bulkpoint.errors import UnreachableError, UsageError
from bulkpoint.log import Level
from bulkpoint.settings import Settings
from bulkpoint.web.app import make_app
from bulkpoint.web.site import Host
from bulkpoint.web.uploads import upload_folder

# Time for the last answers after a signal.
GRACE_S = 10
KEEP_ALIVE_S = 20
CONNECTIONS_MAX = 500
# Of a request's line and headers.
HEADER_BYTES_MAX = 32 * 1024


def refuse_open_door(settings: Settings, host: str, *, behind_proxy: bool) -> None:
    """Raises UsageError where passwords would be sent in the clear, or a database without logins be open to others."""
    if is_loopback(host):
        return
    if settings.database_url is None:
        raise UsageError("WEB_EMBEDDED_ONLY_HERE", "set_database_url", host=host)
    if settings.web_cert_file is None and not behind_proxy:
        raise UsageError("WEB_NEEDS_TLS", "set_web_tls", host=host)


def serve(
    settings: Settings,
    database_url: str,
    *,
    host: str,
    port: int,
    behind_proxy: bool,
    say: Callable[[str], None],
    log: Callable[..., None],
) -> None:
    """Serve until a signal. `say` is given the address, once the page can be reached there; `log` as Host has it.

    Raises UsageError where it may not listen there, UnreachableError where it cannot.
    """
    refuse_open_door(settings, host, behind_proxy=behind_proxy)
    with _listening(host, port) as listener, upload_folder() as uploads:
        tls = settings.web_cert_file is not None
        shown = f"[{host}]" if ":" in host else host
        ours = Host(
            settings,
            database_url,
            uploads,
            embedded=settings.database_url is None,
            behind_proxy=behind_proxy,
            hosts=_names(host, behind_proxy=behind_proxy),
            address=f"http{'s' if tls else ''}://{shown}:{listener.getsockname()[1]}/",
            say=say,
            log=log,
        )
        app = make_app(ours)
        logger = logging.getLogger("uvicorn")
        logger.handlers, logger.propagate = [_Lines(log)], False
        config = configured(app, ssl_certfile=settings.web_cert_file, ssl_keyfile=settings.web_key_file)
        _Server(_loaded(config), app.state.site.say_address).run(sockets=[listener])


def configured(app: ASGIApp, **more: Any) -> uvicorn.Config:
    """How the application is served. What a proxy says is read by web/guard.py, and nowhere else."""
    return uvicorn.Config(
        app,
        http="h11",
        loop="asyncio",
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
        limit_concurrency=CONNECTIONS_MAX,
        h11_max_incomplete_event_size=HEADER_BYTES_MAX,
        **more,
    )


def _names(host: str, *, behind_proxy: bool) -> frozenset[str]:
    """The names by which a page on loopback is asked: a site that leads its own name there gets no answer. Any name
    where TLS tells who is asked.
    """
    if behind_proxy or not is_loopback(host):
        return frozenset()
    return frozenset({"localhost", "127.0.0.1", "[::1]", f"[{host}]" if ":" in host else host})


def _loaded(config: uvicorn.Config) -> uvicorn.Config:
    """With its certificate. Raises UsageError where that cannot be used."""
    try:
        config.load()
    except OSError as error:  # also ssl.SSLError
        files = f"{config.ssl_certfile}, {config.ssl_keyfile}"
        raise UsageError("WEB_CERTIFICATE_UNUSABLE", files=files, why=error.strerror or str(error)) from error
    return config


class _Lines(logging.Handler):
    """What uvicorn has to say becomes a line of the page's own log; without tracebacks, which quote values."""

    def __init__(self, log: Callable[..., None]) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """One record."""
        level = Level.ERROR if record.levelno >= logging.ERROR else Level.WARNING
        self._log(record.getMessage(), event="server", level=level)


class _Server(uvicorn.Server):
    """uvicorn's, which says when it is ready."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_ready()


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        raise UnreachableError("WEB_CANNOT_LISTEN", host=host, port=port, why=error.strerror or str(error)) from error
    with listener:
        yield listener
