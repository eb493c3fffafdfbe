"""The sandbox as a process: opens the ledger, listens on loopback, says when it is ready, and ends cleanly."""

import asyncio
import errno
import gc
import ipaddress
import os
import secrets
import signal
import sys
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import uvloop

from bulkpoint.sandbox.api import SandboxMoney
from bulkpoint.sandbox.arrivals import Stalls
from bulkpoint.sandbox.faults import Faults
from bulkpoint.sandbox.ledger import Ledger
from bulkpoint.sandbox.refusals import NotServingError, WrongValueError
from bulkpoint.sandbox.wire import Connection

BACKLOG = 4_096  # connections that wait to be accepted; the system may allow fewer


def serve(
    *,
    port: int,
    host: str = "127.0.0.1",
    ledger: Path | None,
    latency_ms: int,
    tps_limit: int,
    faults: Mapping[str, float],
    token: str | None = None,
    seed: int | None = None,
    exit_with_parent: bool = False,
) -> None:
    """Serve the money API until SIGINT or SIGTERM; returns when the ledger is on the disk.

    Prints `sandbox money on http://<host>:<port>` on stdout once it accepts connections; port 0 takes a free one. The
    seed of the faults is random if not given, and printed on stderr if there are faults. With ledger None, the credits
    are gone with the process. With exit_with_parent it also ends when the process that started it does.

    Raises WrongValueError for impossible values, LedgerError for a ledger that cannot be used, NotServingError if the
    port is taken or the disk fails.
    """
    if not _is_loopback(host):
        raise WrongValueError(f"the sandbox listens on loopback only, and {host!r} is not: use 127.0.0.1")
    if seed is None:
        seed = secrets.randbits(32)
    settings = Faults(faults, latency_ms=latency_ms, tps_limit=tps_limit, seed=seed)
    if any(faults.values()):
        print(f"seed of the faults: {seed}", file=sys.stderr, flush=True)
    parent = os.getppid() if exit_with_parent else None
    uvloop.run(_serve(host, port, ledger, settings, token=token, parent=parent))


async def _serve(
    host: str, port: int, path: Path | None, faults: Faults, *, token: str | None, parent: int | None
) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    disk_errors: list[OSError] = []

    def on_failure(error: OSError) -> None:
        disk_errors.append(error)
        ended.set()

    ledger = Ledger(path, on_failure=on_failure)
    try:
        gc.freeze()  # the index of a long ledger need not be looked through again and again
        money = SandboxMoney(ledger, faults, token=token)
        ticking = loop.create_task(_tick(money.stalls, parent, ended))
        connections: set[Connection] = set()
        new_connection = partial(Connection, money.arrived, money.handle, connections)
        try:
            server = await loop.create_server(new_connection, host, port, backlog=BACKLOG)
        except (OSError, OverflowError) as error:
            raise NotServingError(_why_not_listening(host, port, error)) from error
        print(f"sandbox money on http://{host}:{server.sockets[0].getsockname()[1]}", flush=True)
        await ended.wait()
        ticking.cancel()
        server.close()
        for connection in list(connections):
            connection.reset()  # further requests would keep the ledger from ever finishing
    finally:
        await ledger.close()
    if disk_errors:
        raise NotServingError(
            f"the ledger {path} cannot be written ({disk_errors[0].strerror}): credits without an answer may be lost; "
            "make room and start again"
        ) from disk_errors[0]


async def _tick(stalls: Stalls, parent: int | None, ended: asyncio.Event) -> None:
    while True:
        stalls.tick(time.monotonic_ns())
        if parent is not None and os.getppid() != parent:
            ended.set()
        await asyncio.sleep(Stalls.TICK_S)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.IPv4Address(host).is_loopback
    except ValueError:
        return False


def _why_not_listening(host: str, port: int, error: OSError | OverflowError) -> str:
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        return (
            f"port {port} on {host} is taken: stop what listens there, or choose another with --port (0: any free one)"
        )
    return f"cannot listen on {host} port {port}: {error}"
