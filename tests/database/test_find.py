"""What the help desk finds of a member: every campaign, every call, in words, without reading whole tables."""

import dataclasses
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import randrange
from typing import Any
from uuid import UUID

import pytest

from bulkpoint.campaigns.runs import begin_run, stop_run
from bulkpoint.rules.lifecycle import CampaignState
from bulkpoint.store.connect import Connection, connect
from bulkpoint.store.limit import ensure_limit
from bulkpoint.store.payment_history import FoundPayment, FoundTarget, find_payments
from bulkpoint.store.sql import sql
from bulkpoint.text import escaped
from bulkpoint.views.find import explain, object_of, text_of

MEMBER = "=민지 👪"
SENT_AT = datetime(2026, 1, 31, 15, 0, 0, 250_000, tzinfo=UTC)


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with connect(database_url) as connection:
        ensure_limit(connection, tps=100, shares=2, actor="tester")
        yield connection


def create(connection: Connection, name: str, amount: int, *, others: int = 2) -> int:
    """A campaign that pays MEMBER, first in its list, and others."""
    row = connection.execute(
        "insert into campaign (name, expected_count, expected_amount, creator) values (%s, %s, %s, 'a')"
        " returning campaign_id",
        (name, others + 1, amount + others),
    ).fetchone()
    assert row is not None
    connection.execute("insert into campaign_target values (%s, %s, %s, '선물')", (row[0], MEMBER, amount))
    connection.execute(
        "insert into campaign_target select %s, 'm' || i, 1, 'r' from generate_series(1, %s) i", (row[0], others)
    )
    return int(row[0])


def stopped(connection: Connection, name: str, amount: int, *, others: int = 2) -> int:
    campaign_id = create(connection, name, amount, others=others)
    begin_run(connection, campaign_id, kind="INITIAL", actor="bob", reason=None, shares=2)
    stop_run(connection, campaign_id, actor="bob")
    return campaign_id


def attempt(connection: Connection, campaign_id: int, after: timedelta, **fields: Any) -> None:
    """A call of the member's payment that left `after` it was first sent, and its id of that time."""
    at = SENT_AT + after
    fields = {"method": "POST", "http_status": None, "outcome": "TIMED_OUT", "code": None, "answered_at": None} | fields
    made = UUID(int=int(at.timestamp() * 1_000) << 80 | 7 << 76 | 2 << 62 | randrange(2**62))
    connection.execute(
        "insert into payment_attempt (campaign_id, attempt_id, seq, run_id, sent_at, answered_at, http_status, outcome,"
        " code, method) select campaign_id, %(id)s, 1, run_id, %(at)s, %(answered_at)s, %(http_status)s, %(outcome)s,"
        " %(code)s, %(method)s from campaign_run where campaign_id = %(campaign_id)s",
        {"id": made, "at": at, "campaign_id": campaign_id, **fields},
    )


def become(connection: Connection, campaign_id: int, state: str, **fields: Any) -> None:
    """The member's payment is so."""
    values = {"transaction_id": None, "failure_kind": None, "failure_message": None, "maybe_credited": False} | fields
    connection.execute(
        "update payment set state = %(state)s::text::payment_state, transaction_id = %(transaction_id)s,"
        " failure_kind = %(failure_kind)s::text::failure_kind,"
        " failure_code = %(failure_kind)s::text || '_CODE', failure_message = %(failure_message)s,"
        " maybe_credited = %(maybe_credited)s, first_sent_at = %(at)s, "
        " finished_at = case when %(state)s::text <> 'PENDING' then %(at)s + interval '10 s' end"
        " where campaign_id = %(campaign_id)s and seq = 1",
        {"campaign_id": campaign_id, "state": state, "at": SENT_AT, **values},
    )


def test_all_campaigns_of_a_member_are_found_the_newest_first(connection: Connection) -> None:
    paid = stopped(connection, "paid", 100)
    become(connection, paid, "SUCCESS", transaction_id="t-1")
    withdrawn, waiting = create(connection, "withdrawn", 200), create(connection, "waiting", 300)
    connection.execute(
        "update campaign set withdrawn_by = 'a', withdrawn_at = now(), withdrawn_reason = 'r' where campaign_id = %s",
        (withdrawn,),
    )
    found = find_payments(connection, MEMBER)
    assert [(one.campaign_id, one.amount, explain(one)) for one in found] == [
        (waiting, 300, "will be paid 300 points, campaign WAITING"),
        (withdrawn, 200, f"will not be paid: campaign {withdrawn} was withdrawn before its start"),
        (paid, 100, "paid"),
    ]
    assert [type(one) for one in found] == [FoundTarget, FoundTarget, FoundPayment]
    for one in found:
        assert find_payments(connection, MEMBER, campaign_id=one.campaign_id) == [one]
    assert [one["state"] for one in object_of(found)["payments"]] == ["PENDING", "PENDING", "SUCCESS"]


def test_an_id_is_taken_as_it_is(connection: Connection) -> None:
    stopped(connection, "paid", 100)
    for other in ("=민지", f"{MEMBER} ", "'=민지 👪", "%", "m_", "", "M1"):
        assert find_payments(connection, other) == []
    assert object_of([]) == {"payments": []}


def test_every_call_is_listed_in_order_also_a_look_up_long_after(connection: Connection) -> None:
    campaign_id = stopped(connection, "unknown", 100)
    become(connection, campaign_id, "FAILED", failure_kind="UNKNOWN", maybe_credited=True, failure_message="too slow")
    answered = SENT_AT + timedelta(seconds=4, milliseconds=52)
    attempt(connection, campaign_id, timedelta(hours=20), method="GET", http_status=404, outcome="NOT_FOUND_YET")
    attempt(connection, campaign_id, timedelta(0))
    attempt(
        connection, campaign_id, timedelta(seconds=4), http_status=503, outcome="SERVER_ERROR", answered_at=answered,
        code="BUSY",
    )  # fmt: skip
    found = find_payments(connection, MEMBER)
    [fields] = object_of(found)["payments"]
    assert [(one["method"], one["http_status"], one["outcome"], one["took_ms"]) for one in fields["attempts"]] == [
        ("POST", None, "TIMED_OUT", None),
        ("POST", 503, "SERVER_ERROR", 52),
        ("GET", 404, "NOT_FOUND_YET", None),
    ]
    assert fields["attempts"][1]["sent_at"] == "2026-01-31T15:00:04.250Z"
    lines = text_of(found, "Asia/Seoul")
    assert "  failure     UNKNOWN  UNKNOWN_CODE  too slow" in lines
    assert "  finished    2026-02-01 00:00:10" in lines
    assert lines[-3:] == [
        "  2026-02-01 00:00:00.250    1  POST     -  TIMED_OUT      -           -",
        "  2026-02-01 00:00:04.250    1  POST   503  SERVER_ERROR   BUSY       52",
        "  2026-02-01 20:00:00.250    1  GET    404  NOT_FOUND_YET  -           -",
    ]


def test_calls_of_others_are_not_listed_and_clocks_may_differ(connection: Connection) -> None:
    campaign_id, other = stopped(connection, "one", 100), stopped(connection, "two", 200)
    for one in (campaign_id, other):
        become(connection, one, "SUCCESS", transaction_id="t")
    for after in (timedelta(seconds=-90), timedelta(seconds=1), timedelta(seconds=90)):
        attempt(connection, campaign_id, after, outcome="CREDITED", http_status=200)
    connection.execute("update payment_attempt set seq = 2 where sent_at = %s", (SENT_AT + timedelta(seconds=1),))
    newer, older = find_payments(connection, MEMBER)
    assert isinstance(newer, FoundPayment)
    assert isinstance(older, FoundPayment)
    assert [one.sent_at - SENT_AT for one in older.attempts] == [timedelta(seconds=-90), timedelta(seconds=90)]
    assert newer.attempts == ()


@pytest.mark.parametrize(
    ("state", "fields", "words"),
    [
        ("FAILED", {"failure_kind": "UNKNOWN"}, "may have been credited; a look-up decides: `bulkpoint reconcile 1`"),
        ("FAILED", {"failure_kind": "REJECTED"}, "not credited: the money API refused this payment"),
        ("FAILED", {"failure_kind": "MISMATCH"}, "our record and theirs disagree"),
        ("FAILED", {"failure_kind": "UNAVAILABLE"}, "`bulkpoint campaign retry 1` pays it"),
        ("PENDING", {"maybe_credited": True}, "may have been credited already"),
        ("PENDING", {"first_sent_at": None, "campaign_state": "RUNNING"}, "not paid yet"),
        ("PROCESSING", {"campaign_state": "RUNNING"}, "being paid"),
        ("PENDING", {}, "it was called, and waits for its next try; campaign STOPPED, `bulkpoint campaign resume 1`"),
    ],
)
def test_each_state_is_explained(state: str, fields: dict[str, Any], words: str) -> None:
    nothing = {"maybe_credited": False, "failure_kind": None, "campaign_state": "STOPPED", "first_sent_at": SENT_AT}
    names = [field.name for field in dataclasses.fields(FoundPayment) if field.name != "attempts"]
    values: dict[str, Any] = dict.fromkeys(names) | nothing | fields | {"campaign_id": 1, "state": state}
    assert words in explain(FoundPayment(**values))


def test_text_of_others_cannot_move_the_cursor_and_letters_stay_as_they_are() -> None:
    assert escaped("a\x1b[2J\r\nb\u202ec\u2028\udc80") == "a\\x1b[2J\\r\\nb\\u202ec\\u2028\\udc80"
    family = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
    assert escaped(f"=추석 {family}\u00a0e\u0301") == f"=추석 {family}\u00a0e\u0301"
    target = FoundTarget(1, "name\x07", CampaignState.WAITING, "m\x9b1", 1, "line\nline")
    assert text_of([target], "UTC") == [
        "campaign 1  name\\x07  WAITING 대기",
        "  member      m\\x9b1",
        "  amount      1 point",
        "  reason      line\\nline",
        "  payment     will be paid 1 point, campaign WAITING",
    ]


def test_no_table_is_read_whole(connection: Connection) -> None:
    large, other = stopped(connection, "large", 100, others=20_000), stopped(connection, "other", 100)
    create(connection, "waiting", 100, others=20_000)
    connection.execute("analyze")

    def plan(name: str, campaign_id: int | None) -> str:
        statement = b"\n".join(line for line in sql(name).splitlines() if not line.startswith(b"--"))
        wanted = {"member_id": MEMBER, "campaign_id": campaign_id}
        rows = connection.execute(b"explain (costs off) " + statement, wanted).fetchall()
        return "\n".join(row[0] for row in rows)

    everywhere = plan("find_payments", None)
    assert f"Index Scan using payment_{large}_member_id_idx" in everywhere
    assert f"payment_{other}" in everywhere
    assert f"Seq Scan on payment_{large}" not in everywhere
    here = plan("find_payments", large)
    assert f"Index Scan using payment_{large}_member_id_idx" in here
    assert f"payment_{other}" not in here
    for one in (None, large):
        assert "Index Cond: ((campaign_id = c.campaign_id) AND (member_id =" in plan("find_targets", one)
