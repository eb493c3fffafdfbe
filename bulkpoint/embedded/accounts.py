"""The account that runs the embedded PostgreSQL (which refuses to run as root), and what that account can do."""

import pwd
import subprocess
from pathlib import Path
from typing import Any

from bulkpoint.errors import UnreachableError

REACHABLE = Path("/var/lib/bulkpoint")  # where root keeps what that account could not reach elsewhere
RUN_S_MAX = 180.0  # the longest of the programs is a start that replays 4 GB of log, some 60 s on a slow disk

_ACCOUNTS = ("postgres", "nobody")  # the usual one, else the one that is always there


def server_account() -> pwd.struct_passwd:
    """The account that runs the server for root.

    Raises:
        UnreachableError: there is none.
    """
    for name in _ACCOUNTS:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise UnreachableError("NO_ACCOUNT_FOR_POSTGRES", "run_as_ordinary_user", accounts=_ACCOUNTS)


def can(account: pwd.struct_passwd, *command: str) -> bool:
    """Whether the account can run the command: trying is exact, permission bits are not (ACLs, mounts)."""
    try:
        done = subprocess.run(
            command, cwd="/", capture_output=True, check=False, timeout=RUN_S_MAX, **identity(account)
        )
    except (PermissionError, FileNotFoundError):
        return False
    return done.returncode == 0


def identity(account: pwd.struct_passwd | None) -> dict[str, Any]:
    """What makes subprocess run a program as the account; None is this process's own."""
    if account is None:
        return {}
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
