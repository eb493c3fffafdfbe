"""What the money API promises: stored by the first command that relies on it, shown, changed, and used by all.

A promise that a process was set to (by its environment or its TOML file) counts where it is the safer one; a default
says nothing about this deployment, and never counts against what is stored.
"""

from collections.abc import Mapping
from dataclasses import asdict

from bulkpoint.campaigns.tps import REASON_CHARACTERS_MAX
from bulkpoint.errors import UsageError
from bulkpoint.rules.promises import MoneyPromises, changed, safer
from bulkpoint.rules.refusals import Refusal
from bulkpoint.rules.rights import Right
from bulkpoint.settings import Settings
from bulkpoint.store import promise as store
from bulkpoint.store.audit import write_audit
from bulkpoint.store.connect import Connection
from bulkpoint.store.promise import PromisesInForce
from bulkpoint.store.right import require_right

# The bounds of the settings of the same names: more than 0 (a settle time may be 0), and at most this.
_MOST = {"key_retention_h": 1_000_000.0, "settle_s": 86_400.0, "connect_timeout_s": 60.0, "timeout_s": 60.0}


def promises_of(settings: Settings) -> MoneyPromises:
    """As the settings say."""
    return MoneyPromises(
        settings.money_key_retention_h,
        settings.money_settle_s,
        settings.money_connect_timeout_s,
        settings.money_timeout_s,
    )


def apply_promises(found: PromisesInForce, settings: Settings) -> Settings:
    """The settings with the promises that count."""
    return settings.model_copy(update={f"money_{name}": value for name, value in asdict(found.promises).items()})


def keep_promises(connection: Connection, settings: Settings, *, actor: str) -> PromisesInForce:
    """What counts from now on in this process; the first call in a deployment stores the settings' values."""
    store.ensure_promises(connection, promises_of(settings), actor=actor)
    return show_promises(connection, settings)


def show_promises(connection: Connection, settings: Settings) -> PromisesInForce:
    """What counts in this process; changes nothing."""
    set_here, stored = promises_of(settings), store.get_promises(connection)
    if stored is None:
        return PromisesInForce(set_here, None, set_here)
    # What nobody set is taken as it is stored.
    unset = {name: value for name, value in asdict(stored.promises).items() if _is_default(settings, name)}
    promises = safer(stored.promises, changed(set_here, unset))
    facts = {"set_by": stored.set_by, "set_at": stored.set_at}
    remarks = tuple(
        Refusal(
            "PROMISE_SET_DIFFERENTLY",
            facts
            | {
                "setting": f"BULKPOINT_MONEY_{name.upper()}",
                "set_here": getattr(set_here, name),
                "stored": getattr(stored.promises, name),
                "counts": getattr(promises, name),
                "option": f"--{name.replace('_', '-')}",
            },
        )
        for name in set_here.differences(stored.promises)
        if not _is_default(settings, name)
    )
    return PromisesInForce(promises, stored, set_here, remarks)


def longest_retention_s(connection: Connection, settings: Settings) -> float:
    """How long the money API may remember keys, in seconds: for what removes rows the longer value is the safer one, of
    what is stored and what is set here."""
    stored = store.get_promises(connection)
    return max(promises_of(settings).retention_s, stored.promises.retention_s if stored else 0.0)


def change_promises(
    connection: Connection, settings: Settings, values: Mapping[str, float | None], *, actor: str, reason: str
) -> PromisesInForce:
    """Change the stored promises, for every process; None: as it was.

    A running campaign takes a shorter memory and a longer settle time within a second; the rest counts from the next
    run. Raises UsageError for an impossible value or reason, RefusedError if the login has no right.
    """
    if not (0 < len(reason) <= REASON_CHARACTERS_MAX and reason.isprintable()):
        raise UsageError("LIMIT_REASON_TOO_LONG", characters_max=REASON_CHARACTERS_MAX)
    for name, value in values.items():
        _refuse_impossible(name, value)
    with connection.transaction():
        require_right(connection, Right.THROTTLE)
        store.ensure_promises(connection, promises_of(settings), actor=actor)
        before = store.lock_promises(connection).promises
        now = changed(before, values)
        if now.connect_timeout_s > now.timeout_s:
            raise UsageError(
                "PROMISE_CONNECTING_LONGER_THAN_CALL",
                connect_timeout_s=now.connect_timeout_s,
                timeout_s=now.timeout_s,
            )
        store.set_promises(connection, now, actor=actor, reason=reason)
        detail = asdict(now) | {f"{name}_before": getattr(before, name) for name in now.differences(before)}
        write_audit(
            connection,
            action="money.set",
            campaign_id=None,
            run_no=None,
            actor=actor,
            detail=detail | {"reason": reason},
        )
    return show_promises(connection, settings)


def _refuse_impossible(name: str, value: float | None) -> None:
    least = 0.0
    if value is None or least < value <= _MOST[name] or (name == "settle_s" and value == least):
        return
    raise UsageError("PROMISE_IMPOSSIBLE", option=f"--{name.replace('_', '-')}", value=value, most=_MOST[name])


def _is_default(settings: Settings, name: str) -> bool:
    return settings.source_of(f"money_{name}") == "default"
