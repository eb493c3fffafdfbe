"""Where the embedded PostgreSQL's programs and data are, and the account it runs as.

For an ordinary user this is simple: the programs in the user's cache, the data in the data folder, the user's own
account. PostgreSQL refuses to run as root, so root hands it to another account; where that account cannot reach the
data folder or the cache (under /root, for example), both go to /var/lib/bulkpoint. The permissions of folders that
are not ours are never changed.
"""

import os
import pwd
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from bulkpoint.embedded import accounts
from bulkpoint.embedded.postgres_programs import PostgresPrograms
from bulkpoint.errors import UnreachableError
from bulkpoint.streams import say_on_stderr


@dataclass(frozen=True)
class PostgresHome:
    """The embedded server's places, without links; `account` is None when it runs as this process's own user."""

    programs: PostgresPrograms
    folder: Path
    account: pwd.struct_passwd | None

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def log(self) -> Path:
        return self.folder / "server.log"

    def run(self, program: str, *arguments: str | Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Runs one of PostgreSQL's programs as the account and returns when it has ended.

        It runs in its own session, so a Ctrl-C at the terminal reaches this process only, and takes effect after the
        program has ended: no process would stop a server whose start was interrupted.
        """
        # Files, no pipes: the server inherits them, and a pipe would stay open as long as it runs.
        with _signals_later(), _text_file() as input_file, _text_file() as output:
            input_file.write(stdin)
            input_file.seek(0)
            process = subprocess.Popen(
                [str(self.programs.reachable_by(self.account) / "bin" / program), *map(str, arguments)],
                stdin=input_file,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd="/",  # the account may not be allowed into the present folder
                env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"},
                start_new_session=True,
                **accounts.identity(self.account),
            )
            process.wait(accounts.RUN_S_MAX)
            output.seek(0)
            return subprocess.CompletedProcess(process.args, process.returncode, output.read())

    def own(self, path: Path) -> None:
        """Gives a file of this process to the account."""
        if self.account:
            os.chown(path, self.account.pw_uid, self.account.pw_gid)


def _text_file() -> IO[str]:
    """A program may print the name of a folder, which need not be text."""
    return tempfile.TemporaryFile("w+", encoding="utf-8", errors="backslashreplace")


@contextmanager
def _signals_later() -> Iterator[None]:
    """Delay signals that would end this process: they could interrupt even Popen after its child has begun."""
    if threading.current_thread() is not threading.main_thread():  # Python runs no handler there
        yield
        return
    observe: list[int] = []
    before = {
        number: signal.signal(number, lambda number, _frame: observe.append(number))
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(number) not in (signal.SIG_IGN, None)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if observe:
            signal.raise_signal(observe[0])


def find_home(data_dir: Path, programs: PostgresPrograms) -> PostgresHome:
    """The places for a data folder; makes `<data_dir>/postgres` the first time (a link, where it is elsewhere).

    Raises:
        UnreachableError: the folder belongs to someone else, or root finds no account to run the server as.
    """
    folder = data_dir / "postgres"
    if os.geteuid() != 0:
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.stat().st_uid != os.geteuid():
            raise UnreachableError("DATA_FOLDER_OF_ANOTHER_ACCOUNT", "use_own_data_folder", folder=str(folder))
        return PostgresHome(programs, folder.resolve(), None)
    if folder.is_symlink() and not folder.exists():
        raise UnreachableError(
            "DATA_FOLDER_GONE", "restore_or_begin_again", folder=str(folder), place=str(folder.readlink())
        )
    account = pwd.getpwuid(folder.stat().st_uid) if folder.exists() else accounts.server_account()
    if not folder.exists():
        _make_folder(folder, account)
    return PostgresHome(programs, folder.resolve(), account)


def _make_folder(folder: Path, account: pwd.struct_passwd) -> None:
    folder.mkdir(mode=0o700)
    os.chown(folder, account.pw_uid, account.pw_gid)
    if accounts.can(account, "/bin/sh", "-c", 'test -w "$1"', "sh", str(folder)):
        return
    folder.rmdir()
    accounts.REACHABLE.mkdir(mode=0o755, exist_ok=True)
    elsewhere = Path(tempfile.mkdtemp(prefix=f"{folder.parent.parent.name or 'root'}-", dir=accounts.REACHABLE))
    os.chown(elsewhere, account.pw_uid, account.pw_gid)
    folder.symlink_to(elsewhere)
    say_on_stderr(
        f"PostgreSQL does not run as root, and the account {account.pw_name} cannot reach {folder.parent}: "
        f"the data is in {elsewhere}."
    )
