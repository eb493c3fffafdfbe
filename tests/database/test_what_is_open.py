"""What people are told of a campaign in figures: what is open, how long it takes, which id it has."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bulkpoint.campaigns.create import NewCampaign, create_campaign
from bulkpoint.campaigns.run_request import RunRequest
from bulkpoint.campaigns.start import plan_start
from bulkpoint.campaigns.watch import time_left
from bulkpoint.rules.lifecycle import RunKind
from bulkpoint.rules.readiness import NO_LIMITS
from bulkpoint.settings import load_settings
from bulkpoint.store.audit import list_history
from bulkpoint.store.campaign import get_campaign, get_counts
from bulkpoint.store.connect import Connection
from bulkpoint.store.progress import sample_progress
from bulkpoint.views.audit_words import story_of
from bulkpoint.views.campaign import campaign_detail
from bulkpoint.views.view import Screen
from tests.world.campaigns import Campaign, World
from tests.world.refusals import refused


def request_of(campaign: Campaign) -> RunRequest:
    return RunRequest(campaign=campaign.id, actor="kim")


def story(connection: Connection, campaign_id: int) -> list[str]:
    campaign = get_campaign(connection, campaign_id)
    events = list_history(connection, campaign_id)
    return [entry.sentence for entry in story_of(campaign, events, "UTC")]


def test_a_resume_says_what_was_open_and_not_the_whole_campaign(world: World) -> None:
    campaign = world.campaign(300, amount=10).begun().paid(35).failed(2).stopped()
    again = campaign.begun(kind=RunKind.RESUME)
    assert (again.run.open_count, again.run.target_count) == (263, 300)
    [resumed] = [line for line in story(world.connection, campaign.id) if "resumed it, run 2" in line]
    assert "goes on with 263 payments, 2,630 points" in resumed
    assert "of 300 payments, 3,000 points" in resumed


def test_a_retry_and_a_first_run_say_what_they_take(world: World) -> None:
    campaign = world.campaign(5).begun()
    assert campaign.run.open_count == 5
    campaign.failed(2, kind="UNAVAILABLE").ended("COMPLETED")
    assert campaign.begun(kind=RunKind.RETRY).run.open_count == 2


def test_a_withdrawn_campaign_has_nothing_pending(world: World) -> None:
    campaign = world.campaign(100)
    shown = get_counts(world.connection, get_campaign(world.connection, campaign.id))
    assert (shown.pending, shown.pending_amount) == (100, 100)
    campaign.withdrawn()
    found = get_campaign(world.connection, campaign.id)
    counts = get_counts(world.connection, found)
    assert (counts.pending, counts.pending_amount) == (0, 0)
    detail = campaign_detail(found, counts, [])
    assert detail.as_object()["counts"] == {"PENDING": 0, "PROCESSING": 0, "SUCCESS": 0, "FAILED": 0}
    assert detail.target_count == 100, "what it would have paid is still seen"


def write_samples(world: World, run_id: int, done: list[int], *, every_s: float = 5, tps: int = 100) -> None:
    """Samples of a run, the last one now."""
    for number, ended in enumerate(reversed(done)):
        world.connection.execute(
            "insert into campaign_progress (run_id, sampled_at, pending, processing, success, failed, tps)"
            " values (%s, clock_timestamp() - %s * interval '1 s', 0, 0, %s, 0, %s)",
            (run_id, every_s * number, ended, tps),
        )


def test_the_end_of_a_run_is_told_by_its_last_minute_also_after_a_slow_start(world: World) -> None:
    campaign = world.campaign(3_000).begun().paid(1)
    other = world.campaign(2)
    found = get_campaign(world.connection, campaign.id)
    assert found.run_id is not None
    assert time_left(world.connection, found, still_open=1_200_000) is None
    write_samples(world, found.run_id, [0] * 8 + [100 * number for number in range(10)])
    left_s = time_left(world.connection, found, still_open=1_200_000)
    assert left_s == pytest.approx(60_000, rel=0.01)
    shown = campaign_detail(found, get_counts(world.connection, found), [], left_s=left_s)
    [line] = [line for line in shown.as_text(Screen("UTC", 80)) if line.startswith("time left")]
    assert re.fullmatch("time left   16 h (39|40) min, at the pace of the last minute", line)
    with refused("ends in about 2 min (29|30) s"):
        plan_start(world.connection, load_settings(), request_of(other))


def test_what_slowed_the_run_before_is_not_said_of_the_next_one(world: World) -> None:
    campaign = world.campaign(10).begun()
    world.connection.execute(
        "update money_share set run_id = %s, holder = gen_random_uuid(), epoch = epoch + 1,"
        " leased_until = clock_timestamp() + interval '1 min', pressure = '{\"rate\": 7, \"open_since\": null}'",
        (campaign.run.token.run_id,),
    )
    assert sample_progress(world.connection, campaign.id).slowed_to == 14
    campaign.stopped()
    campaign.begun(kind=RunKind.RESUME)
    assert sample_progress(world.connection, campaign.id).slowed_to is None
    assert sample_progress(world.connection, campaign.id).done_before == 0


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    path = tmp_path / "m.csv"
    path.write_text("member_id,amount,reason\nm1,5,r\nm2,6,r\n")
    return path


def test_a_create_that_is_refused_takes_no_id(connection: Connection, listed: Path, tmp_path: Path) -> None:
    def create(targets: Path, **given: object) -> int:
        new = NewCampaign("c", **given)  # type: ignore[arg-type]
        return create_campaign(connection, new, actor="kim", limits=NO_LIMITS, targets=targets)

    assert create(listed) == 1
    with refused("campaign 1"):
        create(listed)
    with refused("expect"):
        create(listed, expected_count=3)
    other_order = tmp_path / "other.csv"
    other_order.write_text("member_id,amount,reason\nm2,6,r\nm1,5,r\n")
    with refused("campaign 1"):
        create(other_order)
    same_totals = tmp_path / "same.csv"
    same_totals.write_text("member_id,amount,reason\nx1,6,r\nx2,5,r\n")
    assert create(same_totals) == 2
    assert create(listed, same_as=1, reason="a second gift") == 3


def test_a_time_in_the_past_starts_at_once(world: World) -> None:
    campaign = world.campaign(2, not_before=datetime.now(UTC) - timedelta(days=1))
    assert plan_start(world.connection, load_settings(), request_of(campaign)).campaign.campaign_id == campaign.id
