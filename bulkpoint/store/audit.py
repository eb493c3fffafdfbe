"""The audit log: who did what and when, append-only and sealed by the database."""

import getpass
import os
import socket
from typing import Any

from psycopg.types.json import Jsonb

from bulkpoint.store.connect import Connection
from bulkpoint.store.sql import sql


def write_audit(
    connection: Connection,
    *,
    action: str,
    campaign_id: int | None,
    run: int | None,
    actor: str,
    detail: dict[str, Any],
) -> None:
    """Add one sealed row, inside the transaction that does what it tells of.

    `actor` is the claimed name; operating-system user, host and database login are filled in beside it.
    `run` is the run's number within its campaign.
    """
    connection.execute(
        sql("write_audit"),
        {
            "os_user": os_user(),
            "host": socket.gethostname(),
            "actor": actor,
            "action": action,
            "campaign_id": campaign_id,
            "run": run,
            "detail": Jsonb(detail),
        },
    )


def os_user() -> str:
    """The operating system's name for who runs this; the default actor."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no entry in the password file
        return str(os.getuid())
