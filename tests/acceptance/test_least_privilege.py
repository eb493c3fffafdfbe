"""A whole campaign as docs/access.md sets it up: the owner only migrates, each other login has one group role.

The server is a strict one: PUBLIC may use neither the schema nor temporary tables, and the owner is no superuser.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql

from bulkpoint.campaigns.left_request import leave_request
from bulkpoint.campaigns.run_request import RunRequest
from bulkpoint.settings import load_settings
from bulkpoint.store.connect import Database
from tests.world.deployment import Deployment, deployment

TPS = 400
DATABASE = "strict"
GROUPS = ["bulkpoint_reader", "bulkpoint_loader", "bulkpoint_operator", "bulkpoint_relay"]
# Login and its group; the owner has none.
LOGINS = {"owner": None, "reader": "reader", "loader": "loader", "kim": "operator", "lee": "operator", "relay": "relay"}


@dataclass(frozen=True)
class People:
    """One deployment, by way of each one's login."""

    owner: Deployment
    reader: Deployment
    loader: Deployment
    kim: Deployment  # may start and throttle
    lee: Deployment  # may approve
    relay: Deployment

    def __iter__(self) -> Iterator[Deployment]:
        return iter(vars(self).values())


def password_of(login: str) -> str:
    return f"password of {login}"


@pytest.fixture
def addresses(postgres_server: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """Of an empty database, by login; what the owner makes is gone afterwards."""
    parts = urlsplit(postgres_server.url)

    def run(statement: str, *names: str, database: str = "") -> None:
        with psycopg.connect(
            parts._replace(path=f"/{database}" if database else parts.path).geturl(), autocommit=True
        ) as it:
            it.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))

    run("drop role if exists {}, {}, {}, {}", *GROUPS)  # other tests', made by a superuser
    for login in LOGINS:
        run(f"create role {{}} login password '{password_of(login)}'", login)
    run("alter role owner createrole")
    run("create database {} owner owner", DATABASE)
    run("revoke all on database {} from public", DATABASE)
    run("revoke all on schema public from public", database=DATABASE)
    run("alter schema public owner to owner", database=DATABASE)
    passfile = tmp_path / "passwords"
    passfile.write_text("".join(f"*:*:{DATABASE}:{login}:{password_of(login)}\n" for login in LOGINS))
    passfile.chmod(0o600)
    whole = postgres_server.passfile.read_text()
    with passfile.open("a") as file:
        file.write(whole)
    monkeypatch.setenv("PGPASSFILE", str(passfile))
    yield {
        login: parts._replace(netloc=f"{login}@{parts.hostname}:{parts.port}", path=f"/{DATABASE}").geturl()
        for login in LOGINS
    }
    run("drop database {} with (force)", DATABASE)
    for login in [*GROUPS, *reversed(LOGINS)]:
        run("drop role if exists {}", login)


@pytest.fixture
def people(addresses: dict[str, str], postgres_server: Database, tmp_path: Path) -> Iterator[People]:
    """Set up as docs/access.md says."""
    whole = urlsplit(postgres_server.url)._replace(path=f"/{DATABASE}").geturl()
    with deployment(
        tmp_path, "--latency-ms", "20", "--fault", "unavailable=0.1", database_url=whole, BULKPOINT_TPS=TPS
    ) as its:
        each = People(
            **{
                login: replace(its.with_settings(BULKPOINT_DATABASE_URL=url), database_url=url)
                for login, url in addresses.items()
            }
        )
        each.owner.succeed("db", "migrate")
        each.owner.succeed("db", "roles")
        with psycopg.connect(addresses["owner"], autocommit=True) as owner:
            for login, group in LOGINS.items():
                if group is not None:
                    owner.execute(f"grant bulkpoint_{group} to {login}".encode())
        each.owner.succeed("right", "grant", "kim", "start", "throttle")
        each.owner.succeed("right", "grant", "lee", "approve")
        yield each


def test_each_login_does_its_part_of_a_campaign(people: People, tmp_path: Path) -> None:
    """Run 1, asked for by kim and made by lee's agent, is stopped, run 2 resumes, run 3 retries what failed."""
    kim = people.kim.with_settings(BULKPOINT_RETRIES=0, BULKPOINT_REQUIRE_APPROVAL="true")
    loads_what_another_created(people)

    campaign = kim.create(1_000)
    kim.succeed("campaign", "preview", campaign)
    assert kim.run("campaign", "start", campaign, "--yes").returncode == 3, "it is not approved"
    people.lee.succeed("campaign", "approve", campaign)
    with psycopg.connect(kim.database_url, autocommit=True) as page:
        leave_request(page, load_settings(kim.environment), RunRequest(campaign=int(campaign), actor="kim"))
    job = people.lee.begin("agent", "--once")  # who runs it may not start: the right of who asked counts
    kim.wait_for(b"select count(*) > 100 from payment_attempt")
    kim.succeed("tps", "set", "300", "--reason", "slower")
    people.lee.succeed("campaign", "stop", campaign, "--reason", "a look")
    assert job.wait(60) == 4
    kim.succeed("campaign", "resume", campaign, "--yes", BULKPOINT_AUTO_RETRY_RUNS="1")
    kim.assert_promises_kept(campaign, tps=TPS)
    runs = [(run["kind"], run["state"]) for run in people.reader.show(campaign)["runs"]]
    assert runs == [("INITIAL", "STOPPED"), ("RESUME", "COMPLETED"), ("RETRY", "COMPLETED")]

    kim.succeed("reconcile", campaign)
    settlement = tmp_path / "settlement.csv"
    settlement.write_text("member_id,amount,transaction_id\n")
    assert kim.run("reconcile", campaign, "--settlement", str(settlement)).returncode == 3, "all are missing there"
    for command in ("outbox", "status"), ("check",):
        assert "denied" not in people.relay.run(*command).stderr
    all_is_read_by(people.reader, campaign, tmp_path)
    nothing_is_changed_by(people.reader, campaign)
    kim.succeed("audit", "verify")
    logins = kim.query(b"select distinct login from audit_event order by 1")
    assert logins == [("kim",), ("lee",), ("owner",), ("reader",)]
    looked = kim.query(
        b"select action, detail->>'format', detail->>'masked' from audit_event where login = 'reader' order by audit_no"
    )
    assert looked == [
        ("find", None, "true"), ("export", "csv", "true"), ("export", "xlsx", "true")
    ], "a page names no member, and nobody has the right `members`"  # fmt: skip
    assert b"member-000001" not in (tmp_path / "report.csv").read_bytes()
    assert kim.query(b"select distinct login from audit_event where action = 'preview'") == [("kim",)]


def loads_what_another_created(people: People) -> None:
    """A loader's program writes targets; the campaign is then taken out of the queue."""
    created = people.kim.succeed(
        "campaign", "create", "--name", "loaded", "--expect-count", "1", "--expect-amount", "5"
    ).stdout.split()[-1]
    with psycopg.connect(people.loader.database_url, autocommit=True) as loader:
        loader.execute("insert into campaign_target values (%s, 'm', 5, 'r')", (created,))
    people.kim.succeed("campaign", "preview", created)
    people.kim.succeed("campaign", "withdraw", created, "--reason", "not this one")


def all_is_read_by(its: Deployment, campaign: str, folder: Path) -> None:
    for command in (
        ["campaign", "list"],
        ["campaign", "show", campaign],
        ["campaign", "history", campaign],
        ["campaign", "watch", campaign],
        ["payment", "find", "--member", "member-000001"],
        ["report", campaign, "--format", "csv", "--out", str(folder / "report.csv")],
        ["report", campaign, "--format", "xlsx", "--out", str(folder / "report.xlsx")],
        ["report", "--month", "2026-01"],
        ["report", campaign, "--format", "html", "--out", str(folder / "report.html")],
        ["tps", "show"],
        ["right", "list"],
        ["audit", "log"],
        ["audit", "verify"],
        ["outbox", "status"],
        ["check"],
    ):
        ended = its.run(*command)
        assert "permission denied" not in ended.stderr, (command, ended.stderr)
        assert ended.returncode in {0, 5}, (command, ended.stderr)


def nothing_is_changed_by(reader: Deployment, campaign: str) -> None:
    before = reader.query(b"select audit_no from audit_head")
    for command in (
        ["campaign", "create", "--name", "x", "--expect-count", "1", "--expect-amount", "1"],
        ["campaign", "stop", campaign],
        ["campaign", "retry", campaign, "--yes"],
        ["reconcile", campaign],
        ["tps", "set", "5", "--reason", "r"],
        ["right", "grant", "reader", "start"],
        ["notify"],
        ["db", "migrate"],
        ["db", "roles"],
    ):
        ended = reader.run(*command)
        assert ended.returncode in {2, 3}, (command, ended.returncode, ended.stderr)
        assert "Traceback" not in ended.stderr, (command, ended.stderr)
        assert len(ended.stderr.strip().splitlines()) == 1, (command, ended.stderr)
    assert reader.query(b"select audit_no from audit_head") == before
