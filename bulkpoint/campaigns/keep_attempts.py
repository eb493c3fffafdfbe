"""Remove calls that are older than people want to keep them; off until a setting says how long that is."""

from collections.abc import Collection

from bulkpoint.campaigns.promises import longest_retention_s
from bulkpoint.errors import UsageError
from bulkpoint.rules.archive import SECONDS_A_DAY, in_days
from bulkpoint.rules.rights import Right
from bulkpoint.settings import Settings
from bulkpoint.store import archive as store
from bulkpoint.store.audit import write_audit
from bulkpoint.store.connect import Connection
from bulkpoint.store.payment_history import count_attempts
from bulkpoint.store.right import require_right


def list_old_attempts(connection: Connection, settings: Settings) -> list[tuple[int, int]]:
    """The campaigns whose calls may be removed, and how many calls each has; raises as remove_old_attempts."""
    old = store.list_old_attempts(connection, age_s=_age_s(connection, settings))
    return [(campaign_id, count_attempts(connection, campaign_id)) for campaign_id in old]


def remove_old_attempts(
    connection: Connection, settings: Settings, *, actor: str, chosen: Collection[int] | None = None
) -> list[tuple[int, int]]:
    """Of campaigns that ended so long ago, and have nothing left to do; each in its own transaction, with an audit row.

    chosen: only of these, the ones that a person was asked about; None: of all. Returns the campaigns and how many
    calls each had. Never of those whose keys the money API may remember. Raises UsageError where no setting says how
    long they are kept, RefusedError where the login has no right.
    """
    age_s = _age_s(connection, settings)
    removed = []
    for campaign_id in store.list_old_attempts(connection, age_s=age_s):
        if chosen is not None and campaign_id not in chosen:
            continue
        with connection.transaction():
            attempts = store.remove_attempts(connection, campaign_id, actor=actor, age_s=age_s)
            write_audit(
                connection,
                action="attempts.remove",
                campaign_id=campaign_id,
                run_no=None,
                actor=actor,
                detail={"attempts": attempts, "days": in_days(age_s, up=True)},
            )
        removed.append((campaign_id, attempts))
    return removed


def _age_s(connection: Connection, settings: Settings) -> float:
    """How long ago a campaign must have ended, in seconds."""
    days = settings.keep_attempts_days
    if days is None:
        raise UsageError("ATTEMPTS_ARE_KEPT", "set_keep_attempts")
    require_right(connection, Right.ARCHIVE)
    return max(float(days * SECONDS_A_DAY), longest_retention_s(connection, settings))
