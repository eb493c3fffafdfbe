"""Show and change the limit, while nothing or something runs."""

from datetime import UTC, datetime

from bulkpoint.errors import UsageError
from bulkpoint.rules.rights import Right
from bulkpoint.settings import Settings
from bulkpoint.store import limit as store
from bulkpoint.store.connect import Connection
from bulkpoint.store.limit import Limit
from bulkpoint.store.right import require_right

TPS_MAX = 1_000_000
REASON_CHARACTERS_MAX = 500


def show_limit(connection: Connection, settings: Settings, *, actor: str) -> Limit:
    """The limit that is in force; the first look makes the settings' figure the first limit."""
    store.ensure_limit(connection, tps=settings.tps, shares=settings.partitions or 1, actor=actor)
    store.restore_tps_if_due(connection)
    return store.get_limit(connection)


def change_limit(
    connection: Connection,
    settings: Settings,
    *,
    tps: int,
    actor: str,
    reason: str | None = None,
    until: datetime | None = None,
) -> Limit:
    """Set the limit to `tps` calls a second, 0 to hold; with `until`, what was in force before comes back then.

    Raises UsageError for a figure, a reason or a time that cannot be, RefusedError where the login has no right.
    """
    if not 0 <= tps <= TPS_MAX:
        raise UsageError(f"{tps:,} TPS cannot be: give 0 (hold) to {TPS_MAX:,}.")
    if reason is not None and not (len(reason) <= REASON_CHARACTERS_MAX and reason.isprintable()):
        raise UsageError(f"--reason must have {REASON_CHARACTERS_MAX} characters at most, on one line.")
    if until is not None and until <= datetime.now(UTC):
        raise UsageError("--until is in the past. Leave it out to set the limit for good.")
    require_right(connection, Right.THROTTLE)
    store.ensure_limit(connection, tps=settings.tps, shares=settings.partitions or 1, actor=actor)
    return store.set_tps(connection, tps=tps, actor=actor, reason=reason, until=until)
