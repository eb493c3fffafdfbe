"""`db trim`: calls go when they are older than people want to keep them, and never while they may be needed."""

from uuid import uuid4

import psycopg
import pytest

from bulkpoint.campaigns.keep_attempts import remove_old_attempts
from bulkpoint.errors import UsageError
from bulkpoint.settings import load_settings
from bulkpoint.store.migrate import make_roles
from bulkpoint.store.payment import Attempt
from tests.world.campaigns import Campaign, World
from tests.world.command_line import CommandLine
from tests.world.logins import member_of
from tests.world.refusals import refused

DAY_S = 86_400.0
KEEP = {"BULKPOINT_KEEP_ATTEMPTS_DAYS": "60"}


def ended(world: World, *, days: float, unknown: bool = False) -> Campaign:
    """With two calls."""
    campaign = world.campaign(2).begun()
    campaign.attempted(*(Attempt(str(uuid4()), "POST", 1, 1.0, 1.1, 200, "SUCCESS", None, None) for _ in range(2)))
    if unknown:
        campaign.failed(1, kind="UNKNOWN")
    return campaign.ended("COMPLETED").was_finished(seconds_ago=days * DAY_S)


def calls(campaign: Campaign) -> int:
    row = campaign.world.connection.execute(
        "select count(*) from payment_attempt where campaign_id = %s", (campaign.id,)
    ).fetchone()
    assert row is not None
    count: int = row[0]
    return count


def trim(world: World, **settings: str) -> list[tuple[int, int]]:
    return remove_old_attempts(world.connection, load_settings(KEEP | settings), actor="kim")


def test_old_calls_go_once_and_payments_stay(world: World, bulkpoint: CommandLine) -> None:
    old, young = ended(world, days=61), ended(world, days=59)
    said = bulkpoint.succeed("db", "trim", **KEEP)
    assert said.stdout == f"removed the calls of campaign {old.id}: 2\n"
    assert (calls(old), calls(young)) == (0, 2)
    assert old.counts().success == 2
    old.assert_sums_hold()
    rows = world.connection.execute("select campaign_id, action, detail from audit_event where action like 'att%'")
    assert rows.fetchall() == [(old.id, "attempts.remove", {"attempts": 2, "days": 60.0})]
    assert trim(world) == []
    assert "removed its calls: 2 calls" in bulkpoint.succeed("campaign", "history", str(old.id)).stdout


def test_calls_stay_while_money_may_remember_the_keys_or_something_is_left_to_do(world: World) -> None:
    old, unknown = ended(world, days=70), ended(world, days=70, unknown=True)
    assert trim(world, BULKPOINT_MONEY_KEY_RETENTION_H="2000") == []
    world.connection.execute(
        "insert into money_promise (key_retention_h, settle_s, connect_timeout_s, timeout_s, set_by, reason)"
        " values (2000, 0, 1, 1, 'a', 'r')"
    )
    assert trim(world) == []
    with pytest.raises(psycopg.errors.RestrictViolation, match="may still be needed"):
        world.connection.execute("select remove_attempts(%s, 'x', '1 day')", (old.id,))
    world.connection.execute("update money_promise set key_retention_h = 24")
    assert trim(world) == [(old.id, 2)]
    assert calls(unknown) == 2


def test_without_a_setting_calls_are_kept_always(world: World) -> None:
    ended(world, days=9_000)
    with refused("No setting says how long calls are kept", UsageError, code="ATTEMPTS_ARE_KEPT"):
        remove_old_attempts(world.connection, load_settings({}), actor="kim")


def test_only_a_login_with_the_right_removes_calls(world: World, database_url: str) -> None:
    old = ended(world, days=70)
    make_roles(database_url)
    with member_of(world.connection, database_url, "bulkpoint_operator") as kim:
        with refused("login kim may not", code="RIGHT_MISSING"):
            remove_old_attempts(kim, load_settings(KEEP), actor="kim")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            kim.execute("select remove_attempts(%s, 'x', '1 day')", (old.id,))
        world.connection.execute("insert into operator_right (login, permission) values ('kim', 'archive')")
        assert remove_old_attempts(kim, load_settings(KEEP), actor="kim") == [(old.id, 2)]
