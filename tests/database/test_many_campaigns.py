"""Campaigns that ended long ago cost nothing: what is asked often reads as many rows for twenty of them as for two."""

import json
from typing import Any

import pytest

from bulkpoint.events.message import NOTIFIED_TYPES
from bulkpoint.rules.lifecycle import CampaignState
from bulkpoint.store.campaign import list_campaigns
from bulkpoint.store.connect import Connection
from bulkpoint.store.sql import sql
from tests.world.campaigns import World

CHANNEL = "C1"
WEEK_S, HOUR_S, MINUTE_S = 604_800.0, 3_600.0, 60.0

# Each with what it is asked with. A relay and a notifier ask every second, `check` and a scheduler every minute.
ASKED_OFTEN: dict[str, dict[str, Any]] = {
    "list_queue": {},
    "list_waiting_campaigns": {},
    "list_unaccepted_findings": {},
    "list_ended_troubles": {},
    "list_starts_not_taken": {"start_s_max": MINUTE_S},
    "count_unpublished": {"delivery_s_max": MINUTE_S},
    "count_unsent_messages": {
        "types": list(NOTIFIED_TYPES), "channel": CHANNEL, "age_s_max": WEEK_S, "delivery_s_max": MINUTE_S
    },
    "unsent_notifications": {"types": list(NOTIFIED_TYPES), "channel": CHANNEL, "age_s": WEEK_S, "most": 100},
    "add_missing_cursors": {},
    "take_cursor": {},
    "outbox_status": {},
    "find_alerts": {"hold_s_max": MINUTE_S, "standstill_s_max": MINUTE_S},
    "get_campaigns": {"campaign_id": None, "states": None, "latest": 2},
}  # fmt: skip


def end_long_ago(world: World, campaigns: int) -> None:
    """So many COMPLETED campaigns, whose events were published and notified long ago."""
    for _ in range(campaigns):
        world.campaign(2).begun().ended("COMPLETED")
    for statement in (
        "update outbox_event set occurred_at = %s, published_at = clock_timestamp()",
        "insert into notification (event_id, channel, sent_at) select event_id, 'C1', %s from outbox_event"
        " on conflict do nothing",
    ):
        world.connection.execute(statement.encode(), (world.ago(2 * WEEK_S),))
    world.connection.execute(
        "insert into outbox_cursor (campaign_id, published_no) select campaign_id, last_event_no from campaign"
        " on conflict do nothing"
    )


def rows_read(connection: Connection, name: str) -> int:
    """By all scans of a statement together; small tables, too, are read by their indexes."""
    with connection.transaction():
        for way in ("seqscan", "bitmapscan", "hashjoin", "mergejoin"):
            connection.execute(f"set local enable_{way} = off".encode())
        explain = b"explain (analyze, format json) " + sql(name)
        (plan,) = connection.execute(explain, ASKED_OFTEN[name]).fetchall()[0]
    return _rows(plan[0]["Plan"] if isinstance(plan, list) else json.loads(plan)[0]["Plan"])


def _rows(node: dict[str, Any]) -> int:
    below = sum(_rows(each) for each in node.get("Plans", []))
    if "Scan" not in node["Node Type"] or "Relation Name" not in node:
        return below
    dropped = node.get("Rows Removed by Filter", 0)
    return below + round(float((node["Actual Rows"] + dropped) * node["Actual Loops"]))


@pytest.mark.parametrize("name", ASKED_OFTEN)
def test_it_reads_as_many_rows_for_twenty_ended_campaigns_as_for_two(
    connection: Connection, world: World, name: str
) -> None:
    waiting = world.campaign(3, name="waits")
    end_long_ago(world, 2)
    few = rows_read(connection, name)
    end_long_ago(world, 18)
    connection.execute("vacuum analyze")
    assert rows_read(connection, name) <= few
    assert waiting.counts().pending == 3


def test_the_latest_of_some_states_are_found_behind_younger_ones(connection: Connection, world: World) -> None:
    waiting = [world.campaign(1).id, world.campaign(1).id]
    ended = [world.campaign(1).begun().ended("COMPLETED").id for _ in range(3)]
    assert [each.campaign_id for each in list_campaigns(connection, latest=2)] == [ended[2], ended[1]]
    assert [each.campaign_id for each in list_campaigns(connection, [CampaignState.WAITING], 5)] == waiting[::-1]
    assert [each.campaign_id for each in list_campaigns(connection)] == [*waiting, *ended]
