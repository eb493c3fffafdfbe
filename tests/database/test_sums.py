"""Sums by reason and by day, and of a month over all campaigns: what plain Python makes of the payments."""

import csv
import io
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pyarrow import parquet
from python_calamine import CalamineWorkbook

from bulkpoint.errors import RefusedError, UsageError
from bulkpoint.rules.days import Days
from bulkpoint.store.audit import write_audit
from bulkpoint.store.connect import Connection
from bulkpoint.store.snapshot import one_snapshot
from bulkpoint.store.sums import DaySums, Sums, sum_days
from bulkpoint.views import month as month_view
from bulkpoint.views.month import Month, MonthView, Paid, read_month
from bulkpoint.views.month_files import COLUMNS, write_month
from bulkpoint.views.sums import CampaignSums, ReportView, read_sums
from bulkpoint.views.view import Screen
from tests.world.campaigns import Campaign, World
from tests.world.refusals import refused

SEOUL = ZoneInfo("Asia/Seoul")
# Midnight in Seoul, which is 15:00 in UTC.
MIDNIGHT = datetime(2026, 1, 31, 15, tzinfo=UTC)


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


def payments_of(campaign: Campaign) -> list[tuple[Any, ...]]:
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


# A month


def of_month(connection: Connection, month: str, *, timezone: str = "Asia/Seoul", reasons_max: int = 1_000) -> Month:
    return read_month(connection, month, timezone=timezone, reasons_max=reasons_max)


def was_run(campaign: Campaign, begin: datetime, end: datetime) -> Campaign:
    """When its latest run began and ended, instead of now."""
    campaign.world.connection.execute(
        "update campaign_run set started_at = %s, finished_at = %s where run_id = %s",
        (begin, end, campaign.run.token.run_id),
    )
    return campaign


@pytest.fixture
def months(world: World, campaign: Campaign) -> list[Campaign]:
    """Five campaigns: around the midnight that begins February, before, within, after it, and one that waits."""
    was_run(campaign.stopped(), MIDNIGHT - timedelta(days=1), MIDNIGHT + timedelta(days=2))
    found = [campaign]
    for name, at in (("before", -timedelta(days=9)), ("within", timedelta(days=9)), ("after", timedelta(days=30))):
        rows = [(f"{name}{n}", 2**39 + n, ("설날", name)[n % 2]) for n in range(4)]
        paid = world.campaign(rows, name=f"={name}").begun().paid(3).failed(1, kind="UNKNOWN").ended("COMPLETED")
        paid.times(range(1, 5), finished_at=MIDNIGHT + at)
        found.append(was_run(paid, MIDNIGHT + at, MIDNIGHT + at))
    return [*found, world.campaign(7)]


def test_a_month_is_what_ended_between_its_midnights(connection: Connection, months: list[Campaign]) -> None:
    month = of_month(connection, "2026-02")
    ended = [
        (each.id, row)
        for each in months[:-1]
        for row in payments_of(each)
        if row[4] is not None and (row[4].astimezone(SEOUL).year, row[4].astimezone(SEOUL).month) == (2026, 2)
    ]
    around, before, within, after, _ = months
    assert [campaign.campaign_id for campaign, _ in month.campaigns] == [around.id, within.id]
    for campaign, sums in month.campaigns:
        still = [
            row[:3] for each in months if each.id == campaign.campaign_id for row in payments_of(each) if not row[4]
        ]
        assert sums == plain([row[:3] for of, row in ended if of == campaign.campaign_id]) + plain(still)
    success = [row for _, row in ended if row[0] == "SUCCESS"]
    assert dict(month.reasons) == {
        reason: Paid(len(of), sum(row[2] for row in of))
        for reason in {row[3] for row in success}
        if (of := [row for row in success if row[3] == reason])
    }
    assert {day: vars(sums)["success_amount"] for day, sums in month.days if sums.success} == {
        day: sum(row[2] for row in success if row[4].astimezone(SEOUL).date() == day)
        for day in {row[4].astimezone(SEOUL).date() for row in success}
    }
    assert month.total.success_amount == sum(row[2] for row in success)
    assert {before.id, after.id}.isdisjoint(campaign.campaign_id for campaign, _ in month.campaigns)


def test_each_payment_is_in_one_month_and_none_is_lost(connection: Connection, months: list[Campaign]) -> None:
    paid = [of_month(connection, month).total.success_amount for month in ("2026-01", "2026-02")]
    utc = [of_month(connection, month, timezone="UTC").total.success_amount for month in ("2026-01", "2026-02")]
    every = sum(row[2] for each in months[:-1] for row in payments_of(each) if row[0] == "SUCCESS")
    after = sum(row[2] for row in payments_of(months[3]) if row[0] == "SUCCESS")
    assert sum(paid) == every - after
    assert paid != utc, "the payments of nine hours are in another month by UTC"
    with refused("2999-12 has not begun", RefusedError):
        of_month(connection, "2999-12")


def test_a_payment_that_was_looked_up_after_its_run_belongs_to_the_month_of_the_look_up(
    connection: Connection, months: list[Campaign]
) -> None:
    [_, before, *_] = months
    before.times([1], finished_at=MIDNIGHT + timedelta(days=3))
    assert before.id not in [campaign.campaign_id for campaign, _ in of_month(connection, "2026-02").campaigns]
    write_audit(connection, action="reconcile", campaign_id=before.id, run_no=None, actor="kim", detail={})
    connection.execute("alter table audit_event disable trigger append_only")
    connection.execute("update audit_event set occurred_at = %s where action = 'reconcile'", (MIDNIGHT,))
    [found] = [
        sums for campaign, sums in of_month(connection, "2026-02").campaigns if campaign.campaign_id == before.id
    ]
    assert found.success == 1


def test_a_month_locks_few_campaigns_at_a_time_however_many_there_are(
    connection: Connection, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(7):
        was_run(world.campaign(1).begun().ended("COMPLETED"), MIDNIGHT, MIDNIGHT).times([1], finished_at=MIDNIGHT)
    monkeypatch.setattr(month_view, "CAMPAIGNS_A_SNAPSHOT", 2)
    locked: list[int] = []

    def counting(connection: Connection, campaign_id: int, days: Days) -> list[DaySums]:
        found = sum_days(connection, campaign_id, days)
        locks = (
            "select count(*) from pg_locks l join pg_class c on c.oid = l.relation where c.relname ~ '^payment_[0-9]+$'"
        )
        locked.extend(connection.execute(locks.encode()).fetchone() or ())
        return found

    monkeypatch.setattr(month_view, "sum_days", counting)
    assert len(of_month(connection, "2026-02").campaigns) == 7
    assert max(locked) == 2


def test_reasons_that_are_too_many_are_counted_together_and_nothing_is_lost(
    connection: Connection, months: list[Campaign], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(month_view, "REASONS_COUNTED_MAX", 2)
    month = of_month(connection, "2026-02", reasons_max=1)
    assert month.other_reasons is not None
    assert len(month.reasons) == 1
    assert sum((paid for _, paid in month.reasons), month.other_reasons) == Paid(
        month.total.success, month.total.success_amount
    )


def test_each_format_of_a_month_says_the_same_and_names_no_member(
    connection: Connection, months: list[Campaign]
) -> None:
    month = of_month(connection, "2026-02")
    files = {}
    for kind in ("csv", "parquet", "xlsx", "html"):
        stream = io.BytesIO()
        write_month(month, stream, kind, language="ko", actor="김정산")
        files[kind] = stream.getvalue()
    total = month.total.success_amount
    rows = list(csv.DictReader(io.StringIO(files["csv"].decode("utf-8-sig"), newline="")))
    assert sum(int(row["success_amount"]) for row in rows) == total
    assert rows[1]["name"] == "'=within"
    table = parquet.read_table(io.BytesIO(files["parquet"]))
    assert sum(table["success_amount"].to_pylist()) == total
    assert table["name"].to_pylist()[1] == "=within"
    book = CalamineWorkbook.from_filelike(io.BytesIO(files["xlsx"]))
    assert book.sheet_names == ["합계", "캠페인"]
    assert ["성공", float(month.total.success), float(total)] in [
        row[:3] for row in book.get_sheet_by_index(0).to_python()
    ]
    cells: list[list[Any]] = book.get_sheet_by_index(1).to_python()
    _, names, *lines = cells
    assert tuple(names) == COLUMNS
    assert sum(line[COLUMNS.index("success_amount")] for line in lines) == total
    page = files["html"].decode()
    assert f"{total:,}" in page
    text = "\n".join(MonthView.of(month).as_text(Screen("Asia/Seoul")))
    assert f"{total:,}" in text
    everything = page + text + files["csv"].decode() + MonthView.of(month).as_json()
    members = [row[0] for row in connection.execute("select member_id from payment where length(member_id) > 3")]
    assert [member for member in members if member in everything] == []


@pytest.mark.parametrize("month", ["", "2026-13", "26-11", "\udcff"])
def test_what_is_no_month_is_refused(connection: Connection, month: str) -> None:
    with refused("is no month", UsageError):
        of_month(connection, month)
