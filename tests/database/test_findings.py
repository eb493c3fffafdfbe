"""Findings in lists: refused until a person accepts them by name, for that very list, with a row in the audit log."""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from bulkpoint.campaigns.approve import approve_campaign
from bulkpoint.campaigns.asked_run import ask_for_run
from bulkpoint.campaigns.create import NewCampaign, create_campaign
from bulkpoint.campaigns.findings import judge
from bulkpoint.campaigns.preview import preview_campaign, preview_file
from bulkpoint.campaigns.run_request import RunRequest
from bulkpoint.campaigns.runs import begin_run
from bulkpoint.campaigns.start import find_next, plan_start
from bulkpoint.errors import UsageError
from bulkpoint.rules.findings import Finding, FindingName
from bulkpoint.rules.preview import Pace, look_ahead
from bulkpoint.rules.readiness import NO_LIMITS
from bulkpoint.settings import load_settings
from bulkpoint.store.audit import AuditChoice, list_audit
from bulkpoint.store.campaign import get_campaign, get_counts, list_campaigns
from bulkpoint.store.connect import Connection, connect
from bulkpoint.store.finding import get_judgement, keep_judgement, latest_findings
from bulkpoint.store.target import digest_targets, load_targets
from bulkpoint.views.audit_words import what
from bulkpoint.views.campaign import campaign_detail
from bulkpoint.views.preview import PreviewView
from bulkpoint.views.sentences import error_fields, sentence
from bulkpoint.views.view import Screen
from tests.world.campaigns import World
from tests.world.refusals import refused

SETTINGS = load_settings({})
TOTAL, DAMAGE, CUT = FindingName.TOTAL_ROW, FindingName.SPREADSHEET_DAMAGE, FindingName.LAST_LINE_CUT
WITH_A_TOTAL = [("M1", 1_000, "r"), ("M2", 2_000, "r"), ("합계", 3_000, "r")]
Rows = Sequence[tuple[str, int, str]]


class Lists:
    """Campaigns with odd lists, from files or loaded by another program."""

    def __init__(self, connection: Connection, folder: Path) -> None:
        self._connection = connection
        self._folder = folder

    def file(self, rows: Rows = WITH_A_TOTAL) -> Path:
        path = self._folder / "targets.csv"
        path.write_text("member_id,amount,reason\n" + "".join(f"{m},{amount},{why}\n" for m, amount, why in rows))
        return path

    def create(self, rows: Rows = WITH_A_TOTAL, *, accept: Sequence[FindingName] = (), **fields: Any) -> int:
        new = NewCampaign("odd", accept=tuple(accept), **fields)
        return create_campaign(self._connection, new, actor="alice", limits=NO_LIMITS, targets=self.file(rows))

    def load(self, rows: Rows = WITH_A_TOTAL) -> int:
        new = NewCampaign("loaded", expected_count=len(rows), expected_amount=sum(row[1] for row in rows))
        campaign_id = create_campaign(self._connection, new, actor="alice", limits=NO_LIMITS)
        load_targets(self._connection, campaign_id, rows)
        return campaign_id


@pytest.fixture
def lists(world: World, tmp_path: Path) -> Lists:
    return Lists(world.connection, tmp_path)


@pytest.fixture
def lee(database_url: str, connection: Connection) -> Iterator[Connection]:
    """A connection whose login is another person's; the role goes with the test."""
    connection.execute("create role lee superuser")
    connection.execute("insert into operator_right (login, permission) values ('lee', 'approve'), ('lee', 'start')")
    with connect(database_url) as hers:
        hers.execute("set session authorization lee")
        yield hers
    connection.execute("delete from operator_right where login = 'lee'")
    connection.execute("drop role lee")


def request(campaign_id: int, *names: str, **fields: Any) -> RunRequest:
    return RunRequest(campaign=campaign_id, actor="bob", accept=names, **fields)


def begin(connection: Connection, asked: RunRequest) -> None:
    begin_run(connection, asked, shares=2)


def accepted_in_audit(connection: Connection, action: str) -> list[tuple[Any, str]]:
    events = list_audit(connection, AuditChoice(action=action), rows_max=9)
    return [(event.detail.get("accepted"), event.actor) for event in events]


def named(findings: Sequence[Finding] | None) -> dict[str, str | None]:
    return {finding.name: finding.accepted_by for finding in findings or ()}


def test_a_file_with_a_finding_is_loaded_only_when_it_is_accepted(connection: Connection, lists: Lists) -> None:
    said = r"targets.csv is not loaded, 1 finding:\n.*row 4, '합계': it is a word for a total.*--accept TOTAL_ROW$"
    with refused(said, code="FINDINGS_NOT_ACCEPTED") as raised:
        lists.create()
    facts = error_fields(raised.value)["error"]["facts"]
    assert (facts["findings"], facts["lines"][0]["code"]) == (["TOTAL_ROW"], "TOTAL_ROW")
    assert list_campaigns(connection) == [], "nothing is stored"
    assert accepted_in_audit(connection, "create") == []

    campaign_id = lists.create(accept=[TOTAL])
    digest = digest_targets(connection, campaign_id)
    assert named(get_judgement(connection, campaign_id, digest)) == {"TOTAL_ROW": "alice"}
    assert accepted_in_audit(connection, "create") == [(["TOTAL_ROW"], "alice")]
    plan_start(connection, SETTINGS, request(campaign_id))
    begin(connection, request(campaign_id))


def test_accepting_one_finding_is_not_accepting_another(lists: Lists) -> None:
    rows = [*WITH_A_TOTAL, ("#REF!", 5, "r")]
    with refused("1 finding:\nMember ids that look damaged.*#REF!.*--accept SPREADSHEET_DAMAGE"):
        lists.create(rows, accept=[TOTAL, FindingName.OUTLIER_AMOUNT])
    with refused("2 findings:\nMember ids that look damaged.*\nRows that look like a total.*--accept TOTAL_ROW"):
        lists.create(rows)
    lists.create(rows, accept=[TOTAL, DAMAGE])


def test_a_finding_without_money_at_stake_refuses_nothing(connection: Connection, lists: Lists) -> None:
    shown: list[Finding] = []
    new = NewCampaign("case")
    file = lists.file([("a1", 10, "r"), ("A1", 10, "r")])
    campaign_id = create_campaign(connection, new, actor="alice", limits=NO_LIMITS, targets=file, show=shown.extend)
    assert named(shown) == named(latest_findings(connection, campaign_id)) == {"IDS_DIFFER_IN_CASE": None}
    seen = preview_campaign(connection, campaign_id, NO_LIMITS)
    view = PreviewView.of(seen, look_ahead(2, Pace(10), now=get_campaign(connection, campaign_id).created_at))
    assert (view.ok, [each.kind for each in view.findings]) == (True, ["IDS_DIFFER_IN_CASE"])
    begin(connection, request(campaign_id))


def test_the_expected_sum_proves_that_no_line_is_cut_and_their_number_does_not(
    connection: Connection, tmp_path: Path
) -> None:
    path = tmp_path / "cut.csv"
    path.write_text("reason,member_id,amount\nr,M98,1000\nr,M99,10")

    def create(**fields: Any) -> int:
        new = NewCampaign("cut", **fields)
        return create_campaign(connection, new, actor="alice", limits=NO_LIMITS, targets=path)

    assert list(named(preview_file(path, NO_LIMITS).noticed)) == [CUT]
    for fields in ({}, {"expected_count": 2}):
        with refused("--accept LAST_LINE_CUT"):
            create(**fields)
    with refused("1,010|1010"):
        create(expected_amount=11_000)
    assert latest_findings(connection, create(expected_amount=1_010)) == ()


def test_a_preview_says_what_create_and_start_say(connection: Connection, lists: Lists) -> None:
    of_file = preview_file(lists.file(), NO_LIMITS)
    campaign_id = lists.load()
    of_campaign = preview_campaign(connection, campaign_id, NO_LIMITS)
    assert (of_file.refused_by, of_campaign.refused_by) == (1, 1)
    outlook = look_ahead(3, Pace(10), now=get_campaign(connection, campaign_id).created_at)
    [shown] = PreviewView.of(of_file, outlook).findings
    assert shown.model_dump() == {
        "kind": "TOTAL_ROW",
        "sentence": "Rows that look like a total of other rows: 1. The first is row 4, '합계': it is a word for a "
        "total. Correct the list, or accept it as it is: `bulkpoint campaign create ... --accept TOTAL_ROW`",
        "at_stake": True,
        "accepted": False,
        "accepted_by": None,
        "count": 1,
        "examples": [{"row": 4, "value": "'합계'", "reason": "it is a word for a total"}],
    }
    [of_table] = PreviewView.of(of_campaign, outlook).findings
    assert (of_table.examples[0].row, of_table.examples[0].value) == (None, "'합계'")
    with refused("'합계': it is a word for a total. Correct the list, or accept it as it is: --accept TOTAL_ROW"):
        plan_start(connection, SETTINGS, request(campaign_id))
    assert get_judgement(connection, campaign_id, digest_targets(connection, campaign_id)) is None, "looks keep nothing"


def test_a_loaded_list_starts_when_it_is_accepted_and_the_run_itself_looks(
    connection: Connection, lists: Lists
) -> None:
    campaign_id = lists.load()
    said = (
        f"Campaign {campaign_id} cannot start: its list has 1 finding that nobody has accepted:\n.*--accept TOTAL_ROW"
    )
    with refused(said, code="CAMPAIGN_NOT_READY"):
        plan_start(connection, SETTINGS, request(campaign_id))
    with refused(said):
        begin(connection, request(campaign_id))
    assert get_campaign(connection, campaign_id).state == "WAITING"
    plan = plan_start(connection, SETTINGS, request(campaign_id, "TOTAL_ROW"))
    assert named(plan.findings) == {"TOTAL_ROW": "bob"}
    assert latest_findings(connection, campaign_id) == (), "a plan accepts nothing yet"
    begin(connection, RunRequest.from_json(plan.request.to_json()))
    assert named(latest_findings(connection, campaign_id)) == {"TOTAL_ROW": "bob"}
    assert accepted_in_audit(connection, "start") == [(["TOTAL_ROW"], "bob")]
    [event] = list_audit(connection, AuditChoice(action="start"), rows_max=9)
    assert "accepted: TOTAL_ROW" in what(event, "UTC")


def test_a_forced_start_skips_no_finding(connection: Connection, lists: Lists) -> None:
    campaign_id = lists.load()
    forced = request(campaign_id, force=True, reason="today")
    with refused("--accept TOTAL_ROW"):
        plan_start(connection, SETTINGS, forced)
    with refused("--accept TOTAL_ROW"):
        begin(connection, forced)


def test_a_list_that_changed_is_judged_again(connection: Connection, lists: Lists) -> None:
    campaign_id = lists.create(accept=[TOTAL])
    connection.execute("update campaign_target set member_id = '#REF!' where member_id = 'M1'")
    with refused("3 findings that nobody has accepted:\n.*'#REF!'.*\n.*합계.*\nThe list was changed"):
        plan_start(connection, SETTINGS, request(campaign_id))
    with refused("3 findings that nobody has accepted"):
        begin(connection, request(campaign_id))
    begin(connection, request(campaign_id, "TOTAL_ROW", "SPREADSHEET_DAMAGE", "LIST_CHANGED"))
    assert named(latest_findings(connection, campaign_id)) == {
        "TOTAL_ROW": "bob", "SPREADSHEET_DAMAGE": "bob", "LIST_CHANGED": "bob",
    }  # fmt: skip


def test_what_is_accepted_that_is_not_there_is_taken(connection: Connection, lists: Lists) -> None:
    campaign_id = lists.create([("M1", 1, "r")], accept=[TOTAL])
    begin(connection, request(campaign_id, "OUTLIER_AMOUNT"))
    assert accepted_in_audit(connection, "create") == [(None, "alice")]
    assert accepted_in_audit(connection, "start") == [(None, "bob")]


def test_next_passes_by_a_list_that_nobody_accepted_and_no_blanket_accepts_it(
    connection: Connection, lists: Lists
) -> None:
    odd = lists.load()
    good = lists.create([("M7", 1, "r")])
    found, [skipped] = find_next(connection, SETTINGS)
    assert (found, skipped.campaign_id, skipped.why.code) == (good, odd, "LIST_HAS_FINDINGS")
    assert "'합계': it is a word for a total" in sentence(skipped.why)
    plan_start(connection, SETTINGS, request(good))
    with refused("--accept is for one list", UsageError):
        RunRequest(campaign="next", actor="bob", accept=("TOTAL_ROW",))
    with refused("names no finding", UsageError):
        request(odd, "TOTALROW")


def test_a_request_carries_what_is_accepted(connection: Connection, lists: Lists) -> None:
    campaign_id = lists.load()
    ask_for_run(connection, request(campaign_id, "TOTAL_ROW"))
    options = connection.execute("select options from run_request").fetchone()
    assert options == ({"accept": ["TOTAL_ROW"]},)


def test_an_approver_sees_the_findings_and_does_not_accept_them(
    connection: Connection, lists: Lists, lee: Connection
) -> None:
    campaign_id = lists.load()
    shown: list[Finding] = []
    digest = approve_campaign(lee, campaign_id, actor="lee", show=shown.extend)
    assert named(shown) == named(get_judgement(connection, campaign_id, digest)) == {"TOTAL_ROW": None}
    [event] = list_audit(connection, AuditChoice(action="approve"), rows_max=9)
    assert event.detail["findings"] == ["TOTAL_ROW"]
    with refused("--accept TOTAL_ROW"):
        begin(connection, request(campaign_id))


def test_nobody_accepts_in_another_logins_name_and_the_first_acceptance_stays(
    connection: Connection, lists: Lists, lee: Connection
) -> None:
    campaign_id = lists.create(accept=[TOTAL])
    digest = digest_targets(connection, campaign_id)
    keep_judgement(lee, campaign_id, digest, [Finding(TOTAL, 1, (), True, {}, "lee")])
    assert named(latest_findings(connection, campaign_id)) == {"TOTAL_ROW": "alice"}
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="in the name of"):
        lee.execute("update campaign_finding set accepted_by = 'x', accepted_login = 'kim', accepted_at = now()")
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="in the name of"):
        lee.execute(
            "insert into campaign_finding select campaign_id, digest, 'X_X', facts, at_stake, 'kim', 'kim', now() "
            "from campaign_finding"
        )


def test_show_names_the_findings_and_who_accepted_them(connection: Connection, lists: Lists, lee: Connection) -> None:
    def line(campaign_id: int) -> list[str]:
        one = get_campaign(connection, campaign_id)
        found = latest_findings(connection, campaign_id)
        detail = campaign_detail(one, get_counts(connection, one), [], findings=found)
        return [each for each in detail.as_text(Screen()) if each.startswith("findings")]

    assert line(lists.create(accept=[TOTAL])) == ["findings    TOTAL_ROW (accepted by alice)"]
    waits = lists.load([("N1", 1, "r"), ("소계", 1, "r")])
    assert line(waits) == []
    approve_campaign(lee, waits, actor="lee")
    assert line(waits) == ["findings    TOTAL_ROW (refuses the start)"]


def test_a_table_has_the_findings_of_a_file(connection: Connection, lists: Lists) -> None:
    rows = [
        *[(f"m-{number}", 1_000, "r") for number in range(9_000)],
        ("회원A", 10, "r"), ("회원Ａ", 10, "r"), ("00123", 10, "r"), ("123", 10, "r"), ("M-1", 10, "r"),
        ("1.23457E+15", 10, "r"), ("whale", 10_000_000, "r"),
    ]  # fmt: skip
    campaign_id = lists.load(rows)
    of_table = judge(connection, get_campaign(connection, campaign_id), digest_targets(connection, campaign_id))
    of_file = preview_file(lists.file(rows), NO_LIMITS).noticed
    assert {each.name: each.count for each in of_table} == {each.name: each.count for each in of_file} == {
        "LOOK_ALIKE_IDS": 2, "IDS_DIFFER_IN_CASE": 1, "SPREADSHEET_DAMAGE": 1, "OUTLIER_AMOUNT": 1,
    }  # fmt: skip
    assert [sentence(each.why) for finding in of_table for each in finding.examples if finding.name.startswith("LOOK")]


def test_the_greatest_target_of_a_table_that_is_the_sum_of_the_others_is_a_total(
    connection: Connection, lists: Lists
) -> None:
    campaign_id = lists.load([("X", 4_000, "r"), *[(f"m{number}", 1_000, "r") for number in range(4)]])
    found = judge(connection, get_campaign(connection, campaign_id), digest_targets(connection, campaign_id))
    assert [(each.name, each.examples[0].value) for each in found] == [(TOTAL, "'X'")]


def change_amounts(connection: Connection, campaign_id: int) -> None:
    """Past bulkpoint, so that number and sum stay what they were."""
    connection.execute(
        "update campaign_target set amount = case member_id when 'M1' then 2000 else 1000 end where campaign_id = %s",
        (campaign_id,),
    )


AHEAD = look_ahead(2, Pace(10), now=datetime(2026, 1, 31, tzinfo=UTC))
FAIR = [("M1", 1_000, "r"), ("M2", 2_000, "r")]


def test_a_list_that_was_changed_since_it_was_created_is_not_paid_without_a_word(
    connection: Connection, lists: Lists, lee: Connection
) -> None:
    campaign_id = lists.create(FAIR)
    created = get_campaign(connection, campaign_id).created_digest
    assert created == digest_targets(connection, campaign_id)
    change_amounts(connection, campaign_id)
    changed = digest_targets(connection, campaign_id)

    said = rf"digest {changed.hex()[:12]}, and had {created.hex()[:12]}.*--accept LIST_CHANGED"
    assert re.search(
        said, PreviewView.of(preview_campaign(connection, campaign_id, NO_LIMITS), AHEAD).findings[0].sentence
    )
    with refused(said, code="CAMPAIGN_NOT_READY"):
        plan_start(connection, SETTINGS, request(campaign_id))
    with refused(said):
        begin(connection, request(campaign_id))
    shown: list[Finding] = []
    approve_campaign(lee, campaign_id, actor="Lee", digest=changed.hex(), limits=NO_LIMITS, show=shown.extend)
    assert named(shown) == {"LIST_CHANGED": None}, "the approver sees it, and accepts nothing"
    with refused(said):
        begin(connection, request(campaign_id))
    begin(connection, request(campaign_id, "LIST_CHANGED"))
    assert named(get_judgement(connection, campaign_id, changed)) == {"LIST_CHANGED": "bob"}
    assert accepted_in_audit(connection, "start") == [(["LIST_CHANGED"], "bob")]


def test_a_list_that_is_again_what_it_was_is_not_a_changed_one(connection: Connection, lists: Lists) -> None:
    campaign_id = lists.create(FAIR)
    change_amounts(connection, campaign_id)
    connection.execute("update campaign_target set amount = case member_id when 'M1' then 1000 else 2000 end")
    plan_start(connection, SETTINGS, request(campaign_id))
    begin(connection, request(campaign_id))


def test_what_a_loader_brings_later_is_no_change(connection: Connection, lists: Lists) -> None:
    campaign_id = lists.load(FAIR)
    change_amounts(connection, campaign_id)
    begin(connection, request(campaign_id))


def test_the_digest_of_the_creation_cannot_be_changed(connection: Connection, lists: Lists) -> None:
    campaign_id = lists.create(FAIR)
    with pytest.raises(psycopg.errors.RaiseException, match="created_digest never changes"):
        connection.execute("update campaign set created_digest = null where campaign_id = %s", (campaign_id,))
