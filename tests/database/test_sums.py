"""Sums by reason and by day, and of a month over all campaigns: what plain Python makes of the payments."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from bulkpoint.store.connect import Connection
from bulkpoint.store.snapshot import one_snapshot
from bulkpoint.store.sums import Sums
from bulkpoint.views.sums import CampaignSums, ReportView, read_sums
from bulkpoint.views.view import Screen
from tests.world.campaigns import Campaign, World
from tests.world.refusals import refused

SEOUL = ZoneInfo("Asia/Seoul")
# Midnight in Seoul, which is 15:00 in UTC.
MIDNIGHT = datetime(2026, 10, 31, 15, tzinfo=UTC)


def plain(rows: Iterable[tuple[str, str | None, int]]) -> Sums:
    """State, failure kind and points of payments, added up one by one."""
    sums = Sums()
    for state, kind, amount in rows:
        match state, kind:
            case "SUCCESS", _:
                sums += Sums(success=1, success_amount=amount)
            case "FAILED", "UNKNOWN":
                sums += Sums(unknown=1, unknown_amount=amount)
            case "FAILED", _:
                sums += Sums(failed=1, failed_amount=amount)
            case _:
                sums += Sums(open=1, open_amount=amount)
    return sums


@pytest.fixture
def campaign(world: World) -> Campaign:
    """Twelve payments for three reasons, that ended around the midnight between two months; two are open."""
    rows = [(f"m{n:02}", 10**n, ("설날", "a\x1b[2J", "=1")[n % 3]) for n in range(12)]
    campaign = world.campaign(rows).begun().paid([1, 2, 3, 4, 5]).failed([6, 7]).failed([8, 9, 10], kind="UNKNOWN")
    for seq in range(1, 11):
        campaign.times([seq], finished_at=MIDNIGHT + timedelta(hours=6 * (seq - 5)))
    return campaign


def sums_of(connection: Connection, campaign: Campaign, *, reasons_max: int = 10) -> CampaignSums:
    with one_snapshot(connection):
        return read_sums(connection, campaign.id, timezone="Asia/Seoul", reasons_max=reasons_max)


def payments_of(campaign: Campaign) -> list[tuple[str, str | None, int, str, datetime | None]]:
    return campaign.world.connection.execute(
        "select state::text, failure_kind::text, amount, reason, finished_at from payment where campaign_id = %s",
        (campaign.id,),
    ).fetchall()


def test_sums_are_those_of_the_payments_by_reason_and_by_day(connection: Connection, campaign: Campaign) -> None:
    sums, rows = sums_of(connection, campaign), payments_of(campaign)
    assert sums.total == plain(row[:3] for row in rows)
    assert [reason for reason, _ in sums.reasons] == ["=1", "a\x1b[2J", "설날"], "the most points first"
    for reason, found in sums.reasons:
        assert vars(found) == {"reason": reason} | vars(plain(row[:3] for row in rows if row[3] == reason))
    for zone, days in ((SEOUL, sums.days), (UTC, sums.utc_days)):
        ended = {row[4].astimezone(zone).date() for row in rows if row[4] is not None}
        assert [day for day, _ in days] == sorted(ended)
        for day, found in days:
            of_day = [row[:3] for row in rows if row[4] is not None and row[4].astimezone(zone).date() == day]
            assert {name: vars(found)[name] for name in vars(Sums())} == vars(plain(of_day))
    assert [day for day, _ in sums.days] != [day for day, _ in sums.utc_days]
    assert {(each.kind, each.count) for each in sums.kinds} == {("REJECTED", 2), ("UNKNOWN", 3)}


def test_reasons_beyond_those_that_are_shown_are_one_line_and_nothing_is_lost(
    connection: Connection, campaign: Campaign
) -> None:
    sums = sums_of(connection, campaign, reasons_max=1)
    assert sums.other_reasons is not None
    assert sums.reasons[0][1] + sums.other_reasons == sums.total
    text = "\n".join(ReportView.of(sums).as_text(Screen("Asia/Seoul")))
    assert "(others)" in text
    shown = "\n".join(ReportView.of(sums_of(connection, campaign)).as_text(Screen("Asia/Seoul")))
    assert "a\\x1b[2J" in shown
    assert "\x1b" not in shown


def test_a_campaign_without_a_payment_that_ended_has_no_day(connection: Connection, world: World) -> None:
    waiting = world.campaign()
    with refused("has no payments before its start"):
        sums_of(connection, waiting)
    sums = sums_of(connection, waiting.begun())
    assert (sums.days, sums.utc_days, sums.total.open) == ((), (), 3)
