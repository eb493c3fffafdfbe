"""A look changes nothing: the commands that only show something leave every table and every sequence as they were."""

from hashlib import sha256

import pytest

from bulkpoint.campaigns.tps import change_limit
from bulkpoint.cli.main import bulkpoint as root
from bulkpoint.settings import load_settings
from bulkpoint.store.connect import Connection
from tests.world.campaigns import World
from tests.world.command_line import CommandLine
from tests.world.odd_lines import named_commands

LOOKS = (
    "campaign list", "campaign show 1", "campaign history 1", "campaign watch 2", "tps show", "money show", "check",
    "metrics", "doctor", "audit log", "audit log --campaign 1", "audit readings", "audit verify", "outbox status",
    "right list",
    "settings", "campaign start 3", "campaign start 9 --yes", "campaign resume 2", "campaign retry 2", "notify",
    "outbox relay", "campaign create --name T --targets list.csv --expect-count 9", "tps set -1",
    "campaign watch 1", "report 3 --format csv", "db migrate",
)  # fmt: skip
# Of these only that somebody looked is kept, and why.
LOOKS_WITH_A_TRACE = (
    "campaign preview 1", "campaign preview 3", "campaign preview --targets list.csv", "payment find --member a",
    "report 2 --format csv",
)  # fmt: skip
TRACE = {"audit_event", "audit_head"}
# What these do is kept.
CHANGES = {
    "campaign acknowledge", "campaign approve", "campaign archive", "campaign create", "campaign reject",
    "campaign resume", "campaign retry", "campaign start", "campaign stop", "campaign withdraw", "payment settle",
    "reconcile", "report", "tps set", "money set", "outbox relay", "notify", "right grant", "right revoke",
    "db migrate", "db roles", "db trim", "demo", "sandbox serve", "agent", "web",
}  # fmt: skip


def everything(connection: Connection) -> dict[str, bytes]:
    """A digest of each table's rows, and where each sequence stands."""
    tables = connection.execute(
        "select c.oid::regclass::text from pg_class c where relkind in ('r', 'p')"
        " and relnamespace = current_schema()::regnamespace order by 1"
    ).fetchall()
    found = {}
    for (table,) in tables:
        rows = connection.execute(f"select t::text from {table} t order by 1".encode()).fetchall()
        found[table] = sha256(repr(rows).encode()).digest()
    sequences = connection.execute("select sequencename, last_value from pg_sequences order by 1").fetchall()
    return found | {name: str(value).encode() for name, value in sequences}


@pytest.fixture
def used(world: World, bulkpoint: CommandLine) -> Connection:
    """A database in which much has happened, and something waits."""
    (bulkpoint.folder / "list.csv").write_text("member_id,amount,reason\nm1,5,r\nm2,5,r\n")
    world.campaign([("a", 1, "r"), ("b", 2, "봄")]).approved()
    world.campaign(3).begun().paid(1).failed(1).sampled().stopped()
    world.campaign(4)
    change_limit(world.connection, load_settings(), tps=7, actor="kim", reason="r")
    return world.connection


@pytest.mark.parametrize("is_new", [True, False], ids=["a new database", "a used one"])
def test_a_look_changes_nothing(connection: Connection, request: pytest.FixtureRequest, is_new: bool) -> None:
    if not is_new:
        request.getfixturevalue("used")
    bulkpoint: CommandLine = request.getfixturevalue("bulkpoint")
    (bulkpoint.folder / "list.csv").write_text("member_id,amount,reason\nm1,5,r\nm2,5,r\n")
    before = everything(connection)
    assert len(before) > 15
    for line in (*LOOKS, *LOOKS_WITH_A_TRACE):
        ended = bulkpoint(*line.split(), BULKPOINT_TPS="5", BULKPOINT_MONEY_URL="http://127.0.0.1:1")
        assert "Traceback" not in ended.stderr
        now = everything(connection)
        changed = {name for name in now.keys() | before.keys() if now.get(name) != before.get(name)}
        assert changed <= (TRACE if line in LOOKS_WITH_A_TRACE else set()), line
        before = now


def test_every_command_is_a_look_or_changes_something() -> None:
    every = {" ".join(path) for path, command in named_commands(root) if not hasattr(command, "commands")}
    lines = (*LOOKS, *LOOKS_WITH_A_TRACE)
    looked_at = {command for command in every for line in lines if f"{line} ".startswith(f"{command} ")}
    assert every - CHANGES <= looked_at, "a command that changes nothing is looked at above"
    assert every >= CHANGES


def test_a_limit_of_the_settings_that_is_not_in_force_is_said(world: World, bulkpoint: CommandLine) -> None:
    def said(*arguments: str, **settings: str) -> str:
        return bulkpoint(*arguments, **settings).stderr

    shown = bulkpoint("tps", "show", "--json", BULKPOINT_TPS="5")
    assert shown.json["tps"] == 100, "the stored one is in force"
    assert "The limit in force is the database's, 100 TPS; BULKPOINT_TPS is 5 here" in shown.stderr
    assert said("tps", "show") == ""
    assert said("tps", "show", BULKPOINT_TPS="100") == ""
    change_limit(world.connection, load_settings(), tps=3, actor="kim", until=world.ago(-600))
    assert said("tps", "show", BULKPOINT_TPS="100") == "", "it is back in ten minutes"
    assert "BULKPOINT_TPS is 5 here" in said("tps", "show", BULKPOINT_TPS="5")


def test_before_the_first_run_the_settings_limit_is_shown_and_not_stored(
    connection: Connection, bulkpoint: CommandLine
) -> None:
    for tps in ("1000", "5"):
        shown = bulkpoint("tps", "show", "--json", BULKPOINT_TPS=tps)
        assert (shown.json["tps"], shown.stderr) == (int(tps), "")
    assert connection.execute("select count(*) from money_limit").fetchall() == [(0,)]


def test_a_watch_of_a_run_that_has_ended_names_the_next_command(used: Connection, bulkpoint: CommandLine) -> None:
    watched = bulkpoint("campaign", "watch", "2")
    assert watched.returncode == 4
    assert "`bulkpoint campaign resume 2`" in watched.stderr
