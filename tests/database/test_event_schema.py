"""Every event that is written is as docs/events.md says, in the order of what happened, and travels there and back."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest

from bulkpoint.campaigns.correction import correct_end
from bulkpoint.campaigns.create import NewCampaign, create_campaign
from bulkpoint.campaigns.runs import publish_progress
from bulkpoint.campaigns.tps import change_limit
from bulkpoint.events.envelope import decode, encode, summary_of
from bulkpoint.events.schema import DATA, schema_text
from bulkpoint.rules.readiness import NO_LIMITS
from bulkpoint.settings import load_settings
from bulkpoint.store.connect import Connection
from bulkpoint.store.outbox import Event
from bulkpoint.store.payment import Change
from bulkpoint.store.relay import CursorLock, events_to_publish
from bulkpoint.store.share import ShareToken
from tests.world.campaigns import Campaign, World

TARGETS = 8


def create(world: World, folder: Path, salt: str) -> Campaign:
    path = folder / f"{salt}.csv"
    path.write_text("member_id,amount,reason\n" + "".join(f"{salt}{n},{100 + n},r\n" for n in range(TARGETS)))
    new = NewCampaign(f"캠페인 {salt}", not_before=datetime(2026, 1, 1, tzinfo=UTC))
    return Campaign(world, create_campaign(world.connection, new, actor="kim", limits=NO_LIMITS, targets=path))


def told(connection: Connection, campaign_id: int) -> list[Event]:
    return events_to_publish(connection, CursorLock(campaign_id, 0, 0), most=1_000)


def test_every_event_of_a_campaigns_life_is_as_the_schema_says(
    connection: Connection, world: World, tmp_path: Path
) -> None:
    waits = (
        create(world, tmp_path, "a")
        .created_by("kim")
        .approved(actor="lee")
        .rejected(actor="lee")
        .withdrawn(actor="kim", reason="wrong")
    )
    campaign = create(world, tmp_path, "b").begun(reason="because", force=True).paid(2)
    publish_progress(connection, campaign.run)
    publish_progress(connection, campaign.run)  # told once
    campaign.stopped(reason="money asked").begun("RESUME", reason="because")
    campaign.halted("UNAUTHORIZED", "token expired").ended("FAILED").begun("RESUME", reason="because")
    campaign.paid(4).failed(2, "UNAVAILABLE").ended("COMPLETED")
    late = ShareToken(0, 1, uuid4())  # of a worker that was frozen meanwhile
    campaign.record(late, [Change(TARGETS, "SUCCESS", late, tries=1, maybe_credited=False, transaction_id="t")])
    assert correct_end(connection, campaign.id, campaign.run.token.run_id)
    campaign.begun("RETRY", reason="because")
    change_limit(connection, load_settings({}), tps=7, actor="kim", reason="r", until=datetime(2099, 1, 1, tzinfo=UTC))

    events = [*told(connection, waits.id), *told(connection, campaign.id), *told(connection, 0)]
    assert [(event.type.removeprefix("campaign."), event.data.get("percent")) for event in events] == [
        ("created", None),
        ("approved", None),
        ("rejected", None),
        ("withdrawn", None),
        ("created", None),
        ("forced", None),
        ("started", None),
        ("progressed", 25),
        ("stopped", None),
        ("resumed", None),
        ("failed", None),
        ("resumed", None),
        ("progressed", 50),
        ("progressed", 75),
        ("completed", None),
        ("corrected", None),
        ("retried", None),
        ("tps.changed", None),
    ]
    assert {event.type for event in events} == DATA.keys(), "every type was written"
    for event in events:
        DATA[event.type].model_validate(event.data)
        to_the_ms = event.occurred_at.replace(microsecond=event.occurred_at.microsecond // 1_000 * 1_000)
        assert decode(encode(event)) == replace(event, occurred_at=to_the_ms)
    failed = summary_of(events[10])
    assert (failed.state, failed.reason, failed.open, failed.name) == (
        "FAILED",
        "UNAUTHORIZED: token expired",
        TARGETS - 2,
        "캠페인 b",
    )


def test_progress_is_not_told_of_a_run_that_ended(connection: Connection, world: World, tmp_path: Path) -> None:
    campaign = create(world, tmp_path, "a").begun().paid(4).stopped()
    publish_progress(connection, campaign.run)
    assert [event.type for event in told(connection, campaign.id)][-1] == "campaign.stopped"


def test_the_end_of_a_run_names_the_commonest_codes_of_what_failed_and_no_words_of_others(world: World) -> None:
    campaign = world.campaign(targets=9).begun().failed([1, 2], code="LIMIT_EXCEEDED").failed([3], code="BLOCKED")
    campaign.failed([4], code="member m4 is unknown").failed([5], "UNKNOWN", code="TIMEOUT").ended("COMPLETED")
    row = world.connection.execute("select data from outbox_event where type = 'campaign.completed'").fetchone()
    assert row is not None
    assert row[0]["failure_codes"] == {"REJECTED": ["LIMIT_EXCEEDED", "BLOCKED"], "UNKNOWN": ["TIMEOUT"]}


@pytest.mark.parametrize("value", [b"", b"{", b"[]", b"\xff", b'{"event_id": "x"}'])
def test_what_is_no_event_of_ours_is_none(value: bytes) -> None:
    assert decode(value) is None


def test_the_documented_schema_is_the_codes() -> None:
    shown = re.search(
        r"## JSON Schema.*```json\n(.*?)\n```", (Path(__file__).parents[2] / "docs" / "events.md").read_text(), re.S
    )
    assert shown is not None
    assert shown[1] == schema_text(), "python -m bulkpoint.events.schema prints what belongs there"
