"""Whoever looks at members leaves a row in the audit log, before anything is shown, with what was masked."""

from hashlib import sha256
from typing import Any

import psycopg
import pytest

from bulkpoint.campaigns.preview import preview_campaign
from bulkpoint.campaigns.reading import find_member, note_list, note_preview, writes_apart, writes_on
from bulkpoint.errors import UsageError
from bulkpoint.rules.member_names import masked
from bulkpoint.rules.readiness import NO_LIMITS
from bulkpoint.store.audit import Reading, note_reading, sum_readings
from bulkpoint.store.connect import Connection, connect
from bulkpoint.store.migrate import make_roles
from bulkpoint.store.snapshot import one_snapshot
from tests.world.campaigns import World
from tests.world.command_line import CommandLine
from tests.world.logins import member_of
from tests.world.members import MEMBERS, members_everywhere
from tests.world.refusals import refused

ROWS = "select login, actor, action, campaign_id, detail from audit_event where action = any(%s) order by audit_no"
HASH = sha256(MEMBERS[0].encode()).hexdigest()


def rows(connection: Connection) -> list[tuple[Any, ...]]:
    return connection.execute(ROWS, ([str(action) for action in Reading],)).fetchall()


@pytest.fixture
def owner(world: World, database_url: str) -> Connection:
    make_roles(database_url)
    members_everywhere(world)
    return world.connection


def test_a_look_up_notes_whose_payments_how_many_and_why_and_never_the_id(owner: Connection, database_url: str) -> None:
    with member_of(owner, database_url, "bulkpoint_reader") as kim:
        note = writes_on(kim, actor="Kim")
        found = find_member(kim, MEMBERS[0], note=note, reason="ticket 1")
        assert [(one.campaign_id, one.member_id) for one in found] == [
            (3, "mem••••1"),
            (2, "mem••••1"),
            (1, "mem••••1"),
        ]
        find_member(kim, MEMBERS[0], note=note, campaign_id=1)
        owner.execute("insert into operator_right (login, permission) values ('kim', 'members')")
        assert {one.member_id for one in find_member(kim, MEMBERS[0], note=note)} == {MEMBERS[0]}
    assert rows(owner) == [
        ("kim", "Kim", "find", None, {"member_sha256": HASH, "rows": 3, "reason": "ticket 1", "masked": True}),
        ("kim", "Kim", "find", 1, {"member_sha256": HASH, "rows": 1, "masked": True}),
        ("kim", "Kim", "find", None, {"member_sha256": HASH, "rows": 3}),
    ]


def test_nothing_is_found_where_the_trace_cannot_be_written(owner: Connection, database_url: str) -> None:
    with member_of(owner, database_url, "bulkpoint_reader") as kim:
        owner.execute("revoke execute on function note_reading from bulkpoint_reader")
        note = writes_on(kim, actor="Kim")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            find_member(kim, MEMBERS[0], note=note)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            note_preview(note, preview_campaign(kim, 3, NO_LIMITS))
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            note_list(note, 1, rows=8, shown={})
    assert rows(owner) == []


def test_a_page_that_only_reads_notes_apart_what_it_shows(owner: Connection, database_url: str) -> None:
    note = writes_apart(database_url, actor="Kim")
    with connect(database_url) as reader, one_snapshot(reader):
        assert find_member(reader, MEMBERS[0], note=note).eyes.sees
        assert note_list(note, 1, rows=8, shown={"state": "FAILED", "code": None}, reason="r").sees
        note_preview(note, preview_campaign(reader, 3, NO_LIMITS), reason="look")
        seen = [(action, campaign, detail) for _, _, action, campaign, detail in rows(owner)]
    assert seen[0] == ("find", None, {"member_sha256": HASH, "rows": 3})
    assert seen[1] == ("list", 1, {"state": "FAILED", "rows": 8, "reason": "r"})
    assert seen[2][:2] == ("preview", 3)
    assert seen[2][2].items() >= {"rows": 12, "reason": "look"}.items()


@pytest.mark.parametrize("claim", [{"masked": False}, {"masked": "no"}, {}])
def test_whether_ids_were_masked_is_the_databases_own_word(
    owner: Connection, database_url: str, claim: dict[str, object]
) -> None:
    with member_of(owner, database_url, "bulkpoint_reader") as kim:
        assert not note_reading(kim, action=Reading.LIST, campaign_id=1, actor="Kim", detail=claim).sees
    note_reading(owner, action=Reading.LIST, campaign_id=1, actor="owner", detail={"masked": True})
    assert [row[-1] for row in rows(owner)] == [{"masked": True}, {}]


def test_a_masked_id_is_asked_for_in_vain_and_says_so(owner: Connection) -> None:
    with refused("is a masked id", UsageError, code="MEMBER_IS_MASKED"):
        find_member(owner, masked(MEMBERS[0]), note=writes_on(owner, actor="Kim"))
    assert rows(owner) == [], "nobody was looked for"


def test_readings_are_summed_up_by_login_for_the_monthly_review(
    owner: Connection, database_url: str, bulkpoint: CommandLine
) -> None:
    assert "Nobody looked at members." in bulkpoint("audit", "readings").stderr
    with member_of(owner, database_url, "bulkpoint_reader") as kim:
        for action, detail in (
            (Reading.EXPORT, {"rows": 1_000, "reason": "books"}),
            (Reading.EXPORT, {"rows": 8}),
            (Reading.FIND, {"rows": "many"}),  # as a program of one's own may write it
        ):
            note_reading(kim, action=action, campaign_id=1, actor="Kim", detail=detail)
    note_reading(owner, action=Reading.PREVIEW, campaign_id=1, actor="owner", detail={"rows": 5})
    sums = [
        (each.login, each.action, each.times, each.rows, each.without_reason, each.masked)
        for each in sum_readings(owner)
    ]
    [(me,)] = owner.execute("select session_user::text").fetchall()
    assert sums == [
        ("kim", "export", 2, 1_008, 1, 2),
        (me, "preview", 1, 5, 1, 0),
        ("kim", "find", 1, 0, 1, 1),
    ]
    assert sum_readings(owner, until=World(owner).ago(60)) == []
    head, first, *_ = bulkpoint("audit", "readings", "--login", "kim").stdout.splitlines()
    assert head.split() == ["LOGIN", "ACTION", "TIMES", "ROWS", "NO", "REASON", "MASKED", "FIRST", "LAST"]
    assert first.split()[:6] == ["kim", "export", "2", "1,008", "1", "2"]
    shown = bulkpoint("audit", "readings", "--json").json["readings"]
    assert [each["rows"] for each in shown] == [1_008, 5, 0]
    exports = bulkpoint("audit", "log", "--action", "export", "--json").json["events"]
    assert [event["detail"]["rows"] for event in exports] == [1_000, 8]
