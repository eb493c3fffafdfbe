"""Every event that is written is as docs/events.md says, in the order of what happened, and travels there and back."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bulkpoint.campaigns.approve import approve_campaign
from bulkpoint.campaigns.create import Caps, NewCampaign, create_campaign
from bulkpoint.campaigns.runs import StartTerms, begin_run, end_run, publish_progress, stop_run
from bulkpoint.campaigns.tps import change_limit
from bulkpoint.campaigns.withdraw import withdraw_campaign
from bulkpoint.events.envelope import decode, encode, summary_of
from bulkpoint.events.schema import DATA, schema_text
from bulkpoint.rules.lifecycle import FailureKind, RunState
from bulkpoint.settings import load_settings
from bulkpoint.store.connect import Connection, connect
from bulkpoint.store.limit import ensure_limit
from bulkpoint.store.outbox import Event
from bulkpoint.store.progress import RetrySelection
from bulkpoint.store.relay import CursorLock, events_to_publish
from bulkpoint.store.run import Run, halt_run

TARGETS = 8


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with connect(database_url) as connection:
        ensure_limit(connection, tps=100, shares=1, actor="tester")
        yield connection


def create(connection: Connection, folder: Path, salt: str) -> int:
    path = folder / f"{salt}.csv"
    path.write_text("member_id,amount,reason\n" + "".join(f"{salt}{n},{100 + n},r\n" for n in range(TARGETS)))
    new = NewCampaign(f"캠페인 {salt}", not_before=datetime(2026, 1, 1, tzinfo=UTC))
    return create_campaign(connection, new, actor="kim", caps=Caps(), targets=path)


def begin(connection: Connection, campaign_id: int, kind: str, terms: StartTerms | None = None) -> Run:
    kinds = RetrySelection((FailureKind.UNAVAILABLE, FailureKind.UNKNOWN))
    return begin_run(
        connection,
        campaign_id,
        kind=kind,
        actor="kim",
        reason="because",
        shares=1,
        chosen=kinds,
        terms=terms or StartTerms(),
    )


def settle(connection: Connection, success: int, failed: int) -> None:
    """So many of the campaign's payments have ended."""
    connection.execute(
        "update payment set first_sent_at = now(), finished_at = now(),"
        " state = case when seq <= %(success)s then 'SUCCESS' else 'FAILED' end::payment_state,"
        " transaction_id = case when seq <= %(success)s then 't' end,"
        " failure_kind = case when seq > %(success)s then 'UNAVAILABLE' end::failure_kind where seq <= %(done)s",
        {"success": success, "done": success + failed},
    )
    connection.execute(
        "update campaign_counter set pending = %(total)s - %(done)s, success = %(success)s, failed = %(failed)s,"
        " failed_unavailable = %(failed)s",
        {"total": TARGETS, "done": success + failed, "success": success, "failed": failed},
    )


def told(connection: Connection, campaign_id: int) -> list[Event]:
    return events_to_publish(connection, CursorLock(campaign_id, 0, 0), most=1_000)


def test_every_event_of_a_campaigns_life_is_as_the_schema_says(connection: Connection, tmp_path: Path) -> None:
    waits = create(connection, tmp_path, "a")
    connection.execute("update campaign set creator_login = 'kim' where campaign_id = %s", (waits,))
    approve_campaign(connection, waits, actor="lee")
    withdraw_campaign(connection, waits, actor="kim", reason="wrong")
    campaign_id = create(connection, tmp_path, "b")
    run = begin(connection, campaign_id, "INITIAL", StartTerms(forced=True))
    settle(connection, 2, 0)
    publish_progress(connection, run)
    publish_progress(connection, run)  # told once
    stop_run(connection, campaign_id, actor="kim", reason="money asked")
    run = begin(connection, campaign_id, "RESUME")
    halt_run(connection, run.token, "UNAUTHORIZED", "token expired")
    end_run(connection, run, RunState.FAILED)
    run = begin(connection, campaign_id, "RESUME")
    settle(connection, 7, 1)
    end_run(connection, run, RunState.COMPLETED)
    begin(connection, campaign_id, "RETRY")
    change_limit(connection, load_settings({}), tps=7, actor="kim", reason="r", until=datetime(2099, 1, 1, tzinfo=UTC))

    events = [*told(connection, waits), *told(connection, campaign_id), *told(connection, 0)]
    assert [(event.type.removeprefix("campaign."), event.data.get("percent")) for event in events] == [
        ("created", None),
        ("approved", None),
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
        ("retried", None),
        ("tps.changed", None),
    ]
    assert {event.type for event in events} == DATA.keys(), "every type was written"
    for event in events:
        DATA[event.type].model_validate(event.data)
        to_the_ms = event.occurred_at.replace(microsecond=event.occurred_at.microsecond // 1_000 * 1_000)
        assert decode(encode(event)) == replace(event, occurred_at=to_the_ms)
    failed = summary_of(events[9])
    assert (failed.state, failed.reason, failed.open, failed.name) == (
        "FAILED",
        "UNAUTHORIZED: token expired",
        TARGETS - 2,
        "캠페인 b",
    )


def test_progress_is_not_told_of_a_run_that_ended(connection: Connection, tmp_path: Path) -> None:
    campaign_id = create(connection, tmp_path, "a")
    run = begin(connection, campaign_id, "INITIAL")
    settle(connection, 4, 0)
    stop_run(connection, campaign_id, actor="kim")
    publish_progress(connection, run)
    assert [event.type for event in told(connection, campaign_id)][-1] == "campaign.stopped"


@pytest.mark.parametrize("value", [b"", b"{", b"[]", b"\xff", b'{"event_id": "x"}'])
def test_what_is_no_event_of_ours_is_none(value: bytes) -> None:
    assert decode(value) is None


def test_the_documented_schema_is_the_codes() -> None:
    shown = re.search(
        r"## JSON Schema.*```json\n(.*?)\n```", (Path(__file__).parents[2] / "docs" / "events.md").read_text(), re.S
    )
    assert shown is not None
    assert shown[1] == schema_text(), "python -m bulkpoint.events.schema prints what belongs there"
