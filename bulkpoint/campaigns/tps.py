"""Show and change the limit, also during a run."""

from collections.abc import Sequence
from datetime import UTC, datetime

from bulkpoint.campaigns.transition import Change, recorded
from bulkpoint.errors import RefusedError, UsageError
from bulkpoint.rules.lifecycle import Command
from bulkpoint.rules.refusals import Refusal
from bulkpoint.rules.rights import Right
from bulkpoint.settings import Settings
from bulkpoint.store import limit as store
from bulkpoint.store.connect import Connection
from bulkpoint.store.limit import Limit, LimitChange, LockedLimit, NewLimit
from bulkpoint.store.right import require_right

TPS_MAX = 1_000_000
REASON_CHARACTERS_MAX = 500


def show_limit(connection: Connection, settings: Settings, *, actor: str) -> Limit:
    """The limit in force; a look changes nothing, so every login may take it.

    Where none is stored yet: what the settings would make the first one, in this actor's name.
    """
    stored = store.limit_in_force(connection)
    if stored is not None:
        return stored
    reason, now = "from the settings, not stored yet", datetime.now(UTC)
    return Limit(settings.tps, settings.partitions or 1, actor, now, reason, until=None, tps_afterwards=None, leased=[])


def differing_setting(limit: Limit, settings: Settings) -> Refusal | None:
    """What to say where this process is set to another limit than the stored one, which is in force; None if not."""
    if settings.source_of("tps") == "default" or settings.tps in (limit.tps, limit.tps_afterwards):
        return None
    return Refusal("LIMIT_SET_OTHERWISE", {"setting": settings.tps, "tps": limit.tps})


def change_limit(
    connection: Connection,
    settings: Settings,
    *,
    tps: int,
    actor: str,
    reason: str | None = None,
    until: datetime | None = None,
    seen_tps: int | None = None,
) -> Limit:
    """Set the limit to `tps` calls a second, 0 to pause; with `until`, the limit of before returns then.

    seen_tps: the limit that the person has before the eyes; another one is not changed unseen.

    Raises UsageError for an impossible figure, reason or time, RefusedError if the login has no right, or if the limit
    was changed meanwhile.
    """
    if not 0 <= tps <= TPS_MAX:
        raise UsageError("TPS_IMPOSSIBLE", tps=tps, tps_max=TPS_MAX)
    if reason is not None and not (len(reason) <= REASON_CHARACTERS_MAX and reason.isprintable()):
        raise UsageError("LIMIT_REASON_TOO_LONG", characters_max=REASON_CHARACTERS_MAX)
    if until is not None and until <= datetime.now(UTC):
        raise UsageError("UNTIL_IN_THE_PAST", "leave_out_until", until=until)
    require_right(connection, Right.THROTTLE)
    store.ensure_limit(connection, tps=settings.tps, shares=settings.partitions or 1, actor=actor)
    if seen_tps is not None:
        restore_tps_if_due(connection)  # a figure whose time is over is not shown any more
    return set_tps(connection, tps=tps, actor=actor, reason=reason, until=until, seen_tps=seen_tps)


def set_tps(
    connection: Connection,
    *,
    tps: int,
    actor: str,
    reason: str | None,
    until: datetime | None,
    seen_tps: int | None = None,
) -> Limit:
    """Change the stored limit; all shares change with it. Raises RefusedError as change_limit does.

    With `until`, the figure of before returns then; a second temporary figure keeps the one that the first would have
    restored.
    """
    with recorded(connection, Command.SET_TPS, actor=actor) as change:
        before = store.lock_limit(connection)
        if seen_tps not in (None, before.tps):
            raise RefusedError("LIMIT_CHANGED_MEANWHILE", "look_at_the_limit", tps=before.tps, who=before.set_by)
        tps_afterwards = before.tps if before.tps_afterwards is None else before.tps_afterwards
        new = NewLimit(tps, reason, until, None if until is None else tps_afterwards)
        _change(connection, change, before, new)
    return store.get_limit(connection)


def figure_before_hold(limit: Limit, changes: Sequence[LimitChange]) -> int | None:
    """The last figure that was not 0, which a release offers; None where none is known. changes: latest first."""
    known = [limit.tps_afterwards, *(figure for change in changes for figure in (change.tps, change.tps_before))]
    return next((figure for figure in known if figure), None)


def restore_tps_if_due(connection: Connection) -> bool:
    """Restore the figure of before a temporary one, once its `until` has passed; the first caller after that does it.

    A running job looks every second; a command that only shows the limit counts with it, and writes nothing.
    """
    with connection.transaction():
        over = store.lock_limit_that_is_over(connection)
        if over is None:
            return False
        assert over.tps_afterwards is not None, "a temporary figure has one that comes back"
        with recorded(connection, Command.RESTORE_TPS, actor=over.set_by) as change:
            new = NewLimit(over.tps_afterwards, "the temporary limit is over", until=None, tps_afterwards=None)
            _change(connection, change, over, new)
    return True


def _change(connection: Connection, change: Change, before: LockedLimit, new: NewLimit) -> None:
    store.set_limit(connection, new, actor=change.actor)
    change.detail = {
        "tps": new.tps,
        "tps_before": before.tps,
        "reason": new.reason,
        "until": None if new.until is None else new.until.isoformat(),
        "tps_afterwards": new.tps_afterwards,
    }
