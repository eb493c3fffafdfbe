"""What both embedded servers need from this machine: a free port, a lock between processes, the end of a log."""

import fcntl
import os
import random
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bulkpoint.errors import UnreachableError

HOST = "127.0.0.1"

_PORTS = range(15_432, 32_000)  # below the ports that outgoing connections are given, so that none takes it in between
_PORTS_TRIED = 50
_POLL_S = 0.02
_LINES_SHOWN = 8


def free_ports(count: int, *, wanted: int | None = None) -> list[int]:
    """`count` free ports of the loopback address, `wanted` first where it is free.

    Raises:
        UnreachableError: there are fewer.
    """
    candidates = random.sample(_PORTS, _PORTS_TRIED)
    if wanted is not None:
        candidates.insert(0, wanted)
    free: list[int] = []
    for port in candidates:
        if port not in free and _is_free(port):
            free.append(port)
        if len(free) == count:
            return free
    raise UnreachableError("NO_FREE_PORT", "close_servers", first=_PORTS.start, last=_PORTS.stop, host=HOST)


@contextmanager
def locked(path: Path, *, wait_s_max: float, busy: UnreachableError) -> Iterator[None]:
    """Lock a file exclusively among the processes of this machine; the kernel frees it however a process ends.

    Raises:
        UnreachableError: `busy`, if another process has kept it locked for `wait_s_max`.
    """
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        deadline = time.monotonic() + wait_s_max
        while not try_lock(lock):
            if time.monotonic() > deadline:
                raise busy
            time.sleep(_POLL_S)
        yield
    finally:
        os.close(lock)


def try_lock(lock: int) -> bool:
    """Lock an open file exclusively, if no other process has it locked."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def last_lines(text: str) -> str:
    """The end of a log, as much as an error message shows."""
    return "\n".join(text.strip().splitlines()[-_LINES_SHOWN:])


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as PostgreSQL and a JVM do
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True
