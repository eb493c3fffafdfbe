"""What the money API promises is the deployment's: stored once, changed on purpose, and never loosened by a shell."""

from typing import Any

import pytest

from bulkpoint.campaigns.promises import apply_promises, change_promises, keep_promises, promises_of, show_promises
from bulkpoint.errors import RefusedError, UsageError
from bulkpoint.settings import describe, load_settings
from bulkpoint.store.connect import Connection
from bulkpoint.store.promise import get_promises
from bulkpoint.store.share import renew_share
from bulkpoint.views.promises import PromisesView, with_promises
from tests.world.campaigns import World

RETENTION, SETTLE, TIMEOUT = (f"BULKPOINT_MONEY_{name}" for name in ("KEY_RETENTION_H", "SETTLE_S", "TIMEOUT_S"))
UNSET = load_settings({})


def stored(connection: Connection, **environment: str) -> None:
    keep_promises(connection, load_settings({f"BULKPOINT_MONEY_{k}": v for k, v in environment.items()}), actor="alice")


def change(connection: Connection, values: dict[str, float], *, reason: str = "the contract says so") -> Any:
    return change_promises(connection, UNSET, values, actor="alice", reason=reason).promises


def test_a_look_stores_nothing_and_the_first_run_stores_what_is_set(connection: Connection) -> None:
    short = load_settings({RETENTION: "0.5"})
    assert show_promises(connection, short).promises.key_retention_h == 0.5
    assert get_promises(connection) is None
    keep_promises(connection, short, actor="alice")
    found = get_promises(connection)
    assert found is not None
    assert (found.promises, found.set_by) == (promises_of(short), "alice")
    keep_promises(connection, UNSET, actor="bob")
    assert get_promises(connection) == found, "a later run does not change it"


def test_a_shell_without_the_setting_uses_what_is_stored_and_says_nothing(connection: Connection) -> None:
    stored(connection, KEY_RETENTION_H="0.5", SETTLE_S="300", TIMEOUT_S="20")
    found = keep_promises(connection, UNSET, actor="bob")
    assert (found.promises, found.remarks) == (found.stored and found.stored.promises, ())
    settings = apply_promises(found, UNSET)
    assert (settings.money_key_retention_h, settings.money_settle_s, settings.money_timeout_s) == (0.5, 300, 20)


def test_what_is_stored_counts_against_a_default_also_where_it_is_the_looser_one(connection: Connection) -> None:
    stored(connection, KEY_RETENTION_H="48", SETTLE_S="5", TIMEOUT_S="2")
    promises = show_promises(connection, UNSET).promises
    assert (promises.key_retention_h, promises.settle_s, promises.timeout_s) == (48, 5, 2)


@pytest.mark.parametrize(
    ("setting", "value", "counts"),
    [
        (RETENTION, "48", 24),  # longer than money remembers, as the database has it
        (RETENTION, "0.01", 0.01),
        (SETTLE, "0", 60),
        (SETTLE, "90", 90),
        (TIMEOUT, "2", 5),
        (TIMEOUT, "30", 30),
    ],
)
def test_of_two_values_the_safer_one_counts_and_one_line_says_so(
    connection: Connection, setting: str, value: str, counts: float
) -> None:
    stored(connection)
    found = show_promises(connection, load_settings({setting: value}))
    name = setting.removeprefix("BULKPOINT_MONEY_").lower()
    assert getattr(found.promises, name) == counts
    (remark,) = found.remarks
    assert (remark.facts["setting"], remark.facts["set_here"], remark.facts["counts"]) == (
        setting, float(value), counts
    )  # fmt: skip


def test_the_same_promises_come_out_of_settings_that_have_them_already(connection: Connection) -> None:
    stored(connection, KEY_RETENTION_H="1")
    once = show_promises(connection, load_settings({SETTLE: "90"}))
    again = show_promises(connection, apply_promises(once, load_settings({SETTLE: "90"})))
    assert again.promises == once.promises


def test_a_change_is_audited_and_needs_a_reason_and_the_right(connection: Connection) -> None:
    stored(connection)
    assert change(connection, {"key_retention_h": 1.5}).key_retention_h == 1.5
    ((action, detail),) = connection.execute("select action, detail from audit_event").fetchall()
    assert action == "money.set"
    assert detail == {
        "key_retention_h": 1.5, "key_retention_h_before": 24, "settle_s": 60, "connect_timeout_s": 1, "timeout_s": 5,
        "reason": "the contract says so",
    }  # fmt: skip
    with pytest.raises(UsageError):
        change(connection, {"key_retention_h": 2}, reason="")
    connection.execute("delete from operator_right where permission = 'throttle'")
    with pytest.raises(RefusedError):
        change(connection, {"key_retention_h": 2})
    assert show_promises(connection, UNSET).promises.key_retention_h == 1.5


@pytest.mark.parametrize(
    "values",
    [
        {"key_retention_h": 0.0},
        {"key_retention_h": -1.0},
        {"key_retention_h": float("nan")},
        {"key_retention_h": float("inf")},
        {"settle_s": -1.0},
        {"timeout_s": 61.0},
        {"timeout_s": 0.5},  # shorter than the timeout of a connection
    ],
)
def test_an_impossible_promise_is_refused(connection: Connection, values: dict[str, float]) -> None:
    stored(connection)
    with pytest.raises(UsageError):
        change(connection, values)
    assert show_promises(connection, UNSET).promises == promises_of(UNSET)


def test_a_renewal_brings_what_is_stored_now(connection: Connection) -> None:
    run = World(connection).campaign().begun()
    token = run.share()

    def renewed() -> tuple[float | None, float | None]:
        renewal = renew_share(connection, run.run.token, token, lease_s=60)
        return renewal.key_retention_h, renewal.settle_s

    assert renewed() == (None, None), "nothing is stored: the worker's own settings count"
    stored(connection)
    change(connection, {"key_retention_h": 0.25, "settle_s": 90.0})
    assert renewed() == (0.25, 90)


def test_the_settings_show_the_value_that_counts_and_where_it_is_from(connection: Connection) -> None:
    stored(connection, KEY_RETENTION_H="0.5")
    here = load_settings({RETENTION: "24", TIMEOUT: "9"})
    shown = {row.name: row for row in with_promises(describe(here), show_promises(connection, here))}
    assert (shown[RETENTION].value, shown[RETENTION].source) == ("0.5", "database; environment has 24")
    assert (shown[TIMEOUT].value, shown[TIMEOUT].source) == ("9", "environment; the database has 5")
    assert (shown[SETTLE].value, shown[SETTLE].source) == ("60", "database")
    view = PromisesView.of(show_promises(connection, here))
    assert view.as_object()["key_retention_h"] == {"stored": 0.5, "set_here": 24.0, "counts": 0.5}
