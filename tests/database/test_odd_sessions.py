"""Databases that a DBA gave other defaults, another schema or another encoding."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest

from bulkpoint.store.connect import Connection, connect
from bulkpoint.store.migrate import migrate
from tests.world.campaigns import Campaign, World
from tests.world.command_line import CommandLine
from tests.world.refusals import refused

# Each is what a server may have for reasons of its own; none is a default.
ODD = {
    "datestyle": "German, DMY",
    "timezone": "Pacific/Chatham",
    "intervalstyle": "sql_standard",
    "bytea_output": "escape",
    "standard_conforming_strings": "off",
    "extra_float_digits": "-15",
    "client_encoding": "LATIN1",
    "default_transaction_isolation": "serializable",
    "default_transaction_deferrable": "on",
    "quote_all_identifiers": "on",
    "array_nulls": "off",
    "transform_null_equals": "on",
    "backslash_quote": "off",
    "plan_cache_mode": "force_generic_plan",
    "enable_partition_pruning": "off",
    "row_security": "off",
}
# Reason and member with what a parser of strings may take for its own.
ROWS = [("m-1\\n", 5, "봄 \\'맞이\\'"), ("mé", 7, "NULL"), ("회원-3", 9, "\\x41, {a}")]


@pytest.fixture
def odd(connection: Connection) -> None:
    """This test's database has them; connections that are made from now on begin with them."""
    for name, value in ODD.items():
        connection.execute(f"alter database {connection.info.dbname} set {name} = '{value}'".encode())


def paid_and_shown(database_url: str, bulkpoint: CommandLine, folder: Path) -> None:
    """A campaign as the commands and the job's own statements make it, and all that is shown of it."""
    targets = folder / "targets.csv"
    targets.write_text("member_id,amount,reason\n" + "".join(f'{m},{a},"{why}"\n' for m, a, why in ROWS))
    created = bulkpoint.succeed("campaign", "create", "--name", "봄 \\ 캠페인", "--targets", str(targets))
    campaign = created.stdout.split()[-1]
    with connect(database_url) as theirs:
        begun = Campaign(World(theirs), int(campaign)).begun()
        begun.paid([1, 2]).failed([3], kind="UNKNOWN").ended("COMPLETED").assert_sums_hold()
    shown = bulkpoint.succeed("campaign", "show", campaign, "--json").json
    assert shown["counts"] == {"PENDING": 0, "PROCESSING": 0, "SUCCESS": 2, "FAILED": 1}
    assert shown["failure_kinds"]["UNKNOWN"] == 1
    assert shown["name"] == "봄 \\ 캠페인"
    bulkpoint.succeed("report", campaign, "--format", "csv", "--out", str(folder / "report.csv"))
    report = (folder / "report.csv").read_text()
    for member, amount, _ in ROWS:
        assert f"{member},{amount}," in report
    assert bulkpoint.succeed("payment", "find", "--member", "mé", "--json").json["payments"][0]["amount"] == 7
    for command in (["history", campaign], ["preview", campaign], ["list"]):
        bulkpoint.succeed("campaign", *command)
    for command in (["audit", "verify"], ["audit", "log"], ["tps", "show"], ["outbox", "status"]):
        bulkpoint.succeed(*command)


@pytest.mark.usefixtures("odd")
def test_a_campaign_is_paid_and_shown_whatever_a_session_begins_with(
    database_url: str, bulkpoint: CommandLine, tmp_path: Path
) -> None:
    paid_and_shown(database_url, bulkpoint, tmp_path)


@pytest.fixture
def elsewhere(connection: Connection, database_url: str) -> Iterator[str]:
    """The address of an empty database whose search path has a schema of another name."""
    name = f"{connection.info.dbname}_elsewhere"
    connection.execute(f"create database {name}".encode())
    address = (
        urlsplit(database_url)._replace(path=f"/{name}", query=f"options={quote('-c search_path=points')}").geturl()
    )
    with connect(address) as owner:
        owner.execute("create schema points")
    yield address
    connection.execute(f"drop database {name} with (force)".encode())


def test_the_tables_may_be_in_a_schema_of_another_name(elsewhere: str, bulkpoint: CommandLine, tmp_path: Path) -> None:
    theirs = CommandLine(bulkpoint.environment | {"BULKPOINT_DATABASE_URL": elsewhere}, tmp_path)
    theirs.succeed("db", "migrate")
    theirs.succeed("db", "roles")
    paid_and_shown(elsewhere, theirs, tmp_path)
    with connect(elsewhere) as owner:
        found = owner.execute("select distinct schemaname from pg_tables where tablename like 'payment%'").fetchall()
    assert found == [("points",)]


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1", "EUC_KR"])
def test_a_database_that_is_not_utf8_is_refused_before_a_table_is_made(
    connection: Connection, database_url: str, encoding: str
) -> None:
    name = f"{connection.info.dbname}_encoded"
    connection.execute(
        f"create database {name} encoding '{encoding}' locale_provider libc locale 'C' template template0".encode()
    )
    address = urlsplit(database_url)._replace(path=f"/{name}").geturl()
    with refused(f"{name} has the encoding {encoding}; it must be UTF8.*create database NAME encoding 'UTF8'"):
        migrate(address)
    connection.execute(f"drop database {name} with (force)".encode())
