"""A real HAProxy before a primary and its standby: clients have one address, and go to the first that answers."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.world.ports import free_port, listens
from tests.world.standby import Pair, address_of
from tests.world.waiting import wait_for

STARTS_S_MAX = 20.0

# It looks whether a port answers, as is usual where nothing tells it who is the primary: until the standby is promoted,
# it sends clients to a server that is read-only.
_CONFIGURATION = """\
defaults
  mode tcp
  timeout connect 1s
  timeout client 1h
  timeout server 1h
listen database
  bind 127.0.0.1:{port}
  default-server check inter 200ms fall 2 rise 1 on-marked-down shutdown-sessions
  server primary {primary}
  server standby {standby} backup
"""


@contextmanager
def balancer(pair: Pair, folder: Path) -> Iterator[int]:
    """The port of 127.0.0.1 that leads to the primary, and after its end to the standby. folder: new."""
    program = shutil.which("haproxy", path=f"{os.environ['PATH']}:/usr/sbin")
    assert program, "this test needs HAProxy: apt-get install haproxy (root on Debian or Ubuntu: make setup does it)"
    port = free_port()
    folder.mkdir()
    file = folder / "haproxy.cfg"
    primary, standby = address_of(pair.primary), address_of(pair.standby)
    file.write_text(_CONFIGURATION.format(port=port, primary=primary, standby=standby))
    process = subprocess.Popen([program, "-db", "-q", "-f", file], cwd="/", stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: listens(port) or process.poll() is not None, "HAProxy", seconds=STARTS_S_MAX)
        assert process.poll() is None, "HAProxy ended"
        yield port
    finally:
        process.kill()
        process.wait()
