"""Most results are written by a lean statement: what it leaves to the other one, and that nobody sees a difference."""

import threading
from collections.abc import Sequence
from typing import Any

import pytest

from bulkpoint.ids import new_id
from bulkpoint.rules.durations import DURATION_BOUNDS_S
from bulkpoint.store.connect import Connection, connect
from bulkpoint.store.payment import Attempt, Change, Conflict, numbers, texts
from bulkpoint.store.rows import Query
from bulkpoint.store.share import ShareToken
from bulkpoint.store.sql import sql
from tests.world.campaigns import Campaign, World

SENT_AT = 1_700_000_000.25


@pytest.fixture
def campaign(world: World) -> Campaign:
    return world.campaign([(f"member-{n}", 10 * n, f"why {n}") for n in range(1, 6)]).begun()


@pytest.fixture
def written_by(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the statements that wrote results, in turn."""
    names: list[str] = []
    ask = Query.all

    def ask_and_note(self: Query[Any], connection: Connection, /, **parameters: Any) -> list[Any]:
        if self.name.startswith("record_"):
            names.append(self.name)
        return ask(self, connection, **parameters)

    monkeypatch.setattr(Query, "all", ask_and_note)
    return names


def credit(seq: int, token: ShareToken, transaction_id: str = "", **more: Any) -> tuple[Attempt, Change]:
    transaction_id = transaction_id or f"t-{seq}"
    sent = Attempt(new_id(), "POST", seq, SENT_AT, SENT_AT + 0.5, 201, "CREDITED", None, transaction_id)
    change = Change(seq, "SUCCESS", token, 1, False, last_sent_at=SENT_AT, transaction_id=transaction_id, **more)
    return sent, change


def record(campaign: Campaign, token: ShareToken, results: Sequence[tuple[Attempt, Change]]) -> list[Conflict]:
    return campaign.record(token, [change for _, change in results], [sent for sent, _ in results])


def rows(connection: Connection, table: str, *, without: str) -> list[dict[str, Any]]:
    found = connection.execute(f"select to_jsonb(t) from {table} t order by campaign_id, seq").fetchall()
    return [{name: value for name, value in row.items() if name not in without.split()} for (row,) in found]


def everything(connection: Connection) -> list[list[dict[str, Any]]]:
    """What is stored of the payments, but for the database's own times."""
    return [
        rows(connection, "payment", without="first_sent_at finished_at"),
        rows(connection, "payment_attempt", without=""),
        rows(connection, "money_transaction", without=""),
    ]


def test_the_lean_statement_stores_what_the_other_one_does(
    connection: Connection, campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = campaign.share()
    campaign.claim(token, [1, 2, 3])
    results = [credit(seq, token) for seq in (1, 2, 3)]
    assert record(campaign, token, results) == []
    lean = everything(connection)
    campaign.assert_sums_hold()
    connection.execute("truncate payment_attempt, money_transaction")
    connection.execute("update payment set state = 'PENDING', transaction_id = null where state = 'SUCCESS'")
    connection.execute("update payment set first_sent_at = null, last_sent_at = null, tries = 0, finished_at = null")
    monkeypatch.setattr("bulkpoint.store.payment._plain_successes", lambda *_: [])
    campaign.claim(token, [1, 2, 3])
    assert record(campaign, token, results) == []
    assert everything(connection) == lean
    assert [row["state"] for row in lean[0]] == ["SUCCESS"] * 3 + ["PENDING"] * 2


def test_plain_successes_are_written_by_one_statement(campaign: Campaign, written_by: list[str]) -> None:
    token = campaign.share()
    campaign.claim(token, [1, 2, 3])
    record(campaign, token, [credit(3, token), credit(1, token), credit(2, token)])
    assert written_by == ["record_successes"]


def test_only_what_is_not_plain_is_written_by_the_other_statement(
    connection: Connection, campaign: Campaign, written_by: list[str]
) -> None:
    token = campaign.share()
    campaign.claim(token, [1, 2, 3, 4])
    no = Attempt(new_id(), "POST", 2, SENT_AT, SENT_AT, 400, "REJECTED", "NO", None)
    refusal = Change(2, "FAILED", token, 1, False, last_sent_at=SENT_AT, failure_kind="REJECTED", failure_code="NO")
    timeout = Attempt(new_id(), "POST", 3, SENT_AT - 9, None, None, "TIMED_OUT", None, None)
    results = [credit(1, token), (no, refusal), credit(3, token), credit(4, token)]
    campaign.record(token, [change for _, change in results], [timeout, *(sent for sent, _ in results)])
    assert written_by == ["record_successes", "record_results"]
    assert campaign.states() == {1: "SUCCESS", 2: "FAILED", 3: "SUCCESS", 4: "SUCCESS", 5: "PENDING"}
    assert connection.execute("select array_agg(seq order by seq, sent_at) from payment_attempt").fetchone() == (
        [1, 2, 3, 3, 4],
    )
    campaign.assert_sums_hold()


def test_a_record_of_plain_successes_is_safe_to_repeat(connection: Connection, campaign: Campaign) -> None:
    token = campaign.share()
    campaign.claim(token, [1, 2, 3])
    results = [credit(seq, token) for seq in (1, 2, 3)]
    record(campaign, token, results[:2])
    for _ in range(3):
        assert record(campaign, token, results) == []
    assert connection.execute("select count(*) from payment_attempt").fetchone() == (3,)
    assert campaign.counts().success == 3
    campaign.assert_sums_hold()


def test_a_success_of_a_worker_that_lost_its_share_counts_beside_plain_ones(campaign: Campaign) -> None:
    zombie, alive = campaign.share(), campaign.share()
    campaign.claim(zombie, [1, 2])
    campaign.lose(zombie)
    campaign.claim(alive, [2])
    assert record(campaign, zombie, [credit(1, zombie), credit(2, zombie)]) == []
    assert campaign.states()[1] == campaign.states()[2] == "SUCCESS"
    assert record(campaign, alive, [credit(2, alive)]) == [], "the same id again"
    assert record(campaign, alive, [credit(2, alive, "t-other")]) == [Conflict(2, "t-other", is_second=True)]
    campaign.assert_sums_hold()


def test_an_id_of_another_payment_pays_nobody_and_the_rest_of_the_batch_is_paid(
    connection: Connection, campaign: Campaign
) -> None:
    token = campaign.share()
    campaign.claim(token, [1, 2, 3, 4])
    record(campaign, token, [credit(4, token, "t-same")])
    batch = [credit(1, token), credit(2, token, "t-same"), credit(3, token)]
    assert record(campaign, token, batch) == [Conflict(2, "t-same", is_second=False)]
    assert campaign.states() == {1: "SUCCESS", 2: "FAILED", 3: "SUCCESS", 4: "SUCCESS", 5: "PENDING"}
    assert connection.execute("select halt from campaign_run").fetchone() == ("SAME_TRANSACTION",)
    assert connection.execute("select count(*) from payment_attempt").fetchone() == (4,)
    campaign.assert_sums_hold()


def test_one_id_for_two_payments_of_a_batch_pays_the_first(campaign: Campaign) -> None:
    token = campaign.share()
    campaign.claim(token, [1, 2, 3])
    batch = [credit(3, token), credit(2, token, "t-same"), credit(1, token, "t-same")]
    assert record(campaign, token, batch) == [Conflict(2, "t-same", is_second=False)]
    assert campaign.states() == {1: "SUCCESS", 2: "FAILED", 3: "SUCCESS", 4: "PENDING", 5: "PENDING"}
    campaign.assert_sums_hold()


def test_a_payment_that_came_back_is_claimed_beside_fresh_ones(campaign: Campaign) -> None:
    token = campaign.share()
    campaign.claim(token, [1, 2, 3])
    back = [
        Change(1, "PENDING", token, 0, False, known_unsent=True),
        Change(2, "PENDING", token, 1, True, last_sent_at=SENT_AT, failure_code="TIMED_OUT"),
        Change(3, "PENDING", token, 1, False, next_try_at=4e9),
    ]
    campaign.record(token, back)
    claims = {claim.seq: claim for claim in campaign.claim(token, [5, 4, 3, 2, 1])}
    assert sorted(claims) == [1, 2, 4, 5], "3 is not due"
    assert (claims[2].tries, claims[2].maybe_credited, claims[2].failure_code) == (1, True, "TIMED_OUT")
    assert claims[2].since_first_sent_s is not None
    assert claims[1].since_first_sent_s is None
    campaign.assert_sums_hold()


def test_rows_that_two_shares_claim_at_the_same_moment_are_one_shares(database_url: str, world: World) -> None:
    campaign = world.campaign(400).begun()
    tokens = [campaign.share(), campaign.share()]
    taken: list[int] = []
    barrier = threading.Barrier(2)

    def take(token: ShareToken, seqs: Sequence[int]) -> None:
        with connect(database_url) as connection:
            own = campaign.on(connection)
            for first in range(0, len(seqs), 20):
                barrier.wait()
                taken.extend(claim.seq for claim in own.claim(token, seqs[first : first + 20]))

    takers = [threading.Thread(target=take, args=(token, range(1, 401))) for token in tokens]
    for taker in takers:
        taker.start()
    for taker in takers:
        taker.join(60)
    assert sorted(taken) == list(range(1, 401))
    campaign.assert_sums_hold()


def test_no_statement_of_a_batch_reads_the_whole_campaign(connection: Connection, world: World) -> None:
    campaign = world.campaign(3_000).begun()
    token = campaign.share()
    connection.execute("analyze payment")  # it knows of PENDING rows only, as after a freeze
    seqs = list(range(1_000, 1_500))
    parameters = {
        "campaign_id": campaign.id,
        "run_id": campaign.run.token.run_id,
        "driver_epoch": campaign.run.token.driver_epoch,
        "share": token.share,
        "epoch": token.epoch,
        "holder": token.holder,
        "claim_share": token.share,
        "claim_epoch": token.epoch,
        "tries": 1,
        "http_status": 201,
        "seqs": numbers(seqs),
        "attempt_ids": numbers(new_id() for _ in seqs),
        "sent_ats": numbers(SENT_AT for _ in seqs),
        "answered_ats": numbers(SENT_AT for _ in seqs),
        "transaction_ids": texts(f"t-{seq}" for seq in seqs),
        "duration_bounds": numbers(DURATION_BOUNDS_S),
    }
    for name in ("claim_fresh_payments", "claim_payments", "record_successes"):
        plan = "\n".join(row[0] for row in connection.execute(b"explain " + sql(name), parameters))
        assert "_pkey on payment_" in plan, plan
        assert "Seq Scan on payment_" not in plan, plan
        joins = plan.count("Join Filter: (p_1.seq")
        assert joins == 0, f"every row of the batch with every other: {plan}"
