"""A real PgBouncer in transaction mode before a real server; it may ask its clients for TLS, and for a certificate."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from bulkpoint.embedded import accounts
from tests.world.ports import free_port, listens
from tests.world.waiting import wait_for

STARTS_S_MAX = 20.0

_CONFIGURATION = """\
[databases]
* = host={host} port={server_port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {folder}/users
pool_mode = transaction
default_pool_size = 4
max_client_conn = 200
logfile = {folder}/log
"""


@contextmanager
def pooler(url: str, passfile: Path, folder: Path, *settings: str) -> Iterator[str]:
    """The address of the same database by way of a pooler; settings: more lines of its file.

    folder: new, and made where the pooler's account can reach it.
    """
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    assert program, (
        "these tests need PgBouncer: apt-get install pgbouncer (root on Debian or Ubuntu: make setup does it)"
    )
    parts, port = urlsplit(url), free_port()
    folder.mkdir()
    password = passfile.read_text().strip().rpartition(":")[2]
    (folder / "users").write_text(f'"{parts.username}" "{password}"\n')
    text = _CONFIGURATION.format(host=parts.hostname, server_port=parts.port, port=port, folder=folder)
    (folder / "pgbouncer.ini").write_text(text + "\n".join(settings) + "\n")
    account = accounts.server_account() if os.geteuid() == 0 else None  # it refuses to run as root
    if account is not None:
        for path in (folder, *folder.iterdir()):
            os.chown(path, account.pw_uid, account.pw_gid)
    process = subprocess.Popen([program, "-q", folder / "pgbouncer.ini"], cwd="/", **accounts.identity(account))
    try:
        wait_for(lambda: listens(port) or process.poll() is not None, "the pooler", seconds=STARTS_S_MAX)
        assert process.poll() is None, "the pooler ended"
        yield parts._replace(netloc=f"{parts.username}@127.0.0.1:{port}").geturl()
    finally:
        process.kill()
        process.wait()
