"""A login without the right `members` sees no member id, whatever it asks; one with it does; both leave a trace."""

import os
import re
from pathlib import Path

import pytest

from bulkpoint.cli.main import bulkpoint as root
from bulkpoint.rules.member_names import masked
from bulkpoint.store.connect import Connection
from tests.world.campaigns import World
from tests.world.command_line import CommandLine
from tests.world.logins import NewPerson, Person
from tests.world.members import MEMBERS, RICH, UNKNOWN, a_list, a_settlement, members_everywhere, named_in, text_of
from tests.world.odd_lines import named_commands

# What a person has typed or brought may be said back where nothing else helps: what is wrong in a file of one's own.
LINES = (
    "campaign approve 3 --json", "campaign list", "campaign show 1 --json", "campaign show 1", "campaign show 2",
    "campaign show 3", "campaign history 1", "campaign history 2", "campaign watch 1", "campaign watch 2",
    "campaign start 3", "campaign start 3 --accept LOOK_ALIKE_IDS --json", "campaign preview 3",
    "campaign preview 3 --json",
    "campaign preview 1 --reason tired", "campaign preview --targets list.csv --reason look --errors errors.csv",
    "campaign preview --targets list.csv --json",
    "campaign approve 3", "campaign reject 3 --reason r", "campaign stop 3", "campaign withdraw 4 --reason r",
    "campaign resume 2", "campaign retry 1 --json",
    "campaign acknowledge 1", "campaign archive 1 --out .",
    "campaign create --name T --expect-count 9 --expect-amount 9",
    f"payment find --member {MEMBERS[0]} --reason ticket-1", f"payment find --member {MEMBERS[1]} --json",
    f"payment find --member {MEMBERS[2]} --campaign 2", f"payment find --member {RICH}",
    f"payment find --member {UNKNOWN}", f"payment find --member {masked(MEMBERS[0])}",
    f"payment settle --campaign 1 --member {MEMBERS[3]} --transaction t-1 --reason r",
    f"payment settle --campaign 1 --member {MEMBERS[0]} --transaction t-1 --reason r --json",
    f"payment settle --campaign 2 --member {MEMBERS[0]} --transaction t-1 --reason r",
    f"payment settle --campaign 1 --member {UNKNOWN} --transaction x-1 --reason r",
    "report 1", "report 1 --json", "report 1 --format csv --reason books", "report 1 --format csv --out a.csv",
    "report 1 --format xlsx --out a.xlsx", "report 1 --format parquet --out a.parquet",
    "report 1 --format html --out a.html", "report 2 --format csv", "report --month 2026-11",
    "reconcile 1 --settlement credits.csv", "reconcile 1 --settlement credits.csv --json", "reconcile 2",
    "check", "check --json", "audit log", "audit log --json", "audit readings", "audit verify", "outbox status",
    "right list", "tps show", "tps set 5 --reason r", "money show", "settings", "doctor",
    "db migrate", "db trim --older-than 400d", "notify", "right grant kim start", "right revoke kim start",
    "money set --settle-s 5 --reason r", "outbox relay",
)  # fmt: skip
# Of these, the ones whose very words have a member for whoever may see it.
SHOWN = (
    "report 1 --format xlsx --out a.xlsx", "report 1 --format parquet --out a.parquet", "campaign approve 3 --json",
    "campaign show 2", "campaign watch 2", "campaign preview 3",
    "campaign preview --targets list.csv --reason look --errors errors.csv", "campaign start 3", "check",
    f"payment find --member {MEMBERS[0]} --reason ticket-1",
    f"payment settle --campaign 1 --member {MEMBERS[3]} --transaction t-1 --reason r",
    "report 1 --format csv --reason books", "reconcile 1 --settlement credits.csv",
)  # fmt: skip
# These show no member, or are their own proof: the demo's database and the sandbox's ledger are nobody else's.
NOT_WALKED = {"demo", "sandbox serve", "db roles", "web", "agent", "metrics"}
FILES = ("a.csv", "a.xlsx", "a.parquet", "a.html")


@pytest.fixture
def clerk(world: World, database_url: str, bulkpoint: CommandLine, person: NewPerson) -> tuple[CommandLine, Person]:
    """An operator who may do all but see members, in a database in which members are named everywhere."""
    members_everywhere(world)
    (bulkpoint.folder / "list.csv").write_text(a_list())
    (bulkpoint.folder / "credits.csv").write_text(a_settlement())
    kim = person("start", "force", "approve", "throttle", "reconcile", "archive")
    passfile = bulkpoint.folder / "passfile"
    passfile.write_text(f"*:*:*:{kim.login}:{kim.password}\n")
    passfile.chmod(0o600)
    ours = {
        "BULKPOINT_DATABASE_URL": re.sub("//[^@/]*@", f"//{kim.login}@", database_url),
        "PGPASSFILE": str(passfile),
        "BULKPOINT_MONEY_URL": "http://127.0.0.1:1",
        "BULKPOINT_BREAKER_PATIENCE_S": "1",
    }
    return CommandLine(os.environ | bulkpoint.environment | ours, bulkpoint.folder), kim


def written(folder: Path) -> str:
    """All text in the files that the commands have written."""
    return "\n".join(text_of((folder / name).read_bytes()) for name in FILES if (folder / name).exists())


def test_no_command_shows_a_member_to_a_login_without_the_right(
    clerk: tuple[CommandLine, Person], connection: Connection
) -> None:
    command_line, kim = clerk
    for line in LINES:
        ended = command_line(*line.split())
        assert "Traceback" not in ended.stderr, (line, ended.stderr)
        assert "permission denied" not in ended.stderr or line.startswith("db "), (line, ended.stderr)
        assert not named_in(ended.stdout + ended.stderr), (line, ended.stdout, ended.stderr)
    assert masked(MEMBERS[0]) in written(command_line.folder), "there is something to be seen"
    assert not named_in(written(command_line.folder))
    log = connection.execute("select string_agg(e::text, ' ') from audit_event e").fetchone()
    assert log is not None
    assert not named_in(log[0])
    readings = connection.execute(
        "select action, campaign_id, detail->>'reason', detail->>'rows', detail->>'masked', login from audit_event"
        " where action = any('{export,find,list,preview}') and detail ? 'reason' order by audit_no"
    ).fetchall()
    assert readings == [
        ("preview", 1, "tired", "8", "true", kim.login),
        ("preview", None, "look", "13", "true", kim.login),
        ("find", None, "ticket-1", "3", "true", kim.login),
        ("export", 1, "books", "8", "true", kim.login),
    ]


def test_with_the_right_the_same_commands_show_members(
    clerk: tuple[CommandLine, Person], connection: Connection
) -> None:
    command_line, kim = clerk
    connection.execute("insert into operator_right (login, permission) values (%s, 'members')", (kim.login,))
    for line in SHOWN:
        ended = command_line(*line.split())
        shown = written(command_line.folder) if "--out" in line else ended.stdout + ended.stderr
        assert named_in(shown), (line, ended.stdout, ended.stderr)
    assert set(named_in(written(command_line.folder))) == set(MEMBERS)
    masks = connection.execute("select count(*) from audit_event where detail ? 'masked'").fetchone()
    assert masks == (0,)


def test_what_is_shown_with_the_right_is_walked_without_it() -> None:
    assert set(SHOWN) <= set(LINES)


def test_every_command_is_walked() -> None:
    every = {" ".join(path) for path, command in named_commands(root) if not hasattr(command, "commands")}
    walked = {command for command in every for line in LINES if f"{line} ".startswith(f"{command} ")}
    assert every - NOT_WALKED <= walked, "what a new command shows is looked at above"
