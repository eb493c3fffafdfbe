"""What the kernel knows of a TCP connection: what has arrived at the other end, though nobody has read it yet.

A test that needs something to have arrived waits for this, and not for a time in which it usually has.
"""

import fcntl
import socket
import sys
import termios
from pathlib import Path
from typing import NamedTuple

ESTABLISHED = 1


class End(NamedTuple):
    """One end of a connection. state: ESTABLISHED, or another one of the kernel's. unread: bytes that have arrived."""

    state: int
    unread: int


def client_end(client_port: int, server_port: int) -> End | None:
    """The client's end of a connection over 127.0.0.1; None where it is gone, as after a reset."""
    ports = tuple(f":{port:04X}" for port in (client_port, server_port))
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, state, queues, *_ = line.split()
        if local.endswith(ports[0]) and remote.endswith(ports[1]):
            return End(int(state, 16), int(queues.partition(":")[2], 16))
    return None


def unacknowledged(connection: socket.socket) -> int:
    """Bytes sent that have not arrived at the other end, as far as this one knows; ValueError where it is closed."""
    return int.from_bytes(fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(4)), sys.byteorder)
