"""A transaction id of the money API names one credit: two payments are never SUCCESS under the same one."""

import threading
from collections.abc import Iterator

import pytest

from bulkpoint.store.connect import Connection, connect
from bulkpoint.store.payment import Change, Conflict, owner_of_transaction
from bulkpoint.store.reconcile import Finding, apply_findings, find_run_to_reconcile
from bulkpoint.store.share import ShareToken
from tests.world.campaigns import Campaign, World

SAME = "tx-same"


@pytest.fixture
def campaign(world: World) -> Campaign:
    return world.campaign([(f"member-{n}", 10 * n, f"why {n}") for n in range(1, 6)]).begun()


def credit(seq: int, token: ShareToken, transaction_id: str = SAME) -> Change:
    return Change(seq, "SUCCESS", token, 1, False, transaction_id=transaction_id)


def payments(connection: Connection, campaign: Campaign) -> dict[int, tuple[object, ...]]:
    rows = connection.execute(
        "select seq, state::text, failure_kind::text, failure_code, maybe_credited, transaction_id from payment"
        " where campaign_id = %s and state <> 'PENDING' order by seq",
        (campaign.id,),
    )
    return {row[0]: row[1:] for row in rows}


def halt_of(connection: Connection, campaign: Campaign) -> tuple[str | None, str | None]:
    row = connection.execute("select halt, reason from campaign_run where run_id = %s", (campaign.run.token.run_id,))
    return row.fetchone() or (None, None)


PAID = ("SUCCESS", None, None, False, SAME)
IN_DOUBT = ("FAILED", "UNKNOWN", "SAME_TRANSACTION", True, None)


def test_the_second_payment_with_an_id_is_perhaps_credited_and_named(
    connection: Connection, campaign: Campaign
) -> None:
    token = campaign.share()
    campaign.claim(token, [1, 2])
    assert campaign.record(token, [credit(2, token)]) == []
    assert campaign.record(token, [credit(1, token)]) == [Conflict(1, SAME, is_second=False)]
    assert payments(connection, campaign) == {1: IN_DOUBT, 2: PAID}
    campaign.assert_sums_hold()
    assert halt_of(connection, campaign) == (
        "SAME_TRANSACTION",
        "SAME_TRANSACTION: money gave payment 1 the transaction id of another payment"
        f" (tx-same; number 2 of campaign {campaign.id})",
    )


def test_in_one_batch_only_the_first_payment_has_the_id(connection: Connection, campaign: Campaign) -> None:
    token = campaign.share()
    campaign.claim(token, [1, 2, 3, 4])
    batch = [credit(4, token), credit(2, token), credit(3, token, "tx-other"), credit(1, token)]
    refused = campaign.record(token, batch)
    assert sorted(conflict.seq for conflict in refused) == [2, 4]
    assert payments(connection, campaign) == {
        1: PAID,
        2: IN_DOUBT,
        3: ("SUCCESS", None, None, False, "tx-other"),
        4: IN_DOUBT,
    }
    campaign.assert_sums_hold()


def test_the_same_id_for_every_payment_is_one_success(connection: Connection, campaign: Campaign) -> None:
    token = campaign.share()
    campaign.claim(token, [1, 2, 3, 4, 5])
    for seq in (3, 1, 2, 5, 4):
        campaign.record(token, [credit(seq, token)])
    assert [state for state, *_ in payments(connection, campaign).values()].count("SUCCESS") == 1
    campaign.assert_sums_hold()


def test_a_record_whose_reply_was_lost_is_repeated_as_if_nothing_had_been(
    connection: Connection, campaign: Campaign
) -> None:
    token = campaign.share()
    campaign.claim(token, [1, 2])
    batch = [credit(1, token), credit(2, token)]
    assert campaign.record(token, batch) == [Conflict(2, SAME, is_second=False)]
    before = payments(connection, campaign)
    assert campaign.record(token, batch) == [Conflict(2, SAME, is_second=False)], "it is said again, in case"
    assert payments(connection, campaign) == before == {1: PAID, 2: IN_DOUBT}
    campaign.assert_sums_hold()


def test_a_replay_gives_the_same_payment_the_same_id(connection: Connection, campaign: Campaign) -> None:
    token = campaign.share()
    campaign.claim(token, [1])
    assert campaign.record(token, [credit(1, token)]) == []
    assert campaign.record(token, [credit(1, token)._replace(tries=2)]) == []
    assert payments(connection, campaign) == {1: PAID}


def test_a_second_id_of_a_paid_payment_is_its_own_and_halts(connection: Connection, campaign: Campaign) -> None:
    token = campaign.share()
    campaign.claim(token, [1, 2])
    campaign.record(token, [credit(1, token)])
    assert campaign.record(token, [credit(1, token, "tx-second")]) == [Conflict(1, "tx-second", is_second=True)]
    assert halt_of(connection, campaign)[0] == "NOT_DEDUPLICATED"
    # Neither of the two ids can be another payment's.
    assert campaign.record(token, [credit(2, token, "tx-second")]) == [Conflict(2, "tx-second", is_second=False)]
    assert payments(connection, campaign) == {1: PAID, 2: IN_DOUBT}


def test_an_id_of_an_earlier_campaign_pays_nobody(connection: Connection, world: World) -> None:
    first = world.campaign(2).begun()
    first.paid(1, transaction="tx-")
    first.stopped()
    second = world.campaign(2).begun()
    token = second.share()
    second.claim(token, [2])
    assert second.record(token, [credit(2, token, "tx-1")]) == [Conflict(2, "tx-1", is_second=False)]
    assert payments(connection, second) == {2: IN_DOUBT}
    assert owner_of_transaction(connection, "tx-1") == (first.id, 1)
    second.assert_sums_hold()


def test_ids_are_compared_to_the_letter(connection: Connection, campaign: Campaign) -> None:
    token = campaign.share()
    campaign.claim(token, [1, 2, 3])
    assert campaign.record(token, [credit(1, token, "é"), credit(2, token, "e\u0301"), credit(3, token, "É")]) == []
    assert [state for state, *_ in payments(connection, campaign).values()] == ["SUCCESS"] * 3


def test_a_late_credit_with_the_id_of_another_leaves_a_failed_payment_as_it_is(
    connection: Connection, campaign: Campaign
) -> None:
    campaign.failed([1], "REJECTED")
    token = campaign.share()
    campaign.claim(token, [2])
    campaign.record(token, [credit(2, token)])
    assert campaign.record(token, [credit(1, token)]) == [Conflict(1, SAME, is_second=False)]
    assert payments(connection, campaign)[1][:3] == ("FAILED", "REJECTED", "NO")
    campaign.assert_sums_hold()


@pytest.fixture
def others(database_url: str) -> Iterator[Connection]:
    with connect(database_url, name="another share") as connection:
        yield connection


def test_two_shares_that_record_at_the_same_time_wait_for_each_other(
    connection: Connection, others: Connection, campaign: Campaign
) -> None:
    mine, theirs = campaign.share(), campaign.share()
    campaign.claim(mine, [1])
    campaign.claim(theirs, [2])
    refused: list[Conflict] = []

    def record_theirs() -> None:
        refused.extend(campaign.on(others).record(theirs, [credit(2, theirs)]))

    with connection.transaction():
        assert campaign.record(mine, [credit(1, mine)]) == []
        meanwhile = threading.Thread(target=record_theirs)
        meanwhile.start()
        meanwhile.join(0.3)
        assert meanwhile.is_alive(), "who has the id is not known before the other commits"
    meanwhile.join()
    assert refused == [Conflict(2, SAME, is_second=False)]
    assert halt_of(connection, campaign)[0] == "SAME_TRANSACTION"
    assert payments(connection, campaign) == {1: PAID, 2: IN_DOUBT}
    campaign.assert_sums_hold()


def test_a_record_that_is_rolled_back_leaves_the_id_to_the_other(connection: Connection, campaign: Campaign) -> None:
    token = campaign.share()
    campaign.claim(token, [1, 2])
    with connection.transaction(force_rollback=True):
        campaign.record(token, [credit(1, token)])
    assert campaign.record(token, [credit(2, token)]) == []
    assert payments(connection, campaign)[2] == PAID


def test_a_look_up_that_finds_the_id_of_another_payment_settles_nothing(
    connection: Connection, campaign: Campaign
) -> None:
    campaign.failed([1, 2], "UNKNOWN")
    campaign.paid([3], transaction="tx-")
    campaign.stopped()
    found = find_run_to_reconcile(connection, campaign.id)
    assert found is not None
    findings = [Finding(1, "tx-3"), Finding(2, "tx-own")]
    assert apply_findings(connection, found[0], [], findings) == {2}
    assert payments(connection, campaign)[1][:2] == ("FAILED", "UNKNOWN")
    assert payments(connection, campaign)[2] == ("SUCCESS", None, None, True, "tx-own")
    assert apply_findings(connection, found[0], [], [Finding(1, "tx-own")]) == set()
    campaign.assert_sums_hold()
