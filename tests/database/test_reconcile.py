"""Reconciliation as PostgreSQL keeps it: which rows are uncertain, what a finding changes, money's list beside ours."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from xlsxwriter import Workbook

from bulkpoint.campaigns.tps import set_tps
from bulkpoint.errors import RefusedError, UsageError
from bulkpoint.intake.settlement_form import LineClass, SettlementForm
from bulkpoint.reconcile import look_ups as reconcile
from bulkpoint.reconcile.ended_run import check_reconcilable
from bulkpoint.reconcile.findings import LookedUp
from bulkpoint.reconcile.look_ups import look_up_in_doubt
from bulkpoint.reconcile.settlement import Compared, compare_with_settlement
from bulkpoint.rules.keys import idempotency_key
from bulkpoint.settings import load_settings
from bulkpoint.store.connect import Connection, connect
from bulkpoint.store.payment import Attempt
from bulkpoint.store.reconcile import (
    Difference,
    EndedRun,
    Finding,
    InDoubtPayment,
    apply_findings,
    list_in_doubt,
)
from bulkpoint.views.sentences import sentence
from tests.world.campaigns import Campaign, World
from tests.world.refusals import refused

HEADER = "member_id,amount,transaction_id\n"
SUCCESS = (1, 2)
REJECTED, UNKNOWN, PENDING_PERHAPS, DEAD, PENDING, UNKNOWN_TOO = 3, 4, 5, 6, 7, 8
UNCERTAIN = (UNKNOWN, PENDING_PERHAPS, DEAD, UNKNOWN_TOO)


@pytest.fixture
def campaign(world: World) -> Campaign:
    """Members m-1 to m-8 of 10 to 80 points, in the states that the constants above name; the share is still held."""
    campaign = world.campaign([(f"m-{n}", 10 * n, "why") for n in range(1, 9)]).begun()
    campaign.claimed([*SUCCESS, *UNCERTAIN, REJECTED]).paid(SUCCESS).failed([REJECTED])
    campaign.failed(
        [UNKNOWN, UNKNOWN_TOO], "UNKNOWN", code="LOST", failure_message="gone", last_sent_at=1_700_000_000.25
    )
    return campaign.called([PENDING_PERHAPS], maybe_credited=True, failure_code="LOST", last_sent_at=1.7e9)


@pytest.fixture
def held(campaign: Campaign) -> EndedRun:
    """The run, STOPPED, but its worker is alive."""
    return check_reconcilable(campaign.world.connection, campaign.stopped().id)


@pytest.fixture
def run(campaign: Campaign, held: EndedRun) -> EndedRun:
    """The same, and its only worker gone."""
    campaign.released()
    return held


def row(connection: Connection, seq: int) -> dict[str, Any]:
    cursor = connection.execute(
        "select state::text, failure_kind::text, failure_code, maybe_credited, transaction_id, claim_epoch,"
        " finished_at is not null as finished from payment where seq = %s",
        (seq,),
    )
    assert cursor.description is not None
    values = cursor.fetchone()
    assert values is not None
    return dict(zip([column.name for column in cursor.description], values, strict=True))


def uncertain(connection: Connection, run: EndedRun) -> dict[int, InDoubtPayment]:
    return {one.seq: one for one in list_in_doubt(connection, run)}


def everything(connection: Connection) -> list[tuple[Any, ...]]:
    """All that a reconciliation may change."""
    rows = connection.execute("select payment::text from payment order by seq").fetchall()
    rows += connection.execute("select campaign_counter::text from campaign_counter order by 1").fetchall()
    return rows + connection.execute("select action from audit_event order by audit_no").fetchall()


def test_uncertain_are_those_that_may_have_been_credited(connection: Connection, run: EndedRun) -> None:
    found = uncertain(connection, run)
    assert tuple(found) == UNCERTAIN
    assert found[UNKNOWN].failure_code == "LOST"
    assert found[UNKNOWN].last_sent_at == 1_700_000_000.25
    assert all(one.alive_s is None for one in found.values())
    assert [one.seq for one in list_in_doubt(connection, run, after=UNKNOWN)] == [5, 6, 8]
    assert [one.seq for one in list_in_doubt(connection, run, seqs=[1, 4, 8])] == [4, 8]


def test_a_claim_that_is_alive_says_how_long(connection: Connection, held: EndedRun) -> None:
    alive_s = uncertain(connection, held)[DEAD].alive_s
    assert alive_s is not None
    assert 30 < alive_s <= 60


def test_a_dead_workers_last_call_left_before_the_runs_end_and_no_later(
    connection: Connection, run: EndedRun, campaign: Campaign
) -> None:
    campaign.was_finished(seconds_ago=100)
    connection.execute(
        "update payment set last_sent_at = clock_timestamp() - interval '500 s' where seq in (%s, %s)", (UNKNOWN, DEAD)
    )
    connection.execute("update payment set last_sent_at = null where seq = %s", (PENDING_PERHAPS,))
    found = uncertain(connection, run)
    assert 99 < found[DEAD].since_last_sent_s < 110, "it may have sent again and told nobody"
    assert 499 < found[UNKNOWN].since_last_sent_s < 510
    assert 99 < found[PENDING_PERHAPS].since_last_sent_s < 110


def test_a_credit_makes_success_of_every_state(connection: Connection, run: EndedRun, campaign: Campaign) -> None:
    seqs = [REJECTED, *UNCERTAIN, PENDING]
    changed = apply_findings(connection, run, [], [Finding(seq, f"m-{seq}") for seq in seqs])
    assert changed == set(seqs)
    for seq in seqs:
        assert row(connection, seq) == {
            "state": "SUCCESS", "failure_kind": None, "failure_code": None, "transaction_id": f"m-{seq}",
            "maybe_credited": seq in UNCERTAIN and seq != DEAD, "claim_epoch": None, "finished": True,
        }  # fmt: skip
    campaign.assert_sums_hold()


def test_a_success_keeps_its_transaction(connection: Connection, run: EndedRun, campaign: Campaign) -> None:
    assert apply_findings(connection, run, [], [Finding(1, "another")]) == set()
    assert row(connection, 1)["transaction_id"] == "t-1"
    campaign.assert_sums_hold()


def test_absence_ends_what_was_unknown_and_opens_the_rest(
    connection: Connection, run: EndedRun, campaign: Campaign
) -> None:
    found = uncertain(connection, run)
    changed = apply_findings(connection, run, [], [Finding(seq, None, found[seq]) for seq in UNCERTAIN])
    assert changed == set(UNCERTAIN)
    failed = {"state": "FAILED", "failure_kind": "UNAVAILABLE", "failure_code": "LOST", "finished": True}
    pending = {"state": "PENDING", "failure_kind": None, "failure_code": None, "finished": False}
    for seq in UNCERTAIN:
        expected = failed if seq in (UNKNOWN, UNKNOWN_TOO) else pending
        assert row(connection, seq) == expected | {"maybe_credited": False, "transaction_id": None, "claim_epoch": None}
    assert uncertain(connection, run) == {}
    campaign.assert_sums_hold()


def test_absence_of_what_money_refused_is_a_rejection(
    connection: Connection, run: EndedRun, campaign: Campaign
) -> None:
    connection.execute("update payment set refused = true, failure_code = 'NO' where seq = %s", (UNKNOWN,))
    apply_findings(connection, run, [], [Finding(UNKNOWN, None, uncertain(connection, run)[UNKNOWN])])
    expected = {"state": "FAILED", "failure_kind": "REJECTED", "failure_code": "NO", "maybe_credited": False}
    assert row(connection, UNKNOWN).items() >= expected.items()
    campaign.assert_sums_hold()


def test_absence_changes_no_row_that_has_moved_on(connection: Connection, run: EndedRun) -> None:
    found = uncertain(connection, run)
    connection.execute("update payment set last_sent_at = last_sent_at + interval '1 s' where seq = %s", (UNKNOWN,))
    connection.execute("update payment set claim_epoch = claim_epoch + 1 where seq = %s", (DEAD,))
    connection.execute(
        "update payment set state = 'FAILED', failure_kind = 'UNKNOWN' where seq = %s", (PENDING_PERHAPS,)
    )
    before = everything(connection)
    findings = [Finding(seq, None, found[seq]) for seq in (UNKNOWN, PENDING_PERHAPS, DEAD)]
    assert apply_findings(connection, run, [], findings) == set()
    assert everything(connection) == before


def test_absence_changes_no_row_that_somebody_alive_holds(connection: Connection, held: EndedRun) -> None:
    read = uncertain(connection, held)[DEAD]
    assert apply_findings(connection, held, [], [Finding(DEAD, None, read)]) == set()
    assert row(connection, DEAD)["state"] == "PROCESSING"


def test_a_repeated_finding_changes_nothing(connection: Connection, run: EndedRun) -> None:
    found = uncertain(connection, run)
    attempt = Attempt(str(uuid4()), "GET", UNKNOWN, 1.7e9, 1.7e9, 404, "NOT_FOUND", None, None)
    findings = [Finding(UNKNOWN, None, found[UNKNOWN]), Finding(DEAD, "t-6")]
    apply_findings(connection, run, [attempt], findings)
    before = everything(connection)
    assert apply_findings(connection, run, [attempt], findings) == set()
    assert everything(connection) == before
    kept = connection.execute("select method, seq, run_id, outcome from payment_attempt").fetchall()
    assert kept == [("GET", UNKNOWN, run.run_id, "NOT_FOUND")]


# Money's own list


@pytest.fixture
def settle(connection: Connection, run: EndedRun, tmp_path: Path) -> Callable[..., tuple[Compared, list[Difference]]]:
    def settle(
        content: str | bytes, name: str = "money.csv", form: SettlementForm | None = None
    ) -> tuple[Compared, list[Difference]]:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        found: list[Difference] = []
        compared, _ = compare_with_settlement(
            connection, run.campaign_id, path, actor="bob", form=form, say=lambda _: None, report=found.append
        )
        return compared, found

    return settle


Settle = Callable[..., tuple[Compared, list[Difference]]]
AGREED = HEADER + "m-1,10,t-1\nm-2,20,t-2\n"


def of_campaign(lines: str, campaign_id: int = 1) -> str:
    """The same list, with a column that says of which campaign its lines are."""
    header, *rows = lines.splitlines(keepends=True)
    return f"campaign_id,{header}" + "".join(f"{campaign_id},{row}" for row in rows)


def kinds(found: list[Difference]) -> list[tuple[str, str]]:
    return [(one.kind.value, one.member_id) for one in found]


def test_a_list_that_agrees_leaves_only_what_is_open(connection: Connection, settle: Settle) -> None:
    compared, found = settle(of_campaign(AGREED))
    assert compared == Compared(payments=8, credits=2, credited=0, unknown=4)
    assert kinds(found) == [("OPEN", f"m-{seq}") for seq in UNCERTAIN]
    assert row(connection, UNKNOWN)["failure_kind"] == "UNKNOWN"


def test_a_credit_that_we_did_not_know_of_is_repaired_and_reported(
    connection: Connection, settle: Settle, campaign: Campaign
) -> None:
    compared, found = settle(of_campaign(AGREED + "".join(f"m-{seq},{10 * seq},x-{seq}\n" for seq in range(3, 9))))
    assert compared == Compared(payments=8, credits=8, credited=6, unknown=0)
    assert kinds(found) == [("NOT_SUCCESS", f"m-{seq}") for seq in range(3, 9)]
    assert found[0].ours is not None
    assert found[0].theirs is not None
    assert (found[0].ours.state, found[0].ours.failure_kind, found[0].ours.amount) == ("FAILED", "REJECTED", 30)
    assert (found[0].theirs.amount, found[0].theirs.transaction_id, found[0].theirs.line) == (30, "x-3", 4)
    assert [row(connection, seq)["transaction_id"] for seq in range(3, 9)] == [f"x-{seq}" for seq in range(3, 9)]
    campaign.assert_sums_hold()
    assert settle(of_campaign(AGREED + "".join(f"m-{seq},{10 * seq},x-{seq}\n" for seq in range(3, 9))))[1] == []


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("m-1,10,t-1\n", [("NOT_CREDITED", "m-2")]),
        ("m-1,11,t-1\nm-2,20,t-2\n", [("OTHER_AMOUNT", "m-1")]),
        ("m-1,10,zzz\nm-2,20,t-2\n", [("OTHER_TRANSACTION", "m-1")]),
        ("m-1,10,t-1\nm-2,20,t-2\nm-9,90,t-9\n", [("NO_TARGET", "m-9")]),
        ("m-1,10,zzz\nm-1,10,t-1\nm-2,20,t-2\n", [("PAID_TWICE", "m-1")]),
        ("m-1,10,t-1\nm-2,20,t-2\nm-1,10,t-1\n", [("LISTED_TWICE", "m-1")]),
        ("m-9,90,a\nm-9,90,b\nm-1,10,t-1\nm-2,20,t-2\n", [("PAID_TWICE", "m-9"), ("NO_TARGET", "m-9")]),
    ],
)
def test_each_difference_is_reported_and_changes_nothing(
    connection: Connection, settle: Settle, lines: str, expected: list[tuple[str, str]]
) -> None:
    before = everything(connection)
    _, found = settle(of_campaign(HEADER + lines))
    assert kinds(found) == expected + [("OPEN", f"m-{seq}") for seq in UNCERTAIN]
    assert everything(connection)[:-1] == before


def test_another_amount_is_no_success(connection: Connection, settle: Settle) -> None:
    compared, found = settle(of_campaign(AGREED + "m-4,41,x-4\n"))
    assert compared.credited == 0
    assert kinds(found)[0] == ("OTHER_AMOUNT", "m-4")
    assert row(connection, UNKNOWN)["state"] == "FAILED"


def test_a_member_paid_twice_shows_both_credits(connection: Connection, settle: Settle) -> None:
    _, found = settle(of_campaign(AGREED + "m-4,40,x-4\nm-4,40,y-4\n"))
    assert kinds(found)[:2] == [("PAID_TWICE", "m-4"), ("NOT_SUCCESS", "m-4")]
    theirs = found[0].theirs
    assert theirs is not None
    assert (theirs.amount, theirs.transaction_id, theirs.credits) == (80, "x-4 y-4", 2)
    assert row(connection, UNKNOWN)["transaction_id"] == "x-4"


def test_lines_of_other_campaigns_are_left_out_and_columns_that_say_nothing_too(settle: Settle) -> None:
    compared, found = settle(
        "\ufefftransaction_id,campaign_id,note,amount,member_id\r\n"
        't-1,1,"a, b",10,m-1\r\nt-2,1,,20,m-2\r\n\r\nq,77,,not looked at,m-1\r\n',
        form=SettlementForm(ignored=frozenset({"note"})),
    )
    assert compared.credits == 2
    assert kinds(found) == [("OPEN", f"m-{seq}") for seq in UNCERTAIN]


def test_a_transaction_of_another_campaign_is_never_a_credit_of_this_one(
    connection: Connection, settle: Settle, world: World
) -> None:
    other = world.campaign([("m-3", 30, "other")], name="other").begun().paid(1, transaction="tx-").ended("COMPLETED")
    compared, found = settle(AGREED + "m-3,30,tx-1\n")
    assert (compared.credits, compared.elsewhere_lines, compared.elsewhere_points) == (2, 1, 30)
    assert kinds(found) == [("OPEN", f"m-{seq}") for seq in UNCERTAIN], "our own record explains the line"
    _, found = settle(of_campaign(AGREED + "m-3,30,tx-1\n"))
    assert kinds(found)[0] == ("SAME_TRANSACTION", "m-3"), "the file says that it is ours, our record that it is not"
    assert found[0].theirs is not None
    assert found[0].theirs.campaign_id == other.id
    _, found = settle(AGREED + "m-4,40,tx-1\n")
    assert kinds(found)[0] == ("SAME_TRANSACTION", "m-4"), "the other payment has another member"
    assert [row(connection, seq)["state"] for seq in (REJECTED, UNKNOWN)] == ["FAILED", "FAILED"]


@pytest.mark.parametrize(
    ("known", "listed"), [("ty-000001", "TY-000001"), ("TY-1", "ty-1"), ("Ty-aB", "tY-Ab"), ("\uff34y-1", "ty-1")]
)
def test_a_transaction_of_another_campaign_in_another_case_or_form_pays_nothing(
    connection: Connection, settle: Settle, known: str, listed: str
) -> None:
    connection.execute("insert into money_transaction values (%s, 2, 5)", (known,))
    compared, found = settle(of_campaign(f"{AGREED}m-3,30,{listed}\n"))
    assert compared.credited == 0
    assert kinds(found)[0] == ("SAME_TRANSACTION", "m-3")
    assert row(connection, REJECTED)["state"] == "FAILED"


def test_ids_that_the_money_api_itself_gave_in_two_cases_are_two_payments(
    connection: Connection, settle: Settle, world: World
) -> None:
    other = world.campaign([("m-1", 10, "other")], name="other").begun().paid(1, transaction="T-").ended("COMPLETED")
    compared, found = settle(of_campaign(AGREED))
    assert (other.id, compared.credits) == (2, 2)
    assert kinds(found) == [("OPEN", f"m-{seq}") for seq in UNCERTAIN], "t-1 is exactly the id of our m-1"


def test_without_a_campaign_a_list_only_reports(connection: Connection, settle: Settle) -> None:
    compared, found = settle(AGREED + "m-3,30,x-3\nm-4,40,x-4\n")
    assert (compared.credited, compared.only_reported, compared.unknown) == (0, True, 4)
    assert kinds(found)[:2] == [("UNPROVEN", "m-3"), ("UNPROVEN", "m-4")]
    assert row(connection, UNKNOWN)["state"] == "FAILED"


def test_our_key_proves_a_line_and_lines_of_other_keys_are_left_out(
    connection: Connection, settle: Settle, run: EndedRun
) -> None:
    first, second, unknown = (str(idempotency_key(run.key_namespace, f"m-{seq}")) for seq in (1, 2, UNKNOWN))
    lines = f"{first},m-1,10,t-1\n{second.upper()},m-2,20,t-2\n{unknown},m-4,40,x-4\n{uuid4()},m-8,80,x-8\n"
    compared, found = settle(f"idempotency_key,{HEADER}{lines}")
    assert (compared.credits, compared.credited, compared.only_reported) == (3, 1, False)
    assert kinds(found)[0] == ("NOT_SUCCESS", "m-4")
    assert row(connection, UNKNOWN_TOO)["state"] == "FAILED"


@pytest.mark.parametrize("status", ["FAILED", "returned", "Reversed", "PENDING", "취소"])
def test_a_line_that_is_no_credit_makes_nothing_success(connection: Connection, settle: Settle, status: str) -> None:
    lines = f"campaign_id,status,{HEADER}1,paid,m-1,10,t-1\n1,PAID,m-2,20,t-2\n1,{status},m-4,40,x-4\n"
    form = SettlementForm(statuses={"취소": LineClass.REVERSED})
    compared, found = settle(lines, form=form)
    assert (compared.credits, compared.credited) == (2, 0)
    assert compared.not_credited_points + compared.reversed_points == 40
    assert ("OPEN", "m-4") in kinds(found)
    assert row(connection, UNKNOWN)["failure_kind"] == "UNKNOWN"


def test_a_negative_amount_is_a_reversal_and_its_credit_is_not_taken(connection: Connection, settle: Settle) -> None:
    compared, found = settle(of_campaign(AGREED + "m-4,40,x-4\nm-4,-40,x-5\nm-1,-10,x-6\n"))
    assert (compared.credited, compared.reversed_lines, compared.reversed_points) == (0, 2, 50)
    assert kinds(found)[:3] == [("REVERSED", "m-1"), ("REVERSED", "m-4"), ("UNPROVEN", "m-4")]
    assert row(connection, UNKNOWN)["state"] == "FAILED"
    assert row(connection, 1)["state"] == "SUCCESS", "people decide what a reversal means"


def test_one_transaction_for_several_members_is_a_credit_of_none(connection: Connection, settle: Settle) -> None:
    compared, found = settle(of_campaign(AGREED + "m-4,40,x-4\nm-8,80,x-4\nm-3,30,t-1\n"))
    assert compared.credited == 0
    for member in ("m-4", "m-8", "m-3"):  # t-1 is m-1's, in the list and in our record
        assert ("SAME_TRANSACTION", member) in kinds(found)
    assert ("NOT_CREDITED", "m-1") not in kinds(found)
    assert row(connection, REJECTED)["state"] == "FAILED"


def test_columns_have_the_files_own_names(settle: Settle) -> None:
    form = SettlementForm.of_options(
        "member_id=회원번호,amount=금액,transaction_id=거래번호,status=상태,campaign_id=이벤트",
        ["비고"],
        ["지급=credited", "취소=reversed"],
    )
    text = "회원번호,금액,거래번호,상태,이벤트,비고\nm-1,10,t-1,지급,1,\nm-2,20,t-2,지급,1,\nm-4,40,x-4,취소,1,-\n"
    compared, _ = settle(text, form=form)
    assert (compared.credits, compared.reversed_lines) == (2, 1)


@pytest.mark.parametrize(
    ("columns", "statuses"),
    [
        ("x=y", []),
        ("member_id", []),
        ("member_id=", []),
        (None, ["지급"]),
        (None, ["지급=paid"]),
        (None, ["=credited"]),
    ],
)
def test_a_mapping_that_says_nothing_is_wrong_usage(columns: str | None, statuses: list[str]) -> None:
    with pytest.raises(UsageError):
        SettlementForm.of_options(columns, [], statuses)


def test_the_audit_row_has_the_figures(connection: Connection, settle: Settle) -> None:
    settle(of_campaign(AGREED + "m-4,40,x-4\n"))
    action = connection.execute(
        "select action, actor, campaign_id, run_no, detail from audit_event order by audit_no desc"
    )
    assert action.fetchone() == (
        "reconcile", "bob", 1, 1,
        {
            "by": "settlement", "file": "money.csv", "payments": 8, "credits": 3, "credited": 1, "unknown": 3,
            "only_reported": False, "dry_run": False, "partial": False, "not_credited_lines": 0,
            "not_credited_points": 0, "reversed_lines": 0, "reversed_points": 0, "elsewhere_lines": 0,
            "elsewhere_points": 0, "unnamed_lines": 0, "unnamed_points": 0, "taken_back_payments": 0,
            "taken_back_points": 0, "other_part_payments": 0, "other_part_points": 0,
            "differences": {"NOT_SUCCESS": 1, "OPEN": 3},
        },
    )  # fmt: skip


def test_the_figures_that_a_settlement_changes_are_announced_again_by_its_actor(
    connection: Connection, settle: Settle
) -> None:
    settle(of_campaign(AGREED + "m-4,40,x-4\n"))
    event = connection.execute(
        "select actor, (data->>'success')::int, (data->>'unknown')::int from outbox_event"
        " where type = 'campaign.corrected'"
    ).fetchall()
    counts = connection.execute("select success, unknown from campaign_count").fetchone()
    assert counts is not None
    assert event == [("bob", *counts)]
    assert connection.execute("select actor from audit_event where action = 'correct'").fetchall() == [("bob",)]
    settle(of_campaign(AGREED + "m-4,40,x-4\n"))
    again = connection.execute("select count(*) from outbox_event where type = 'campaign.corrected'").fetchone()
    assert again == (1,), "nothing changed the second time"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "money.csv is empty"),
        ("member_id,amount\nm-1,10\n", "row 1: the column 'transaction_id' is missing"),
        ("member_id,amount,transaction_id,amount\n", "row 1: the column 'amount' is there twice"),
        (HEADER + "m-1,0,t-1\n", "row 2: amount is '0': it must be 1 to"),
        (HEADER + "m-1,+5,t-1\n", "row 2: amount is '+5': it has a sign"),
        (HEADER + "m-1,--5,t-1\n", "row 2: amount is '-5': it has a sign"),
        (HEADER + "m-1,10,null\n", "row 2: transaction_id is 'null'"),
        ("지급상태," + HEADER + "ok,m-1,10,t-1\n", "row 1: the column '지급상태' is not known"),
        ("," + HEADER + "ok,m-1,10,t-1\n", "row 2: There is a value in column 1, which has no name"),
        ("status," + HEADER + "OK,m-1,10,t-1\n", "row 2: status is 'OK': say what it means with --status"),
        ("status," + HEADER + ",m-1,10,t-1\n", "row 2: status is empty"),
        ("campaign_id,idempotency_key," + HEADER + "1,k,m-1,10,t-1\n", "row 2: idempotency_key is 'k'"),
        (HEADER + "m-1,1.5,t-1\n", "row 2: amount is '1.5': points are whole"),
        (HEADER + "m-1,,t-1\n", "row 2: amount is empty"),
        (HEADER + "m-1,10,t-1\n,20,t-2\n", "row 3: member_id is empty"),
        (HEADER + " m-1,10,t-1\n", "row 2: member_id has a space"),
        (HEADER + "m-1,10,\n", "row 2: transaction_id is empty"),
        (HEADER + f"m-1,10,{'t' * 201}\n", "row 2: transaction_id is"),
        (HEADER + "m-1,10,a\x00b\n", "row 2: transaction_id is 'a\\x00b'"),
        (HEADER + "m-1,10\n", "row 2: The row has 2 values, the header 3"),
        (HEADER + 'm-1,10,"t\n', "row 2: The row cannot be read as CSV"),
        ((HEADER + "m-1,10,t-1\n").encode("utf-32"), "money.csv is text in UTF-32"),
        (HEADER.encode() + b"m-\xff,10,t-1\n", "money.csv is not UTF-8 (row 2, byte 3)"),
        ("campaign_id," + HEADER + "one,m-1,10,t-1\n", "row 2: campaign_id is 'one'"),
        (HEADER + "m-1,x,t-1\n" * 22, "money.csv has 22 errors. Nothing was changed."),
        (HEADER + "m-1,x,t-1\n" * 22, "  22 rows (2, 3, 4, 5, 6, ...), such as row 2: amount is 'x'"),
    ],
)
def test_a_bad_file_is_refused_and_nothing_is_changed(
    connection: Connection, settle: Settle, content: str | bytes, words: str
) -> None:

    before = everything(connection)
    with pytest.raises(RefusedError) as caught:
        settle(content)
    assert words in sentence(caught.value)
    assert everything(connection) == before


def test_an_error_after_good_lines_repairs_nothing(connection: Connection, settle: Settle) -> None:
    before = everything(connection)
    with refused("row 5: amount is 'x'"):
        settle(of_campaign(AGREED + "m-4,40,x-4\nm-5,x,x-5\n"))
    assert everything(connection) == before


def test_a_settlement_is_a_text_table_by_its_bytes_whatever_its_name(settle: Settle) -> None:
    assert settle(of_campaign(AGREED), "money.parquet")[0].credits == 2
    with refused("is no text table and no .xlsx workbook"):
        settle(b"PAR1" + bytes(100), "money.csv")


def a_workbook(path: Path, *rows: Sequence[Any]) -> bytes:
    with Workbook(path, {"in_memory": True}) as book:
        sheet = book.add_worksheet("정산")
        for number, cells in enumerate([["campaign_id", *HEADER.strip().split(","), "credited_at"], *rows]):
            sheet.write_row(number, 0, cells)
    return path.read_bytes()


def test_a_workbook_is_read_as_a_text_is(settle: Settle, connection: Connection, tmp_path: Path) -> None:
    rows = [(1, "m-1", 10, "t-1", "2026-11-25"), (1, "m-2", 20, "t-2"), (1, "m-4", 40, "x-4"), (1, "m-1", -10, "r-1")]
    compared, found = settle(a_workbook(tmp_path / "w", *rows, ("합계", "", 60)))
    assert (compared.credits, compared.credited, compared.reversed_points) == (3, 1, 10)
    assert kinds(found)[:2] == [("REVERSED", "m-1"), ("NOT_SUCCESS", "m-4")]
    assert row(connection, UNKNOWN)["transaction_id"] == "x-4"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (
            (1, "m-4", 40, 12345678901234567890),
            "row 2: transaction_id is a number that is not whole, or has more than 15",
        ),
        ((1, "m-4", 40.5, "x-4"), "row 2: amount is '40.5': points are whole"),
        ((1, True, 40, "x-4"), "row 2: member_id is TRUE"),
        ((1, "m-4", 40), "row 2: transaction_id is empty"),
        ((1, "합계", 70), "row 2: '합계 70' says 70"),
    ],
)
def test_a_cell_that_can_be_no_text_of_ours_refuses_the_workbook(
    settle: Settle, tmp_path: Path, line: Sequence[Any], words: str
) -> None:
    with refused(words):
        settle(a_workbook(tmp_path / "w", line))


def test_an_id_that_is_shown_with_zeros_before_it_is_not_taken_for_another(settle: Settle, tmp_path: Path) -> None:
    """The sheet shows 00123 and holds 123; an amount shown so is its number."""
    path = tmp_path / "w"

    def shown_with_zeros(column: int, number: int) -> bytes:
        with Workbook(path, {"in_memory": True}) as book:
            sheet, zeros = book.add_worksheet(), book.add_format({"num_format": "00000"})
            sheet.write_row(0, 0, ["campaign_id", *HEADER.strip().split(",")])
            sheet.write_row(1, 0, [1, "m-4", 40, "x-4"])
            sheet.write_number(1, column, number, zeros)
        return path.read_bytes()

    for column, name in ((1, "member_id"), (3, "transaction_id")):
        with refused(f"row 2: {name} is the number 123, which the sheet shows as 00123"):
            settle(shown_with_zeros(column, 123))
    compared, _ = settle(shown_with_zeros(2, 40))
    assert (compared.credits, compared.credited) == (1, 1)


def test_ids_that_are_numbers_in_a_workbook_are_said(connection: Connection, run: EndedRun, tmp_path: Path) -> None:
    path, said = tmp_path / "money.xlsx", list[str]()
    a_workbook(path, (1, "m-1", 10, "t-1"), (1, "m-2", 20, "t-2"), (1, "m-4", 40, 1234))
    compare_with_settlement(connection, 1, path, actor="bob", say=said.append, report=lambda _: None)
    assert row(connection, UNKNOWN)["transaction_id"] == "1234"
    assert any("its sheet '정산', with its header in row 1" in line for line in said)
    assert any("row 4" in line and "number" in line for line in said)


@pytest.mark.parametrize(
    ("ours", "listed"),
    [("0012", "12"), ("123456789012345678", "123456789012345000"), ("123456789012345678", "123456789012346000")],
)
def test_ids_that_a_spreadsheet_took_for_numbers_refuse_the_file(
    connection: Connection, settle: Settle, ours: str, listed: str
) -> None:
    connection.execute("update payment set transaction_id = %s where seq = 1", (ours,))
    before = everything(connection)
    with refused(
        f"row 2: the transaction id is {listed}, and {ours} in our record: a spreadsheet took it for a number"
    ):
        settle(of_campaign(f"{HEADER}m-1,10,{listed}\nm-2,20,t-2\nm-4,40,13\n"))
    assert everything(connection) == before
    _, found = settle(of_campaign(f"{HEADER}m-1,10,9{listed}\nm-2,20,t-2\n"))
    assert kinds(found)[0] == ("OTHER_TRANSACTION", "m-1"), "another id is another id"


def test_a_dry_run_says_what_would_be_and_changes_nothing(
    connection: Connection, run: EndedRun, tmp_path: Path
) -> None:
    path = tmp_path / "money.csv"
    path.write_text(of_campaign(AGREED + "m-4,40,x-4\n"))
    before, said, found = everything(connection), list[str](), list[Difference]()
    compared, _ = compare_with_settlement(
        connection, 1, path, actor="bob", dry_run=True, say=said.append, report=found.append
    )
    assert (compared.credited, compared.only_reported, compared.dry_run, compared.unknown) == (0, True, True, 4)
    assert kinds(found)[0] == ("NOT_SUCCESS", "m-4")
    assert everything(connection)[:-1] == before
    assert "credited: 3 lines, 70 points\nAll of them are of campaign 1, by their campaign_id." in "\n".join(said)


def test_what_the_file_is_comes_before_any_change(connection: Connection, run: EndedRun, tmp_path: Path) -> None:
    path = tmp_path / "money.csv"
    path.write_text(of_campaign(AGREED + "m-4,40,x-4\n"))
    seen: list[tuple[str, str]] = []

    def say(line: str) -> None:
        seen.append((line, row(connection, UNKNOWN)["state"]))

    compare_with_settlement(connection, 1, path, actor="bob", say=say, report=lambda _: None)
    assert {state for _, state in seen} == {"FAILED"}
    assert row(connection, UNKNOWN)["state"] == "SUCCESS"


def test_a_campaign_cannot_start_while_it_is_compared(
    connection: Connection, run: EndedRun, database_url: str, tmp_path: Path
) -> None:
    path = tmp_path / "money.csv"
    path.write_text(AGREED)

    def try_to_lock(_: Difference) -> None:
        with connect(database_url) as other:
            locked = other.execute("select from campaign where campaign_id = 1 for update skip locked").fetchone()
            assert locked is None

    compare_with_settlement(connection, run.campaign_id, path, actor="bob", say=print, report=try_to_lock)


# Which campaigns


def test_a_running_an_unknown_and_an_unstarted_campaign_are_refused(
    connection: Connection, world: World, campaign: Campaign
) -> None:
    with refused("Campaign 1 is RUNNING and cannot be reconciled"):
        check_reconcilable(connection, 1)
    with refused("There is no campaign 7"):
        check_reconcilable(connection, 7)
    world.campaign()
    with refused("Campaign 2 is WAITING and was never started"):
        check_reconcilable(connection, 2)


@pytest.mark.parametrize("on_hold", [True, False], ids=["on hold", "another runs"])
def test_without_a_share_it_waits_says_so_and_gives_up(
    world: World,
    run: EndedRun,
    connection: Connection,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    on_hold: bool,
) -> None:
    monkeypatch.setattr(reconcile, "SHARE_WAIT_S_MAX", 1.0)
    if on_hold:
        set_tps(connection, tps=0, actor="tester", reason=None, until=None)
    else:
        world.shares_end(in_s=60)
    why = "the limit is 0 TPS" if on_hold else "a running campaign holds the whole limit"
    said: list[str] = []
    settings = load_settings({"BULKPOINT_MONEY_URL": "http://127.0.0.1:1"})
    with refused(f"No look-up can be made: {why}"):
        look_up_in_doubt(connection, database_url, settings, 1, actor="bob", say=said.append, report=lambda _: None)
    assert len(said) == 1
    assert why in said[0]
    detail = connection.execute("select detail from audit_event where action = 'reconcile'").fetchone()
    assert detail is not None
    assert detail[0]["finished"] is False


def test_with_nothing_uncertain_no_share_is_asked_for(connection: Connection, run: EndedRun, database_url: str) -> None:
    apply_findings(connection, run, [], [Finding(seq, f"x-{seq}") for seq in UNCERTAIN])
    connection.execute("delete from money_share")
    connection.execute("delete from money_limit")
    settings = load_settings({"BULKPOINT_MONEY_URL": "http://127.0.0.1:1"})
    figures = look_up_in_doubt(
        connection, database_url, settings, 1, actor="bob", say=lambda _: None, report=lambda _: None
    )
    assert figures == LookedUp()
