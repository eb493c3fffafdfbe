"""What the help desk finds of a member: every campaign, every call, in words, without reading whole tables."""

import dataclasses
from datetime import UTC, datetime, timedelta
from random import randrange
from typing import Any
from uuid import UUID

import pytest

from bulkpoint.rules.lifecycle import CampaignState
from bulkpoint.store.connect import Connection
from bulkpoint.store.payment import Attempt
from bulkpoint.store.payment_history import FoundPayment, FoundTarget, find_payments
from bulkpoint.store.sql import sql
from bulkpoint.text import escaped
from bulkpoint.views.payment import PaymentsView, explain
from bulkpoint.views.view import Screen
from tests.world.campaigns import Campaign, World

MEMBER = "=민지 👪"
SENT_AT = datetime(2026, 1, 31, 15, 0, 0, 250_000, tzinfo=UTC)


def campaign_of_member(world: World, name: str, amount: int, *, others: int = 2) -> Campaign:
    """A campaign that pays MEMBER, first in its list, and others."""
    rows = [(MEMBER, amount, "선물"), *((f"m{n}", 10, "r") for n in range(1, others + 1))]
    return world.campaign(rows, name=name)


def ended(campaign: Campaign) -> Campaign:
    """The member's payment was first sent at SENT_AT and ended ten seconds later; the run was stopped."""
    return campaign.times([1], first_sent_at=SENT_AT, finished_at=SENT_AT + timedelta(seconds=10)).stopped()


def attempt(after: timedelta, seq: int = 1, **fields: Any) -> Attempt:
    """A call of the member's payment that left `after` it was first sent, and its id of that time."""
    at = (SENT_AT + after).timestamp()
    made = UUID(int=int(at * 1_000) << 80 | 7 << 76 | 2 << 62 | randrange(2**62))
    timed_out = Attempt(str(made), "POST", seq, at, None, None, "TIMED_OUT", None, None)
    return timed_out._replace(**fields)


def test_all_campaigns_of_a_member_are_found_the_newest_first(connection: Connection, world: World) -> None:
    paid = ended(campaign_of_member(world, "paid", 100).begun().paid([1])).id
    withdrawn = campaign_of_member(world, "withdrawn", 200).withdrawn().id
    waiting = campaign_of_member(world, "waiting", 300).id
    found = find_payments(connection, MEMBER)
    assert [(one.campaign_id, one.amount, explain(one)) for one in found] == [
        (waiting, 300, "will be paid 300 points, campaign WAITING"),
        (withdrawn, 200, f"will not be paid: campaign {withdrawn} was withdrawn before its start"),
        (paid, 100, "paid"),
    ]
    assert [type(one) for one in found] == [FoundTarget, FoundTarget, FoundPayment]
    for one in found:
        assert find_payments(connection, MEMBER, campaign_id=one.campaign_id) == [one]
    assert [one["state"] for one in PaymentsView.of(found).as_object()["payments"]] == ["PENDING", "PENDING", "SUCCESS"]


def test_an_id_is_taken_as_it_is(connection: Connection, world: World) -> None:
    campaign_of_member(world, "paid", 100).begun().stopped()
    for other in ("=민지", f"{MEMBER} ", "'=민지 👪", "%", "m_", "", "M1"):
        assert find_payments(connection, other) == []
    assert PaymentsView.of([]).as_object() == {"payments": []}


def test_every_call_is_listed_in_order_also_a_look_up_long_after(connection: Connection, world: World) -> None:
    campaign = campaign_of_member(world, "unknown", 100).begun()
    ended(campaign.failed([1], "UNKNOWN", code="UNKNOWN_CODE", failure_message="too slow"))
    answered = (SENT_AT + timedelta(seconds=4, milliseconds=52)).timestamp()
    busy: dict[str, Any] = {"http_status": 503, "outcome": "SERVER_ERROR", "answered_at": answered, "code": "BUSY"}
    campaign.attempted(
        attempt(timedelta(hours=20), method="GET", http_status=404, outcome="NOT_FOUND_YET"),
        attempt(timedelta(0)),
        attempt(timedelta(seconds=4), **busy),
    )
    found = find_payments(connection, MEMBER)
    [fields] = PaymentsView.of(found).as_object()["payments"]
    assert [(one["method"], one["http_status"], one["outcome"], one["took_ms"]) for one in fields["attempts"]] == [
        ("POST", None, "TIMED_OUT", None),
        ("POST", 503, "SERVER_ERROR", 52),
        ("GET", 404, "NOT_FOUND_YET", None),
    ]
    assert fields["attempts"][1]["sent_at"] == "2026-01-31T15:00:04.250Z"
    lines = list(PaymentsView.of(found).as_text(Screen("Asia/Seoul")))
    assert "  failure     UNKNOWN  UNKNOWN_CODE  too slow" in lines
    assert "  finished    2026-02-01 00:00:10" in lines
    assert lines[-3:] == [
        "  2026-02-01 00:00:00.250    1  POST     -  TIMED_OUT      -           -",
        "  2026-02-01 00:00:04.250    1  POST   503  SERVER_ERROR   BUSY       52",
        "  2026-02-01 20:00:00.250    1  GET    404  NOT_FOUND_YET  -           -",
    ]


def test_calls_of_others_are_not_listed_and_clocks_may_differ(connection: Connection, world: World) -> None:
    campaign = ended(campaign_of_member(world, "one", 100).begun().paid([1]))
    ended(campaign_of_member(world, "two", 200).begun().paid([1]))
    for after, seq in ((-90, 1), (1, 2), (90, 1)):
        campaign.attempted(attempt(timedelta(seconds=after), seq, outcome="CREDITED", http_status=200))
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
    assert escaped("a\x1b[2J\r\nb\u202ec\u2028\udc80") == "a\\x1b[2J\\r\\nb<U+202E>c\\u2028\\udc80"
    family = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
    assert escaped(f"=추석 {family}\u00a0e\u0301") == f"=추석 {family}\u00a0e\u0301"
    target = FoundTarget(1, "name\x07", CampaignState.WAITING, "m\x9b1", 1, "line\nline")
    assert list(PaymentsView.of([target]).as_text(Screen())) == [
        "campaign 1  name\\x07  WAITING 대기",
        "  member      m\\x9b1",
        "  amount      1 point",
        "  reason      line\\nline",
        "  payment     will be paid 1 point, campaign WAITING",
    ]


def test_no_table_is_read_whole(connection: Connection, world: World) -> None:
    large = campaign_of_member(world, "large", 1, others=20_000).begun().stopped().id
    other = campaign_of_member(world, "other", 1).begun().stopped().id
    campaign_of_member(world, "waiting", 1, others=20_000)
    connection.execute("analyze")

    def plan(name: str, campaign_id: int | None) -> str:
        statement = b"\n".join(line for line in sql(name).splitlines() if not line.startswith(b"--"))
        wanted = {"member_id": MEMBER, "campaign_id": campaign_id}
        rows = connection.execute(b"explain (costs off) " + statement, wanted).fetchall()
        return "\n".join(row[0] for row in rows)

    here = plan("find_payment", large)
    assert f"Index Scan using payment_{large}_member_id_idx" in here
    assert f"payment_{other}" not in here
    for one in (None, large):
        assert "Index Cond: ((campaign_id = every.campaign_id) AND (member_id =" in plan("find_targets", one)


def test_as_many_locks_for_a_hundred_campaigns_as_for_two(connection: Connection, world: World) -> None:
    def locks() -> int:
        with connection.transaction():
            found = find_payments(connection, MEMBER)
            row = connection.execute("select count(*) from pg_locks where pid = pg_backend_pid()").fetchone()
        assert len(found) == 1
        assert row is not None
        return int(row[0])

    campaign_of_member(world, "of the member", 100).begun().stopped()
    world.campaign([("other", 1, "r")]).begun().stopped()
    few = locks()
    for number in range(100):
        world.campaign([(f"other{number}", 1, "r")]).begun().stopped()
    assert locks() == few
