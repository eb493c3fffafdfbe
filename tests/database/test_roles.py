"""What the logins of people and programs may do to the tables, by the group roles of sql/roles.sql."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from bulkpoint.campaigns.asked_run import ask_for_run
from bulkpoint.campaigns.correction import correct_end
from bulkpoint.campaigns.create import NewCampaign, create_campaign
from bulkpoint.campaigns.preview import preview_campaign
from bulkpoint.campaigns.rights import change_rights
from bulkpoint.campaigns.run_request import RunRequest
from bulkpoint.campaigns.runs import begin_run, end_run
from bulkpoint.campaigns.start import find_next
from bulkpoint.campaigns.stop import ask_to_stop, call_back_starts, end_if_settled
from bulkpoint.rules.findings import FindingName
from bulkpoint.rules.lifecycle import RunState
from bulkpoint.rules.readiness import NO_LIMITS
from bulkpoint.rules.rights import Right
from bulkpoint.settings import load_settings
from bulkpoint.store.alert import find_alerts
from bulkpoint.store.audit import Reading, note_reading, write_audit
from bulkpoint.store.connect import Connection, connect, reachable
from bulkpoint.store.limit import ensure_limit
from bulkpoint.store.migrate import make_roles
from bulkpoint.store.notification import claim_notification, notification_sent, unsent_notifications
from bulkpoint.store.outbox import write_event
from bulkpoint.store.payment import Change
from bulkpoint.store.relay import (
    add_missing_cursors,
    events_to_publish,
    list_parked,
    list_waiting,
    lock_next_cursor,
    mark_published,
    note_trouble,
)
from tests.world.campaigns import Campaign, World
from tests.world.logins import member_of
from tests.world.refusals import refused


@pytest.fixture
def owner(database_url: str) -> Iterator[Connection]:
    make_roles(database_url)
    make_roles(database_url)  # safe to repeat
    with connect(database_url) as connection:
        ensure_limit(connection, tps=100, shares=1, actor="owner")
        yield connection


def test_an_operator_runs_a_campaign_from_its_creation_to_its_end(
    owner: Connection, database_url: str, tmp_path: Path
) -> None:
    targets = tmp_path / "targets.csv"
    targets.write_text("member_id,amount,reason\nm1,5,r\n")
    with member_of(owner, database_url, "bulkpoint_operator") as kim:
        new = NewCampaign("c")
        campaign_id = create_campaign(kim, new, actor="Kim", limits=NO_LIMITS, targets=targets)
        campaign = Campaign(World(kim, shares=1), campaign_id)
        with refused("login kim may not start"):
            campaign.begun()
        owner.execute("insert into operator_right (login, permission) values ('kim', 'start')")
        campaign.begun()
        campaign.paid(1)
        ended = end_run(kim, campaign.run, RunState.COMPLETED)
        assert ended is not None
        assert (ended.state, ended.success) == ("COMPLETED", 1)
        assert owner.execute("select distinct login from audit_event").fetchall() == [("kim",)]
        assert owner.execute("select creator, creator_login::text from campaign").fetchall() == [("Kim", "kim")]


def test_who_may_create_or_start_accepts_a_finding_in_the_own_name_and_a_reader_sees_it(
    owner: Connection, database_url: str, tmp_path: Path
) -> None:
    targets = tmp_path / "targets.csv"
    targets.write_text("member_id,amount,reason\nm1,5,r\n합계,5,r\n")
    accepted = "select finding, accepted_by, accepted_login::text from campaign_finding order by campaign_id"
    with member_of(owner, database_url, "bulkpoint_operator") as kim:
        new = NewCampaign("c", accept=(FindingName.TOTAL_ROW,))
        create_campaign(kim, new, actor="Kim", limits=NO_LIMITS, targets=targets)
        loaded = World(owner, shares=1).campaign([("#REF!", 5, "r")]).on(kim)
        find_next(kim, load_settings({}))
        request = RunRequest(campaign=loaded.id, actor="Kim", accept=("SPREADSHEET_DAMAGE",))
        with refused("login kim may not start"):
            begin_run(kim, request, shares=1)
        owner.execute("insert into operator_right (login, permission) values ('kim', 'start')")
        begin_run(kim, request, shares=1)
        assert owner.execute(accepted).fetchall() == [
            ("TOTAL_ROW", "Kim", "kim"), ("SPREADSHEET_DAMAGE", "Kim", "kim")
        ]  # fmt: skip
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            kim.execute("delete from campaign_finding")
    with member_of(owner, database_url, "bulkpoint_reader") as reader:
        waits = World(owner, shares=1).campaign([("#REF!", 5, "r")])
        assert preview_campaign(reader, waits.id, NO_LIMITS).refused_by == 1
        find_next(reader, load_settings({}))
        assert owner.execute("select count(*) from judged_list where campaign_id = %s", (waits.id,)).fetchone() == (0,)


def test_an_operator_asks_for_a_run_calls_it_back_stops_one_and_corrects_its_end(
    owner: Connection, database_url: str
) -> None:
    with member_of(owner, database_url, "bulkpoint_operator") as kim:
        owner.execute("insert into operator_right (login, permission) values ('kim', 'start')")
        campaign = World(owner, shares=1).campaign(targets=3).on(kim)
        ask_for_run(kim, RunRequest(campaign=campaign.id, actor="Kim"))
        _, called_back = call_back_starts(kim, campaign.id, actor="Kim", reason=None)
        assert [each.requested_by for each in called_back] == ["kim"]
        request = RunRequest(campaign=campaign.id, actor="Kim")
        ask_for_run(kim, request, taken=True)
        campaign._run = begin_run(kim, request, shares=1)
        campaign.paid(1).claimed([2])
        token = campaign.token
        assert token is not None
        ask_to_stop(kim, campaign.id, actor="Kim")
        campaign.released()
        assert end_if_settled(kim, campaign.id, actor="Kim") is not None
        late = Change(2, "SUCCESS", token, tries=1, maybe_credited=False, transaction_id="late")
        campaign.record(token, [late])
        assert correct_end(kim, campaign.id, campaign.run.token.run_id)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            kim.execute("update run_request set requested_by = 'lee'")


@pytest.mark.parametrize(
    "statement",
    [
        b"insert into operator_right (login, permission) values ('kim', 'force')",
        b"delete from operator_right",
        b"update audit_event set actor = 'nobody'",
        b"delete from audit_event",
        b"update audit_head set audit_no = 0",
        b"alter table audit_event disable trigger all",
        b"update campaign set key_namespace = gen_random_uuid()",
        b"update campaign set creator_login = 'other'",
        b"delete from campaign",
        b"delete from payment",
        b"insert into payment (campaign_id, seq, member_id, amount, reason) values (1, 9, 'm', 1, 'r')",
        b"delete from payment_attempt",
        b"update payment_attempt set outcome = 'x'",
        b"delete from outbox_event",
        b"update outbox_event set data = '{}'",
        b"delete from campaign_run",
    ],
)
def test_an_operator_rewrites_nothing_that_happened(owner: Connection, database_url: str, statement: bytes) -> None:
    with (
        member_of(owner, database_url, "bulkpoint_operator") as kim,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        kim.execute(statement)


def test_nobody_gives_rights_but_the_owner(owner: Connection, database_url: str) -> None:
    with member_of(owner, database_url, "bulkpoint_operator") as kim:
        with refused("the login that owns the database's tables"):
            change_rights(kim, "kim", [Right.FORCE], granted=True, actor="Kim")
        assert change_rights(owner, "kim", [Right.FORCE, Right.START], granted=True, actor="owner") == 2
        assert change_rights(owner, "kim", [Right.FORCE], granted=True, actor="owner") == 0
        assert change_rights(owner, "kim", [Right.FORCE], granted=False, actor="owner") == 1
        with refused("no login Kim"):
            change_rights(owner, "Kim", [Right.FORCE], granted=True, actor="owner")
    noted = owner.execute("select action, detail->>'login', detail->>'right' from audit_event order by 3, 1").fetchall()
    assert noted == [
        ("right.grant", "kim", "force"),
        ("right.revoke", "kim", "force"),
        ("right.grant", "kim", "start"),
    ]


def test_a_loader_loads_targets_until_the_freeze_and_no_more(owner: Connection, database_url: str) -> None:
    world = World(owner)
    campaign, _ = world.campaign([], expected=(1, 5)), world.campaign([], expected=(1, 5))
    with member_of(owner, database_url, "bulkpoint_loader") as kim:
        kim.execute("insert into campaign_target values (1, 'm', 5, 'r')")
        with pytest.raises(psycopg.errors.ForeignKeyViolation):
            kim.execute("insert into campaign_target values (9, 'm', 5, 'r')")
        campaign.begun()
        with pytest.raises(psycopg.errors.RestrictViolation, match="was frozen"):
            kim.execute("insert into campaign_target values (1, 'late', 5, 'r')")
        kim.execute("insert into campaign_target values (2, 'm', 5, 'r')")
        for statement in (
            b"select from payment",
            b"update campaign set name = 'x'",
            b"insert into campaign_run (campaign_id) values (1)",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                kim.execute(statement)


def test_the_relays_login_takes_events_out_and_no_more(owner: Connection, database_url: str) -> None:
    World(owner).campaign()
    with owner.transaction():
        write_event(owner, campaign_id=1, run_no=None, type="campaign.stopped", actor="x", data={})
    with member_of(owner, database_url, "bulkpoint_relay") as relay:
        add_missing_cursors(relay)
        with relay.transaction():
            turn = lock_next_cursor(relay)
            assert turn is not None
            (event,) = events_to_publish(relay, turn, most=9)
            note_trouble(relay, event, "later")
            mark_published(relay, turn, event.event_no)
        assert (list_waiting(relay), list_parked(relay), find_alerts(relay)) == ([], [], [])
        assert len(unsent_notifications(relay, ["campaign.stopped"], "#c")) == 1
        assert claim_notification(relay, event.event_id, "#c")
        notification_sent(relay, event.event_id, "#c")
        for statement in (
            b"select from payment",
            b"insert into audit_event default values",
            b"update campaign set name = ''",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                relay.execute(statement)


def test_a_reader_reads_all_and_is_refused_in_a_sentence_where_it_would_write(
    owner: Connection, database_url: str
) -> None:
    tables = owner.execute(
        "select quote_ident(table_name) from information_schema.tables where table_schema = 'public'"
    ).fetchall()
    with member_of(owner, database_url, "bulkpoint_reader") as kim:
        for (table,) in tables:
            kim.execute(f"select from {table} limit 1".encode())
        with (
            refused(r"refuses this login: permission denied for .*docs/access\.md"),
            reachable(database_url),
        ):
            ensure_limit(kim, tps=5, shares=1, actor="Kim")


# Tables in which an operator adds rows, and changes none of them whole.
WRITTEN_ONCE = {"campaign", "payment_attempt", "campaign_progress", "audit_event", "audit_head", "outbox_event"}
WRITTEN_ONCE |= {"operator_right", "migration"}
GROUPS = ["bulkpoint_reader", "bulkpoint_loader", "bulkpoint_operator", "bulkpoint_relay"]


@pytest.fixture
def granted(owner: Connection) -> set[tuple[str, str, str]]:
    """Group, table and privilege, of whole tables and views, whoever made them: also those that come later."""
    World(owner).campaign().begun()  # with its partitions
    found = owner.execute(
        "select grantee, table_name, privilege_type from information_schema.role_table_grants"
        " where grantee like 'bulkpoint%%' and grantee = any(%s)",
        (GROUPS,),
    ).fetchall()
    return {(group, table, privilege) for group, table, privilege in found}


def test_no_group_may_do_more_than_its_part_in_any_table(granted: set[tuple[str, str, str]]) -> None:
    assert {privilege for _, _, privilege in granted} == {"SELECT", "INSERT", "UPDATE", "DELETE"}
    assert {privilege for group, _, privilege in granted if group == "bulkpoint_reader"} == {"SELECT"}
    assert {table for group, table, how in granted if group == "bulkpoint_loader" and how != "SELECT"} == {
        "campaign_target"
    }
    deletes = {(group, table) for group, table, privilege in granted if privilege == "DELETE"}
    assert deletes == {("bulkpoint_loader", "campaign_target"), ("bulkpoint_operator", "money_share")}
    assert not {table for _, table, privilege in granted if privilege == "UPDATE"} & WRITTEN_ONCE


def test_a_temporary_table_of_a_callers_never_stands_for_ours(owner: Connection, database_url: str) -> None:
    """Functions that run with the owner's rights look for tables in our schema, and only then where all may write."""
    with member_of(owner, database_url, "bulkpoint_operator") as kim:
        kim.execute("create temporary table audit_head as select * from audit_head")
        kim.execute("create temporary table campaign as select * from campaign")
        kim.execute("grant all on audit_head, campaign to public")
        kim.execute(
            "insert into audit_event (os_user, host, actor, action) values ('kim', 'host', 'Kim', 'campaign.created')"
        )
        assert kim.execute("select audit_no from pg_temp.audit_head").fetchone() == (0,)
    assert owner.execute("select audit_no from audit_head").fetchone() == (1,)


# Of a campaign that kim created and lee approved, as somebody writes it who does not use our commands.
APPROVE = b"update campaign set approved_by = 'x', approved_login = %s, approved_at = now(), approved_digest = 'd'"


@pytest.mark.parametrize(
    "statement",
    [
        b"insert into campaign (name, expected_count, expected_amount, creator, creator_login)"
        b" values ('x', 1, 1, 'x', 'lee')",
        APPROVE % b"'lee'",
        APPROVE % b"session_user",
        b"update campaign set approved_digest = 'other'",
        b"update campaign set approved_by = 'other'",
    ],
)
def test_nobody_creates_or_approves_in_the_name_of_another(
    owner: Connection, database_url: str, statement: bytes
) -> None:
    """Not even with a table of rights of one's own."""
    campaign = World(owner).campaign()
    owner.execute("insert into operator_right values (session_user, 'approve') on conflict do nothing")
    campaign.approved()
    with member_of(owner, database_url, "bulkpoint_operator") as kim:
        kim.execute("create temporary table operator_right as select 'kim'::name as login, 'approve' as permission")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            kim.execute(statement)


def test_a_reader_leaves_the_trace_of_what_it_looked_at_and_writes_nothing_else_into_the_log(
    owner: Connection, database_url: str
) -> None:
    with member_of(owner, database_url, "bulkpoint_reader") as kim:
        note_reading(
            kim, action=Reading.EXPORT, campaign_id=None, actor="Kim", detail={"format": "csv", "reason": None}
        )
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="a preview, not complete"):
            kim.execute("select note_reading('complete', null, 'o', 'h', 'a', '{}')")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            write_audit(kim, action="export", campaign_id=None, run_no=None, actor="Kim", detail={})
    written = owner.execute("select login, actor, action, detail from audit_event").fetchall()
    assert written == [("kim", "Kim", "export", {"format": "csv", "masked": True})]
    with (
        member_of(owner, database_url, "bulkpoint_loader") as loader,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        note_reading(loader, action=Reading.FIND, campaign_id=None, actor="Kim", detail={})
