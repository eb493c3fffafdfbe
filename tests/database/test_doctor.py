"""What the doctor finds in a database: each thing that a job needs, alone missing, is one problem with its code."""

import re
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from bulkpoint import files
from bulkpoint.doctor.database import judge_connections, judge_schema, judge_server, questions
from bulkpoint.doctor.questions import ask_all, error_of_problems
from bulkpoint.rules.checks import Check, Verdict
from bulkpoint.rules.connections import connections_needed
from bulkpoint.store.connect import Connection, Database
from bulkpoint.store.installation import InspectedServer, ServerFacts, inspect_server, missing_grants
from bulkpoint.store.migrate import make_roles
from bulkpoint.views.doctor import DoctorView
from bulkpoint.views.languages import LANGUAGES
from bulkpoint.views.sentences import sentence
from bulkpoint.views.view import Screen
from tests.world.logins import member_of

FINE = ServerFacts(
    version=150_004,
    name="points",
    encoding="UTF8",
    read_only=False,
    login="kim",
    now_s=0.0,
    free_on_server=90,
    free_for_login=None,
    free_for_database=None,
)


def checks_of(url: str, shares: int = 4) -> list[Check]:
    checks = ask_all(questions(url, shares))
    for check in checks:
        for language in LANGUAGES:
            assert sentence(check.found, language=language)
    return checks


def problems_of(checks: list[Check]) -> dict[str, str]:
    return {check.name: check.found.code for check in checks if check.verdict is Verdict.PROBLEM}


def test_a_database_that_is_able_to_be_paid_from_has_a_line_for_each_check(
    database_url: str, connection: Connection
) -> None:
    connection.execute("insert into operator_right select session_user, 'start' on conflict do nothing")
    checks = checks_of(database_url)
    assert [check.name for check in checks if check.verdict is not Verdict.OK] == []
    assert [check.name for check in checks] == [
        "database",
        "database-version",
        "database-encoding",
        "database-writable",
        "database-clock",
        "database-connections",
        "database-schema",
        "database-grants",
        "right",
        "jdbc-address",
    ]
    view = DoctorView.of(checks)
    assert view.ok
    assert len(list(view.as_text(Screen()))) == len(checks)


def test_a_read_only_database_may_be_switched_back(database_url: str) -> None:
    (found,) = [
        check
        for check in checks_of(f"{database_url}?options=-c%20default_transaction_read_only%3Don")
        if check.name == "database-writable"
    ]
    assert (found.verdict, found.found.code, found.may_pass) == (Verdict.PROBLEM, "DATABASE_READ_ONLY", True)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (b"drop schema public cascade; create schema public", "DATABASE_EMPTY"),
        (b"delete from migration", "DATABASE_OLDER"),
        (b"insert into migration (name) values ('9999_after_something.sql')", "DATABASE_NEWER"),
        (b"delete from operator_right", "RIGHT_MISSING"),
    ],
)
def test_what_a_database_lacks_is_one_problem(
    change: bytes, code: str, database_url: str, connection: Connection
) -> None:
    connection.execute("insert into operator_right select session_user, 'start' on conflict do nothing")
    connection.execute(change)
    assert list(problems_of(checks_of(database_url)).values()) == [code]


def test_another_encoding_is_a_problem(postgres_server: Database) -> None:
    with psycopg.connect(postgres_server.url, autocommit=True) as server:
        server.execute(
            "create database in_ascii template template0 encoding 'SQL_ASCII' locale_provider libc locale 'C'"
        )
        try:
            checks = checks_of(postgres_server.url.rpartition("/")[0] + "/in_ascii")
        finally:
            server.execute("drop database in_ascii with (force)")
    assert problems_of(checks)["database-encoding"] == "DATABASE_NOT_UTF8"


def test_a_database_that_is_away_is_one_problem_and_its_address_is_still_looked_at() -> None:
    checks = checks_of("postgresql://nobody@127.0.0.1:1/none")
    assert [(check.name, check.verdict, check.may_pass) for check in checks] == [
        ("database", Verdict.PROBLEM, True),
        ("jdbc-address", Verdict.OK, False),
    ]


def test_an_old_server_and_a_wrong_clock_are_found() -> None:
    (old, *_) = judge_server(InspectedServer(replace(FINE, version=140_011), 0.0, 0.0))
    assert (old.found.code, old.found.facts["version"]) == ("SERVER_TOO_OLD", 14)
    for ahead_s, verdict in ((4.9, Verdict.OK), (5.2, Verdict.WARNING), (-60.0, Verdict.WARNING)):
        (*_, clock) = judge_server(InspectedServer(FINE, ahead_s, 0.1))
        assert (clock.name, clock.verdict) == ("database-clock", verdict)


def test_a_schema_of_no_version_is_an_empty_database() -> None:
    assert judge_schema([], None).found.code == "DATABASE_EMPTY"


@pytest.mark.parametrize(
    ("server", "of_login", "verdict", "limit"),
    [
        (connections_needed(4), None, Verdict.OK, "max_connections"),
        (connections_needed(4) - 1, None, Verdict.WARNING, "max_connections"),
        (90, connections_needed(1), Verdict.WARNING, "CONNECTION LIMIT (role)"),
        (90, connections_needed(1) - 1, Verdict.PROBLEM, "CONNECTION LIMIT (role)"),
        (-2, 50, Verdict.PROBLEM, "max_connections"),
    ],
)
def test_connections_that_a_run_needs_are_compared_with_the_ones_that_are_free(
    server: int, of_login: int | None, verdict: Verdict, limit: str
) -> None:
    facts = replace(FINE, free_on_server=server, free_for_login=of_login)
    check = judge_connections(facts, 4)
    assert (check.verdict, check.found.facts["limit"]) == (verdict, limit)


def test_the_limits_of_a_login_and_a_database_count_less_what_is_used(
    database_url: str, connection: Connection
) -> None:
    with member_of(connection, database_url, name="lee") as lee:
        connection.execute("alter role lee connection limit 7")
        name = connection.info.dbname
        connection.execute(psycopg.sql.SQL("alter database {} connection limit 9").format(psycopg.sql.Identifier(name)))
        facts = inspect_server(lee).facts
        assert (facts.login, facts.free_for_login, facts.free_for_database) == ("lee", 7, 8)
        assert facts.free_on_server > 9


def test_an_operator_lacks_nothing_and_a_login_without_a_role_nearly_all(
    database_url: str, connection: Connection
) -> None:
    make_roles(database_url)
    with member_of(connection, database_url, "bulkpoint_operator", name="lee") as lee:
        assert missing_grants(lee) == []
    with member_of(connection, database_url, name="lee") as lee:
        missing = missing_grants(lee)
    assert {"select on payment", "update on payment", "insert on audit_event"} <= set(missing)
    assert "delete on payment" not in missing, "no job needs it"


def test_a_login_that_may_read_nothing_lacks_grants_and_not_tables(database_url: str, connection: Connection) -> None:
    """Its own password is needed to come in: the address names the owner, who becomes that login in the session."""
    with member_of(connection, database_url, name="lee"):
        as_lee = f"{database_url}?options=-c%20role%3Dlee"
        found = problems_of(checks_of(as_lee))
    assert found == {"database-grants": "GRANTS_MISSING"}


def test_tables_in_a_schema_of_another_name_are_looked_at_too(database_url: str, connection: Connection) -> None:
    connection.execute('alter schema public rename to "My Points"')
    connection.execute('create role lee login; grant usage on schema "My Points" to lee')
    try:
        connection.execute('set search_path to "My Points"')
        connection.execute("set session authorization lee")
        assert "update on payment" in missing_grants(connection)
        connection.execute("reset session authorization")
        assert missing_grants(connection) == []
    finally:
        connection.execute("drop owned by lee")
        connection.execute("drop role lee")


def test_each_grant_that_is_taken_from_an_operator_is_named(database_url: str, connection: Connection) -> None:
    make_roles(database_url)
    with member_of(connection, database_url, "bulkpoint_operator", name="lee") as lee:
        of_tables = "insert on payment_attempt", "insert on call_tally", "update on payment", "delete on money_share"
        for taken in of_tables:
            connection.execute(f"revoke {taken} from bulkpoint_operator".encode())
            assert missing_grants(lee) == [taken]
            connection.execute(f"grant {taken} to bulkpoint_operator".encode())
        connection.execute("revoke execute on function freeze_campaign(bigint, bytea) from bulkpoint_operator, public")
        connection.execute("revoke execute on function fold_call_tally() from bulkpoint_operator, public")
        assert missing_grants(lee) == ["execute on fold_call_tally", "execute on freeze_campaign"]


def test_what_an_operator_is_granted_to_write_is_looked_at_but_for_what_no_job_does() -> None:
    """sql/roles.sql is the home of the grants; a table that is granted there and not looked at would be found late."""
    granted = {
        f"{privilege} on {table}"
        for privileges, tables in re.findall(
            r"grant ((?:insert|update|delete)[\w, ()]*?) on ([\w, ]+?)\s+to bulkpoint_operator",
            re.sub(r"\s+", " ", files.read_text("sql/roles.sql")),
        )
        for privilege in re.findall(r"insert|update|delete", re.sub(r"\(.*?\)", "", privileges))
        for table in tables.split(", ")
    }
    looked_at = {
        f"{privilege} on {table}"
        for privilege, table in re.findall(
            r"\('(insert|update|delete)', '(\w+)'", files.read_text("sql/queries/installation.sql")
        )
    }
    assert len(granted) > 15, granted
    assert granted - looked_at == {"insert on campaign", "insert on settled_by_hand"}, "these are people's, no job's"
    assert looked_at <= granted


def test_every_check_is_explained() -> None:
    sources = [
        path.read_text()
        for folder in ("doctor", "launch")
        for path in Path(files.__file__).parent.glob(f"{folder}/*.py")
    ]
    names = set(re.findall(r"(?:Question|ok|warning|problem|_judge)\(\s*\"([a-z-]+)\"", "".join(sources)))
    document = (Path(files.__file__).parents[1] / "docs" / "doctor.md").read_text()
    explained = {
        name for row in re.findall(r"^\| (`[a-z-`, ]+) \|", document, re.M) for name in re.findall("`(.+?)`", row)
    }
    assert explained == names


def test_two_checks_that_meet_the_same_problem_say_it_once() -> None:
    error = error_of_problems(checks_of("postgresql://kim@db.example.com/points?no_such=1"))
    assert error is not None
    assert (error.exit_code, error.refusal.code) == (2, "DATABASE_ADDRESS_NOT_UNDERSTOOD")
