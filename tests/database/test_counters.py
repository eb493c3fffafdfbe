"""Counts by state and kind of failure, as the database keeps them."""

from enum import StrEnum

import psycopg
import pytest

from bulkpoint.rules.lifecycle import FailureKind, PaymentState, RunKind, RunState
from bulkpoint.store.campaign import get_campaign
from bulkpoint.store.connect import Connection
from bulkpoint.store.payment import Change
from bulkpoint.views.campaign import CampaignView
from tests.world.campaigns import World
from tests.world.counters import assert_sums_hold


@pytest.mark.parametrize(
    ("type_name", "python"),
    [("run_state", RunState), ("run_kind", RunKind), ("payment_state", PaymentState), ("failure_kind", FailureKind)],
)
def test_states_and_kinds_are_those_of_the_database(
    connection: Connection, type_name: str, python: type[StrEnum]
) -> None:
    of_database = connection.execute(f"select unnest(enum_range(null::{type_name}))::text".encode()).fetchall()
    assert [value for (value,) in of_database] == list(python)


def test_a_new_kind_of_failure_is_counted_without_a_change_of_sql(connection: Connection, world: World) -> None:
    connection.execute("alter type failure_kind add value 'OF_A_TEST' before 'UNKNOWN'")
    campaign = world.campaign([("a", 10, "r"), ("b", 20, "r"), ("c", 40, "r")]).begun()
    campaign.failed(2, "OF_A_TEST").ended("COMPLETED")
    counts = campaign.counts()
    assert (counts.failed, counts.failed_amount) == (2, 30)
    *others, unknown = FailureKind
    assert list(counts.failure_kinds.items()) == [*((kind, 0) for kind in others), ("OF_A_TEST", 2), (unknown, 0)]
    shown = CampaignView.of(get_campaign(connection, campaign.id), counts)
    assert shown.failure_kinds["OF_A_TEST"] == 2, "a version that does not know the kind yet still shows the campaign"
    assert_sums_hold(connection)


def test_payments_that_change_places_move_their_points(connection: Connection, world: World) -> None:
    """One is FAILED and another is no longer: as many as before, with other points."""
    campaign = world.campaign([("a", 10, "r"), ("b", 20, "r")]).begun()
    token = campaign.share()
    campaign.claim(token, [1, 2])
    failed = Change(2, "FAILED", token, 1, False, failure_kind="REJECTED")
    campaign.record(token, [failed])
    late = Change(2, "SUCCESS", token, 1, False, transaction_id="t")
    campaign.record(token, [failed._replace(seq=1), late])
    counts = campaign.counts()
    assert (counts.failed, counts.failed_amount, counts.success_amount) == (1, 10, 20)
    assert_sums_hold(connection)


@pytest.mark.parametrize(
    "row",
    [
        b"'SUCCESS', 'REJECTED'",
        b"'FAILED', null",
        b"'PENDING', null",  # the freeze has counted these
    ],
)
def test_a_counter_that_could_be_counted_twice_is_refused(connection: Connection, world: World, row: bytes) -> None:
    world.campaign().begun()
    with pytest.raises(psycopg.IntegrityError):
        connection.execute(
            b"insert into campaign_counter (campaign_id, share, state, failure_kind, count, amount)"
            b" values (1, -1, " + row + b", 1, 1)"
        )
