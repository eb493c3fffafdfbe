"""Makes, starts and stops one embedded PostgreSQL server; the caller lets one process at a time do so."""

import contextlib
import os
import re
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bulkpoint.embedded.machine import free_ports, last_lines
from bulkpoint.embedded.postgres_home import PostgresHome
from bulkpoint.errors import UnreachableError

USER = "bulkpoint"
DATABASE = "bulkpoint"

_START_TRIES = 5  # a port taken between the look and the start, or a killed server's last process that still ends
_START_S_MAX = 120.0  # to replay the log after a crash: 4 GB at most, see max_wal_size
_STOP_S_MAX = 60.0  # to write what is in memory, 128 MB, to a slow disk
_POLL_S = 0.02
_LOG_BYTES_MAX = 10_000_000

_CONFIGURATION = """\
# Written by bulkpoint at every start; a change here is lost. ALTER SYSTEM SET is kept.
listen_addresses = '127.0.0.1'      # this machine only
port = {port}
unix_socket_directories = ''        # one way in, the one that wants a password
max_connections = 100               # partitions x 3 connections, the commands, and room for tests
timezone = 'UTC'
log_timezone = 'UTC'

# fsync, full_page_writes and synchronous_commit stay on: a payment that was recorded stays recorded.
max_wal_size = '4GB'                # a run without a limit writes 1 GB a million payments: with the default of 1GB
checkpoint_timeout = '15min'        # it would checkpoint, and so log whole pages again, every minute or so

# Left alone, because it was measured (1M rows frozen, 400,000 claimed and recorded, 2 cores): shared_buffers 256MB
# and jit off change nothing; wal_compression saves 16 % of the log and costs a quarter more CPU.
"""


@dataclass(frozen=True)
class RunningServer:
    """What postmaster.pid says: `status` is "starting", "ready" or "stopping"."""

    pid: int
    port: int
    status: str


class PostgresServer:
    """The server of one data folder."""

    def __init__(self, home: PostgresHome) -> None:
        self._home = home

    def exists(self) -> bool:
        return self._home.data.is_dir()

    def create(self, password: str) -> None:
        """Makes an empty cluster with one user and one database, in full or not at all.

        Text sorts by code point (C) whatever the machine, so that the order of member ids is the same everywhere.
        """
        for left_over in self._home.folder.glob("data.new-*"):  # of a process that was killed while it did this
            shutil.rmtree(left_over, ignore_errors=True)  # its initdb may still be writing there
        unfinished = self._home.folder / f"data.new-{secrets.token_hex(4)}"
        with tempfile.NamedTemporaryFile("w", dir=self._home.folder) as password_file:
            password_file.write(password)
            password_file.flush()
            self._home.own(Path(password_file.name))
            done = self._home.run(
                "initdb", f"--pgdata={unfinished}", f"--username={USER}", f"--pwfile={password_file.name}",
                "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C",
                *(("--locale-provider=builtin", "--builtin-locale=C.UTF-8") if self._home.programs.major >= 17 else ()),
            )  # fmt: skip
        if done.returncode == 0:
            done = self._home.run(
                "postgres", "--single", "-D", unfinished, "template1", stdin=f"CREATE DATABASE {DATABASE};\n"
            )
        if done.returncode != 0:
            raise UnreachableError(
                "POSTGRES_NOT_MADE", folder=str(self._home.folder), last_lines=last_lines(done.stdout)
            )
        with (unfinished / "postgresql.conf").open("a") as configuration:
            configuration.write("\ninclude 'bulkpoint.conf'\n")
        unfinished.rename(self._home.data)

    def ensure_running(self) -> RunningServer:
        """The server, ready for connections: the one that runs, or a new one, also after a crash.

        Raises:
            UnreachableError: it does not start; with the last lines of its log.
        """
        output = ""
        for attempt in range(_START_TRIES):
            if (server := self._settled()) is not None:
                return server
            time.sleep(0.2 * attempt)
            done = self._start()
            output = done.stdout
        if (server := self._settled()) is not None:
            return server
        raise UnreachableError(
            "POSTGRES_DOES_NOT_START",
            folder=str(self._home.folder),
            log=str(self._home.log),
            last_lines=last_lines(self._log_text() or output),
        )

    def stop(self) -> None:
        """Stops the server; connections are cut, what was committed is kept. Returns when its process has ended."""
        for how in (signal.SIGINT, signal.SIGQUIT):  # fast; then immediate, which the next start recovers from
            server = self.running()
            if server is None:
                return
            with contextlib.suppress(ProcessLookupError):
                os.kill(server.pid, how)
            deadline = time.monotonic() + _STOP_S_MAX
            while _is_alive(server.pid) and time.monotonic() < deadline:
                time.sleep(_POLL_S)

    def running(self) -> RunningServer | None:
        """The server's process, if it is really this one: after a reboot its number may be another process's."""
        try:
            lines = (self._home.data / "postmaster.pid").read_text().splitlines()
            pid, port = int(lines[0]), int(lines[3])
        except (FileNotFoundError, IndexError, ValueError):
            return None
        if not self._is_ours(pid):
            return None
        return RunningServer(pid, port, lines[7].strip() if len(lines) > 7 else "starting")

    def _settled(self) -> RunningServer | None:
        deadline = time.monotonic() + _START_S_MAX
        while (server := self.running()) is not None and time.monotonic() < deadline:
            if server.status == "ready":
                return server
            time.sleep(_POLL_S)
        return None

    def _start(self) -> "subprocess.CompletedProcess[str]":
        configuration = self._home.data / "bulkpoint.conf"
        configuration.write_text(_CONFIGURATION.format(port=self._choose_port(configuration)))
        self._home.own(configuration)
        if self._home.log.exists() and self._home.log.stat().st_size > _LOG_BYTES_MAX:
            self._home.log.rename(self._home.log.with_suffix(".log.1"))
        self._remove_misleading_pid_file()
        return self._home.run(
            "pg_ctl", "start", "--wait", f"--timeout={_START_S_MAX:.0f}", f"--pgdata={self._home.data}",
            f"--log={self._home.log}",
        )  # fmt: skip

    def _remove_misleading_pid_file(self) -> None:
        """PostgreSQL takes any process with the number in the file for its own: also another program that got the
        number since, also a killed server that its parent has not collected."""
        pid_file = self._home.data / "postmaster.pid"
        with contextlib.suppress(FileNotFoundError, ValueError, IndexError, ProcessLookupError):
            pid = int(pid_file.read_text().splitlines()[0])
            os.kill(pid, 0)
            if not self._is_ours(pid):
                pid_file.unlink()

    def _choose_port(self, configuration: Path) -> int:
        """The port of last time, so that a restart finds its clients again, unless another program has it now."""
        remembered = re.search(r"^port = (\d+)", configuration.read_text(), re.M) if configuration.exists() else None
        return free_ports(1, wanted=int(remembered[1]) if remembered else None)[0]

    def _is_ours(self, pid: int) -> bool:
        """The server works in its data folder; a process that got its number does not."""
        try:
            return Path(f"/proc/{pid}/cwd").readlink() == self._home.data
        except OSError:
            if Path("/proc/self").exists():
                return False
        command = subprocess.run(["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False)
        return str(self._home.data) in command.stdout

    def _log_text(self) -> str:
        try:
            return self._home.log.read_text(errors="replace")
        except FileNotFoundError:
            return ""


def _is_alive(pid: int) -> bool:
    """Whether the process runs; one that has ended and waits to be collected by its parent does not."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except ProcessLookupError:
        return False
    except FileNotFoundError:
        return not Path("/proc/self").exists()
