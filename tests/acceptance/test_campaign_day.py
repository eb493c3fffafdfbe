"""The day of those who run campaigns, by the real command line: two people, a loader, a question before money moves."""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from bulkpoint.store.connect import connect
from tests.world.campaigns import Campaign, World
from tests.world.command_line import CommandLine
from tests.world.listeners import closes, listener


@pytest.fixture
def bulkpoint(bulkpoint: CommandLine) -> CommandLine:
    """Kim's, where a campaign is to be approved."""
    bulkpoint.environment |= {"BULKPOINT_ACTOR": "Kim of marketing", "BULKPOINT_REQUIRE_APPROVAL": "true"}
    return bulkpoint


@pytest.fixture
def lee(database_url: str, tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of another person, with a login and a password of her own; she is an operator."""
    passfile = tmp_path / "lee.pgpass"
    passfile.write_text("*:*:*:lee:secret\n")
    passfile.chmod(0o600)
    with connect(database_url) as connection:
        connection.execute("create role lee login password 'secret'")
    address = urlsplit(database_url)
    url = address._replace(netloc=f"lee@{address.hostname}:{address.port}").geturl()
    yield {"BULKPOINT_DATABASE_URL": url, "PGPASSFILE": str(passfile), "BULKPOINT_ACTOR": "Lee of finance"}
    with connect(database_url) as connection:
        connection.execute("drop owned by lee")
        connection.execute("drop role lee")


def test_a_list_loaded_by_others_is_looked_at_approved_and_asked_about(
    bulkpoint: CommandLine, database_url: str, lee: dict[str, str]
) -> None:
    created = bulkpoint("campaign", "create", "--name", "추석", "--expect-count", "3", "--expect-amount", "60")
    assert created.stdout == "created campaign 1\n"
    with connect(database_url) as loader:
        loader.execute("insert into campaign_target select 1, 'm' || i, 10 * i, 'r' from generate_series(1, 2) i")
    early = bulkpoint("campaign", "start", "1", "--yes")
    assert early.returncode == 3
    assert "expects 3 targets and 60 points, but 2 and 30 are loaded. Load what is missing" in early.stderr
    with connect(database_url) as loader:
        loader.execute("insert into campaign_target values (1, 'm3', 30, 'r')")

    preview = bulkpoint("campaign", "preview", "1", "--json")
    assert preview.returncode == 0, preview.stderr
    digest = preview.json["digest"]
    queued = bulkpoint("campaign", "start", "next", "--yes")
    assert (queued.returncode, queued.stdout) == (0, "nothing to start\n")
    assert "Campaign 1 (추석) is passed by: no one has approved it." in queued.stderr
    own = bulkpoint("campaign", "approve", "1")
    assert own.returncode == 3
    assert "created by this very database login" in own.stderr

    assert bulkpoint("db", "roles").returncode == 0
    with connect(database_url) as owner:
        owner.execute("grant bulkpoint_operator to lee")
    unentitled = bulkpoint("campaign", "approve", "1", **lee)
    assert unentitled.returncode == 3
    assert "`bulkpoint right grant lee approve`" in unentitled.stderr
    granted = bulkpoint("right", "grant", "lee", "approve")
    assert granted.stdout == "lee may now: approve\n"
    approved = bulkpoint("campaign", "approve", "1", "--digest", digest[:12], **lee)
    assert approved.stdout == f"approved campaign 1 with digest {digest}\n", approved.stderr
    refused = bulkpoint("campaign", "start", "1", "--yes", **lee)
    assert refused.returncode == 3
    assert "login lee may not start" in refused.stderr

    with listener(closes) as port:  # a question is asked where a yes could be followed
        bulkpoint.environment["BULKPOINT_MONEY_URL"] = f"http://127.0.0.1:{port}"
        code, seen = bulkpoint.at_a_terminal("campaign", "start", "1", answer="n")
    assert code == 3
    assert "Campaign 1  추석" in seen
    assert "3 payments, 60 points; created by Kim of marketing, approved by Lee of finance" in seen
    assert f"digest {digest}" in seen
    assert re.search(
        r"about 1 s at 1,000 TPS, after Spark.s start of 10 to 30 s: until about \d{4}-\d\d-\d\d \d\d:\d\d:\d\d", seen
    )
    assert "Not started, as you said; nothing was changed." in seen

    shown = bulkpoint("campaign", "show", "1").stdout
    assert re.search(r"approved +\d{4}-.* by Lee of finance", shown)
    with connect(database_url) as connection:
        rows = connection.execute("select login, actor, action from audit_event order by audit_no").fetchall()
    owner_login = rows[0][0]
    assert [(login == owner_login, actor, action) for login, actor, action in rows] == [
        (True, "Kim of marketing", "create"),
        (True, "Kim of marketing", "preview"),
        (True, "Kim of marketing", "right.grant"),
        (False, "Lee of finance", "approve"),
    ]


def test_a_campaign_whose_job_died_is_shown_as_that(bulkpoint: CommandLine, tmp_path: Path, world: World) -> None:
    targets = tmp_path / "targets.csv"
    targets.write_text("member_id,amount,reason\nm1,5,r\n")
    bulkpoint("campaign", "create", "--name", "c", "--targets", str(targets))
    Campaign(world, 1).begun().without_driver()
    for command in (("campaign", "list"), ("campaign", "show", "1"), ("check",)):
        told = bulkpoint(*command)
        assert "bulkpoint campaign resume 1" in told.stdout + told.stderr, command
    assert bulkpoint("check").returncode == 5
    targets.write_text("member_id,amount,reason\nm2,5,r\n")
    bulkpoint("campaign", "create", "--name", "d", "--targets", str(targets))
    blocked = bulkpoint("campaign", "start", "2", "--yes", BULKPOINT_REQUIRE_APPROVAL="false")
    assert blocked.returncode == 3
    assert "its job is gone" in blocked.stderr


def test_the_same_list_twice_is_refused_by_name(bulkpoint: CommandLine, tmp_path: Path) -> None:
    targets = tmp_path / "targets.csv"
    targets.write_text("member_id,amount,reason\nm1,5,r\n")
    create = ("campaign", "create", "--name", "c", "--targets", str(targets))
    assert bulkpoint(*create).returncode == 0
    again = bulkpoint(*create)
    assert again.returncode == 3
    assert "the same as that of campaign 1 (c), seen in the last 24 hours" in again.stderr
    assert bulkpoint(*create, "--same-as", "1").returncode == 2
    meant = bulkpoint(*create, "--same-as", "1", "--reason", "second half")
    assert meant.stdout.startswith("created campaign "), meant.stderr
