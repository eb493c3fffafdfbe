"""An embedded PostgreSQL that runs while a process uses it.

The embedded server is shared by every process that uses the same data folder. Each keeps a shared lock while it uses
the server; the first one starts it, the last one stops it. The kernel frees a process's lock however the process dies.
Starting and stopping are serialised by a second lock.

    <data_dir>/pgpass             the generated password, for libpq and the JDBC driver (PGPASSFILE)
    <data_dir>/postgres/          the server's own folder: data, server.log
    <data_dir>/postgres.users     locked (shared) by every user
    <data_dir>/postgres.change    locked by the process that starts or stops the server
"""

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from bulkpoint.embedded.machine import HOST, locked, try_lock
from bulkpoint.embedded.postgres_home import find_home
from bulkpoint.embedded.postgres_programs import PostgresPrograms
from bulkpoint.embedded.postgres_server import DATABASE, USER, PostgresServer, RunningServer
from bulkpoint.errors import UnreachableError, UsageError
from bulkpoint.store.connect import Database
from bulkpoint.streams import say_on_stderr

_LOCK_S_MAX = 300.0  # making a cluster, or a start that recovers, by another process
_PRESENT = PostgresPrograms()


@contextmanager
def embedded_postgres(data_dir: Path, programs: PostgresPrograms = _PRESENT) -> Iterator[Database]:
    """The embedded server of a data folder, made the first time (about 2 s), started if it does not run (0.2 s).

    If the programs are not in the user's cache yet, they are fetched first.

    Raises:
        UnreachableError: it cannot be made or started; the message has the last lines of its log.
    """
    data_dir = data_dir.absolute()
    try:
        str(data_dir).encode()
    except UnicodeEncodeError as error:  # its own files name their folder, and are text
        raise UsageError("TEXT_NOT_UTF8", "set_writable_data_folder", option="BULKPOINT_DATA_DIR") from error
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        users = os.open(data_dir / "postgres.users", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise _unusable(data_dir, error) from error
    try:
        with _change(data_dir):
            fcntl.flock(users, fcntl.LOCK_SH)
            try:
                running = _ensure_running(data_dir, programs)
            except OSError as error:  # a disk that is full, or read only
                raise _unusable(data_dir, error) from error
        yield Database(f"postgresql://{USER}@{HOST}:{running.port}/{DATABASE}", data_dir / "pgpass")
    finally:
        with _change(data_dir):
            fcntl.flock(users, fcntl.LOCK_UN)
            if try_lock(users):
                PostgresServer(find_home(data_dir, programs)).stop()
        os.close(users)


def embedded_server(data_dir: Path) -> RunningServer | None:
    """The server's process, if it runs; for tests that kill it and for people who ask."""
    return PostgresServer(find_home(data_dir.absolute(), _PRESENT)).running()


def _ensure_running(data_dir: Path, programs: PostgresPrograms = _PRESENT) -> RunningServer:
    server = PostgresServer(find_home(data_dir, programs))
    passfile = data_dir / "pgpass"
    if not server.exists():
        server.create(_password(passfile))
        say_on_stderr(f"A new database was made in {data_dir / 'postgres'} (BULKPOINT_DATA_DIR names another folder).")
    elif not passfile.exists():
        raise UnreachableError(
            "PASSWORD_FILE_LOST", "restore_or_begin_again", file=str(passfile), folder=str(data_dir / "postgres")
        )
    return server.ensure_running()


def _password(passfile: Path) -> str:
    """The password in the file, which is made first: so no cluster can have an unknown password."""
    if not passfile.exists():
        password = secrets.token_urlsafe(24)
        unfinished = passfile.with_name("pgpass.new")
        with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as stream:  # noqa: PTH123
            stream.write(f"{HOST}:*:*:{USER}:{password}\n")
        unfinished.replace(passfile)
    return passfile.read_text().strip().rpartition(":")[2]


def _unusable(data_dir: Path, error: OSError) -> UnreachableError:
    return UnreachableError(
        "DATA_FOLDER_UNUSABLE", "set_writable_data_folder", folder=str(data_dir), why=error.strerror or str(error)
    )


def _change(data_dir: Path) -> AbstractContextManager[None]:
    busy = UnreachableError(
        "POSTGRES_CHANGED_ELSEWHERE", "end_stopped_process", folder=str(data_dir), seconds=_LOCK_S_MAX
    )
    return locked(data_dir / "postgres.change", wait_s_max=_LOCK_S_MAX, busy=busy)
