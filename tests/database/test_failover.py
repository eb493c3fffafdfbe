"""A failover to a standby that lags: commits of the last moments are gone, and what is left must still be true.

The tables go back to what they were a moment ago, as a promoted standby has them. The money API forgets nothing.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import pytest

from bulkpoint.store.connect import Connection
from bulkpoint.store.payment import Attempt, Change
from bulkpoint.store.run import renew_driver
from bulkpoint.store.share import ShareToken, renew_share
from tests.world.campaigns import Campaign, World

TABLES = ("payment", "payment_attempt", "campaign_counter", "call_tally", "call_total", "money_share", "campaign_run")


@pytest.fixture
def campaign(world: World) -> Campaign:
    return world.campaign(4, amount=10).begun()


@contextmanager
def lost(connection: Connection) -> Iterator[None]:
    """What the block commits is lost when it ends."""
    for table in TABLES:
        connection.execute(f"create temporary table kept_{table} as table {table}".encode())
    yield
    with connection.transaction():
        connection.execute("set local session_replication_role = replica")  # a standby runs no triggers
        for table in TABLES:
            columns = ", ".join(
                name
                for (name,) in connection.execute(
                    "select attname from pg_attribute where attrelid = %s::regclass and attnum > 0"
                    " and not attisdropped and attgenerated = ''",
                    (table,),
                )
            )
            connection.execute(f"delete from {table}".encode())
            connection.execute(
                f"insert into {table} ({columns}) overriding system value select {columns} from kept_{table}".encode()
            )
            connection.execute(f"drop table kept_{table}".encode())


def attempt(seq: int) -> Attempt:
    return Attempt(str(uuid4()), "POST", seq, 1_700_000_000.0, 1_700_000_000.1, 201, "CREDITED", None, f"t-{seq}")


def success(seq: int, token: ShareToken) -> Change:
    return Change(seq, "SUCCESS", token, 1, False, transaction_id=f"t-{seq}")


def perhaps_credited(connection: Connection) -> list[int]:
    return [seq for (seq,) in connection.execute("select seq from payment where maybe_credited order by seq")]


def test_a_lost_claim_makes_its_payment_open_again_and_both_calls_have_one_key(
    connection: Connection, campaign: Campaign
) -> None:
    """Two workers call with the same key; the money API gives both the transaction of the first."""
    before = campaign.share()
    with lost(connection):
        campaign.claim(before, [1, 2])
    assert set(campaign.states().values()) == {"PENDING"}
    now = campaign.share()
    assert [claim.seq for claim in campaign.claim(now, [1, 2])] == [1, 2]
    namespace = connection.execute("select key_namespace from campaign").fetchone()
    assert namespace == (campaign.run.key_namespace,), "keys are made of what was committed long before"
    assert campaign.record(before, [success(1, before)], [attempt(1)]) == [], "the answer to the lost claim is kept"
    assert campaign.record(now, [success(1, now), success(2, now)], [attempt(1), attempt(2)]) == []
    assert campaign.states() == {1: "SUCCESS", 2: "SUCCESS", 3: "PENDING", 4: "PENDING"}
    campaign.assert_sums_hold()


def test_a_lost_result_makes_its_payment_an_orphan_that_is_asked_for_again_as_perhaps_credited(
    connection: Connection, campaign: Campaign
) -> None:
    before = campaign.share()
    campaign.claim(before, [1, 2])
    with lost(connection):
        campaign.record(before, [success(1, before)], [attempt(1)])
        assert campaign.states()[1] == "SUCCESS"
    assert campaign.states()[1] == "PROCESSING"
    campaign.lose(before)
    now = campaign.share()
    assert [(claim.seq, claim.maybe_credited) for claim in campaign.claim(now, [1, 2])] == [(1, True), (2, True)]
    assert perhaps_credited(connection) == [1, 2], "it can end as SUCCESS or UNKNOWN, never as REJECTED"
    assert campaign.record(now, [success(1, now)], [attempt(1)]) == [], "the money API repeats its first answer"
    campaign.assert_sums_hold()


def test_a_result_whose_claim_and_record_were_both_lost_is_paid_again_under_the_same_key(
    connection: Connection, campaign: Campaign
) -> None:
    before = campaign.share()
    with lost(connection):
        campaign.claim(before, [1])
        campaign.record(before, [success(1, before)], [attempt(1)])
    assert campaign.states()[1] == "PENDING"
    assert perhaps_credited(connection) == [], (
        "nothing is left that says so: only the key keeps the member from two credits"
    )
    now = campaign.share()
    campaign.claim(now, [1])
    assert campaign.record(now, [success(1, now)], [attempt(1)]) == []
    assert campaign.states()[1] == "SUCCESS"
    campaign.assert_sums_hold()


def test_a_lease_that_was_lost_with_the_old_primary_is_never_renewed_on_the_new_one(
    connection: Connection, campaign: Campaign
) -> None:
    """Though the next holder of the share gets the same epoch: its holder is another one."""
    with lost(connection):
        before = campaign.share()
        assert renew_share(connection, campaign.run.token, before, lease_s=9.0).held
    assert not renew_share(connection, campaign.run.token, before, lease_s=9.0).held
    now = campaign.share()
    assert (now.share, now.epoch) == (before.share, before.epoch)
    assert not renew_share(connection, campaign.run.token, before, lease_s=9.0).held
    assert campaign.claim(before, [1]) == []
    assert renew_share(connection, campaign.run.token, now, lease_s=9.0).held


def test_a_driver_whose_run_was_lost_has_lost_it(connection: Connection, world: World) -> None:
    waiting = world.campaign(2)
    with lost(connection):
        run = waiting.begun().run
        assert renew_driver(connection, run, after_absence=True) is not None
    assert connection.execute("select count(*) from campaign_run").fetchone() == (0,)
    assert renew_driver(connection, run, after_absence=True) is None
