"""`db trim`: calls go when they are older than people want to keep them, and never while they may be needed."""

import sys
from uuid import uuid4

import click
import psycopg
import pytest

from bulkpoint.campaigns.keep_attempts import list_old_attempts, remove_old_attempts
from bulkpoint.cli import deployment
from bulkpoint.errors import UsageError
from bulkpoint.settings import load_settings
from bulkpoint.store.migrate import make_roles
from bulkpoint.store.payment import Attempt
from bulkpoint.views.format import local_time
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
    said = bulkpoint.succeed("db", "trim", "--yes", **KEEP)
    assert said.stdout == f"removed the calls of campaign {old.id}: 2\n"
    assert (calls(old), calls(young)) == (0, 2)
    assert old.counts().success == 2
    old.assert_sums_hold()
    rows = world.connection.execute("select campaign_id, action, detail from audit_event where action like 'att%'")
    assert rows.fetchall() == [(old.id, "attempts.remove", {"attempts": 2, "days": 60.0})]
    assert trim(world) == []
    history = bulkpoint.succeed("campaign", "history", str(old.id)).stdout
    assert "removed its calls: 2 calls; of a run that ended more than 60 days ago" in history


def test_without_a_yes_nothing_is_removed(
    world: World, bulkpoint: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = ended(world, days=61)
    ended(world, days=62)
    answer = bulkpoint("db", "trim", **KEEP)
    assert answer.returncode == 2
    assert "--yes" in answer.stderr
    said: list[str] = []
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(deployment, "say", said.append)
    monkeypatch.setattr(click, "confirm", lambda *_, **__: False)
    with refused("Nothing was removed", code="NOT_REMOVED"):
        deployment.ask_to_trim([(old.id, 2), (old.id + 1, 1_000)])
    assert said == [
        f"2 campaigns, 1,002 calls: {old.id}, {old.id + 1}",
        "  The calls are removed permanently; payments stay.",
    ]
    assert list_old_attempts(world.connection, load_settings(KEEP)) == [(old.id, 2), (old.id + 1, 2)]
    assert calls(old) == 2


def test_only_the_campaigns_that_were_asked_about_lose_their_calls(world: World) -> None:
    old, other = ended(world, days=61), ended(world, days=61)
    settings = load_settings(KEEP)
    assert remove_old_attempts(world.connection, settings, actor="kim", chosen=[other.id]) == [(other.id, 2)]
    assert remove_old_attempts(world.connection, settings, actor="kim", chosen=[other.id]) == []
    assert calls(old) == 2


def test_the_help_desk_hears_that_calls_were_removed_and_when(world: World, bulkpoint: CommandLine) -> None:
    world.campaign(["m1"]).begun().paid([1]).ended("COMPLETED").was_finished(seconds_ago=61 * DAY_S)
    before = bulkpoint.succeed("payment", "find", "--member", "m1")
    assert "removed" not in before.stdout
    trim(world)
    row = world.connection.execute("select removed_at from removed_attempts").fetchone()
    assert row is not None
    found = bulkpoint.succeed("payment", "find", "--member", "m1")
    assert f"  calls       removed on {local_time(row[0], 'Asia/Seoul')[:10]} (db trim)\n" in found.stdout
    as_json = bulkpoint.succeed("payment", "find", "--member", "m1", "--json").json
    assert as_json["payments"][0]["calls_removed_at"] is not None


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
