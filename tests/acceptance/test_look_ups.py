"""What nobody knows: payments whose tries are spent, or whose key is too old to be sent, are looked up at money."""

from pathlib import Path

from tests.world.counters import recount
from tests.world.money import Money
from tests.world.workers import crew

# Fewer than open the breaker: these are tests of what follows when it stays shut.
MEMBERS = 7


def test_a_credit_that_no_answer_told_of_is_found_through_the_gate(
    database_url: str, money: Money, tmp_path: Path
) -> None:
    money.change(credit_then_500=1)
    with crew(database_url, money, tmp_path, members=MEMBERS, tps=100, shares=1, BULKPOINT_RETRIES="1") as its:
        its.hire()
        its.finish()
        assert its.count("SUCCESS") == MEMBERS
        calls = dict(its.query(b"select method, count(*) from payment_attempt group by 1"))
        assert calls == {"POST": 2 * MEMBERS, "GET": MEMBERS}, "each look-up is recorded, and counts as all calls do"
        assert {row["member_id"] for row in money.ledger()} == {
            row[0] for row in its.query(b"select member_id from payment where transaction_id is not null")
        }


def test_not_found_is_proof_only_when_money_must_know(database_url: str, money: Money, tmp_path: Path) -> None:
    money.change(close_before_credit=1)
    with crew(
        database_url,
        money,
        tmp_path,
        members=MEMBERS,
        tps=100,
        shares=1,
        BULKPOINT_RETRIES="0",
        BULKPOINT_MONEY_SETTLE_S="6",
    ) as its:
        its.hire()
        its.finish()
        ended = its.query(b"select distinct failure_kind::text, failure_code, maybe_credited from payment")
        assert ended == [("UNAVAILABLE", "RESET", False)]
        ((soonest_s,),) = its.query(
            b"select min(extract(epoch from g.sent_at - p.sent_at))::float8 from payment_attempt g"
            b" join payment_attempt p using (seq) where g.outcome = 'NOT_FOUND' and p.method = 'POST'"
        )
        assert soonest_s >= 6.0, "BULKPOINT_MONEY_SETTLE_S"
        assert its.query(b"select distinct outcome from payment_attempt where method = 'GET' order by 1") == [
            ("NOT_FOUND",),
            ("NOT_FOUND_YET",),
        ]


def test_a_look_up_that_fails_is_tried_again_and_not_for_ever(database_url: str, money: Money, tmp_path: Path) -> None:
    money.change(credit_then_500=1)
    with crew(database_url, money, tmp_path, members=3, tps=100, shares=1, BULKPOINT_RETRIES="0") as its:
        worker = its.hire()
        its.wait_for_sends(3)
        money.change(credit_then_500=0, unavailable=1, retry_after=None)
        worker.assert_ends_well()
        its.finish()
        ended = its.query(b"select distinct failure_kind::text from payment where state = 'FAILED'")
        assert ended == [("UNKNOWN",)]
        ((most,),) = its.query(b"select max(tries) from payment")
        assert most <= 3
        assert its.query(b"select count(*) from payment_attempt where method = 'POST'") == [(3,)]


def test_a_key_that_money_may_have_forgotten_is_never_sent_again(
    database_url: str, money: Money, tmp_path: Path
) -> None:
    """Of nine: three were never sent, three were a day ago and are at money, three were and are not."""
    with crew(database_url, money, tmp_path, members=9, tps=100, shares=1) as its:
        its.hire(its.open_rows()[3:6]).assert_ends_well()
        its.query(
            b"update payment set state = 'PENDING', transaction_id = null, finished_at = null, tries = 0,"
            b" maybe_credited = true, first_sent_at = now() - interval '25 h', last_sent_at = now() - interval '25 h'"
            b" where seq > 3 returning seq"
        )
        recount(its.connection)
        its.query(b"update payment set maybe_credited = false where seq = 9 returning seq")
        its.hire()
        its.finish()
        ended = its.query(b"select seq, state::text, coalesce(failure_kind::text, '') from payment order by seq")
        assert [row[1:] for row in ended[:6]] == [("SUCCESS", "")] * 6
        assert [row[1:] for row in ended[6:]] == [
            ("FAILED", "UNKNOWN"),
            ("FAILED", "UNKNOWN"),
            ("FAILED", "UNAVAILABLE"),
        ]
        posted = {row[0] for row in its.query(b"select seq from payment_attempt where method = 'POST'")}
        assert posted == {1, 2, 3, 4, 5, 6}
        assert len(money.ledger()) == 6
