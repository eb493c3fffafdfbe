"""Afterwards: what an archived campaign still says, what is refused in words, and which campaigns may be archived."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bulkpoint.campaigns.archive import archive_campaign, check_archivable
from bulkpoint.campaigns.check import acknowledge_end, find_troubles
from bulkpoint.campaigns.run_request import RunRequest
from bulkpoint.campaigns.runs import begin_run
from bulkpoint.rules.lifecycle import RunKind
from bulkpoint.settings import load_settings
from bulkpoint.store.snapshot import one_snapshot
from bulkpoint.views.format import local_time
from bulkpoint.views.month import MonthView, read_month
from bulkpoint.views.sums import ReportView, read_sums
from tests.world.campaigns import Campaign, World
from tests.world.command_line import CommandLine
from tests.world.refusals import refused

OLD_S = 400 * 86_400.0


def ended(world: World, *, name: str = "Spring", days: float = 400) -> Campaign:
    rows = [(f"m{n}", n, f"{name} {n % 3}") for n in range(1, 9)]
    campaign = world.campaign(rows, name=name).begun().paid([1, 2, 3, 4, 5]).failed([6, 7])
    return campaign.ended("COMPLETED").was_finished(seconds_ago=days * 86_400.0)


def archive(campaign: Campaign, folder: Path) -> None:
    archive_campaign(
        campaign.world.connection, load_settings(), campaign.id, folder, actor="kim", reason=None, say=lambda _: None
    )


def reports(world: World, campaign: Campaign, timezone: str, month: str) -> list[Any]:
    """Everything that `report` and `report --month` say, without the moment of their figures."""
    with one_snapshot(world.connection):
        one = ReportView.of(read_sums(world.connection, campaign.id, timezone=timezone, reasons_max=2))
    whole = MonthView.of(read_month(world.connection, month, timezone=timezone, reasons_max=2))
    return [view.as_object() | {"at": None} for view in (one, whole)]


def test_reports_of_a_campaign_and_of_its_month_say_the_same_as_before(world: World, tmp_path: Path) -> None:
    campaign = ended(world)
    world.connection.execute("update campaign_run set started_at = finished_at - interval '1 hour'")
    row = world.connection.execute("select to_char(finished_at, 'YYYY-MM') from campaign_run").fetchone()
    assert row is not None
    month = row[0]
    # At the edges of a day in Kathmandu (UTC+5:45), in Seoul and in UTC, and some that ended in another month.
    for seq, clock in enumerate(("18:14:59.9", "18:15:00", "14:59:59", "15:00", "23:59:59.999999"), start=1):
        at = world.connection.execute(f"select '{month}-10 {clock}+00'::timestamptz".encode()).fetchone()
        assert at is not None
        campaign.times([seq], finished_at=at[0])
    zones = ("Asia/Kathmandu", "Asia/Seoul", "UTC", "America/St_Johns")
    before = [reports(world, campaign, zone, month) for zone in zones]
    archive(campaign, tmp_path)
    assert [reports(world, campaign, zone, month) for zone in zones] == before
    assert before[0][0]["total"]["success"] == 6
    assert before[0][0]["other_reasons"] is not None
    assert [len(one["days"]) for one, _ in before] == [3, 3, 2, 2]
    assert before[0][1]["total"]["success"] == 5


def test_an_archived_campaign_is_shown_and_listed_as_such(world: World, tmp_path: Path, bulkpoint: CommandLine) -> None:
    campaign = ended(world)
    before = bulkpoint.succeed("campaign", "show", "1", "--json").json
    archive(campaign, tmp_path)
    assert bulkpoint.succeed("campaign", "show", "1", "--json").json == before
    shown = bulkpoint.succeed("campaign", "show", "1").stdout
    assert f" to {tmp_path.resolve()}/campaign-1" in shown
    assert "COMPLETED 완료 (archived)" in bulkpoint.succeed("campaign", "list").stdout
    told = bulkpoint.succeed("campaign", "history", "1").stdout
    assert f"kim archived it: to {tmp_path.resolve()}/campaign-1; 8 payments, 36 points" in told
    bulkpoint.succeed("audit", "verify")


def test_the_report_of_an_archived_campaign_names_the_folder_of_its_rows(
    world: World, tmp_path: Path, bulkpoint: CommandLine
) -> None:
    campaign = ended(world)
    assert "bulkpoint report 1 --format xlsx" in bulkpoint.succeed("report", "1").stderr
    archive(campaign, tmp_path)
    said = bulkpoint.succeed("report", "1").stderr
    assert f"Payment by payment: the files in {tmp_path.resolve()}/campaign-1" in said
    assert "--format" not in said


def test_watch_of_an_archived_campaign_says_how_it_ended_and_when(
    world: World, tmp_path: Path, bulkpoint: CommandLine
) -> None:
    archive(ended(world), tmp_path)
    watched = bulkpoint.succeed("campaign", "watch", "1")
    assert "TPS" not in watched.stderr
    assert f"are in the folder {tmp_path.resolve()}/campaign-1" in watched.stderr
    row = world.connection.execute("select finished_at from campaign_run").fetchone()
    assert row is not None
    assert f"Its run 1 ended at {local_time(row[0], 'Asia/Seoul')}." in watched.stderr
    assert "retry" not in watched.stderr, "it would be refused"
    assert watched.stdout.startswith("campaign 1 COMPLETED")
    assert bulkpoint.succeed("campaign", "watch", "1", "--json").json["state"] == "COMPLETED"


@pytest.mark.parametrize(
    "line",
    [
        "campaign start 1 --yes",
        "campaign resume 1 --yes",
        "campaign retry 1 --yes",
        "campaign stop 1 --reason r",
        "campaign withdraw 1 --reason r",
        "campaign approve 1",
        "campaign reject 1 --reason r",
        "campaign acknowledge 1 --reason r",
        "campaign preview 1",
        "reconcile 1",
        "payment find --member m1 --campaign 1",
        "payment settle --campaign 1 --member m1 --transaction t --reason r",
        "report 1 --format csv",
        "report 1 --format xlsx --out x.xlsx",
        "report 1 --format html --out x.html",
    ],
)
def test_what_needs_the_rows_is_refused_with_the_place_where_they_are(
    world: World, tmp_path: Path, bulkpoint: CommandLine, line: str
) -> None:
    archive(ended(world), tmp_path)
    answer = bulkpoint(*line.split(), BULKPOINT_MONEY_URL="http://127.0.0.1:1")
    assert answer.returncode == 3, answer.stderr
    assert f"are in the folder {tmp_path.resolve()}/campaign-1" in answer.stderr
    assert answer.stdout == ""


def test_a_run_of_an_archived_campaign_never_begins(world: World, tmp_path: Path) -> None:
    archive(ended(world), tmp_path)
    request = RunRequest(campaign=1, kind=RunKind.RETRY, actor="kim")
    with refused("was archived", code="CAMPAIGN_ARCHIVED"):
        begin_run(world.connection, request, shares=1)


def test_the_help_desk_hears_how_many_campaigns_were_not_searched(
    world: World, tmp_path: Path, bulkpoint: CommandLine
) -> None:
    archive(ended(world), tmp_path)
    world.campaign(["m1"]).begun()
    found = bulkpoint.succeed("payment", "find", "--member", "m1")
    assert "campaign 2" in found.stdout
    assert "campaign 1" not in found.stdout
    assert "Not searched, because they are archived: 1 campaign." in found.stderr
    as_json = bulkpoint.succeed("payment", "find", "--member", "m1", "--json").json
    assert as_json["archived_campaigns"] == 1
    assert [payment["campaign_id"] for payment in as_json["payments"]] == [2]


def test_the_same_list_is_still_known(world: World, tmp_path: Path) -> None:
    campaign = ended(world)
    kept = "select digest, campaign_id from duplicate_list"
    before = world.connection.execute(kept.encode()).fetchall()
    archive(campaign, tmp_path)
    assert before
    assert world.connection.execute(kept.encode()).fetchall() == before


def may(campaign: Campaign, **settings: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(f"BULKPOINT_{name}", value)
        assert check_archivable(campaign.world.connection, load_settings(), campaign.id) is None


def test_only_a_campaign_that_ended_may_be_archived(world: World) -> None:
    with refused("Campaign 1 is WAITING: only one that has ended", code="ARCHIVE_NOT_ENDED"):
        may(world.campaign())
    with refused("Campaign 2 is WITHDRAWN"):
        may(world.campaign().withdrawn())
    with refused("Campaign 3 is RUNNING"):
        may(world.campaign().begun())


def test_a_campaign_stays_while_money_may_know_its_keys_or_a_new_list_is_compared_with_it(world: World) -> None:
    campaign = ended(world, days=89.9)
    row = world.connection.execute("select finished_at + interval '90 days' from campaign_run").fetchone()
    assert row is not None
    words = "ended 89.9 days ago. It can be archived after 90 days, from "
    with refused(words + local_time(row[0] + timedelta(seconds=1), "UTC")[:16], code="ARCHIVE_TOO_YOUNG"):
        may(campaign)
    with refused("ended 3 days ago"):
        may(campaign.was_finished(seconds_ago=3.01 * 86_400))
    may(campaign.was_finished(seconds_ago=90.1 * 86_400))
    with refused("after 100 days"):
        may(campaign, MONEY_KEY_RETENTION_H="2400")
    world.connection.execute(
        "insert into money_promise (key_retention_h, settle_s, connect_timeout_s, timeout_s, set_by, reason)"
        " values (2640, 0, 1, 1, 'a', 'r')"
    )
    with refused("after 110 days"):
        may(campaign, MONEY_KEY_RETENTION_H="2400")


def test_what_is_unknown_or_not_processed_keeps_a_campaign_until_a_person_says_that_it_stays_so(
    world: World,
) -> None:
    unknown = world.campaign(2).begun().failed(1, kind="UNKNOWN").ended("COMPLETED").was_finished(seconds_ago=OLD_S)
    stopped = world.campaign(["a", "b"]).begun().paid(1).stopped().was_finished(seconds_ago=OLD_S)
    with refused("not processed 0, UNKNOWN 1", code="ARCHIVE_LEFT_OPEN"):
        may(unknown)
    with refused("not processed 1, UNKNOWN 0"):
        may(stopped)
    for campaign in (unknown, stopped):
        acknowledge_end(world.connection, campaign.id, actor="kim", reason="r")
        may(campaign)


def test_what_is_perhaps_sent_keeps_a_campaign_whatever_a_person_says(world: World) -> None:
    campaign = world.campaign(2).begun().claimed(1)
    campaign.without_driver()
    world.connection.execute(
        "update campaign_run set state = 'FAILED', finished_at = clock_timestamp(), reason = 'r' where campaign_id = 1"
    )
    campaign.was_finished(seconds_ago=OLD_S)
    acknowledge_end(world.connection, campaign.id, actor="kim", reason="r")
    with refused("perhaps sent: 1", code="ARCHIVE_PERHAPS_SENT"):
        may(campaign)


def test_events_that_kafka_has_not_keep_a_campaign(world: World) -> None:
    campaign = ended(world)
    with refused("Events of campaign 1 that are not published: 5", code="ARCHIVE_EVENTS_WAITING"):
        may(campaign, KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1")
    world.connection.execute("insert into outbox_cursor (campaign_id, published_no) values (1, 5)")
    may(campaign, KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1")


def test_all_old_campaigns_are_archived_and_those_that_must_stay_are_named(
    world: World, tmp_path: Path, bulkpoint: CommandLine
) -> None:
    first, second = ended(world), ended(world, name="Summer", days=500)
    young = ended(world, name="now", days=300)
    unknown = world.campaign(2).begun().failed(1, kind="UNKNOWN").ended("COMPLETED").was_finished(seconds_ago=OLD_S + 9)
    line = ("campaign", "archive", "--older-than", "399d", "--out", str(tmp_path), "--yes")
    answer = bulkpoint(*line, "--json")
    assert answer.returncode == 3
    assert [one["campaign_id"] for one in answer.json["archived"]] == [first.id, second.id]
    assert [(one["campaign_id"], one["code"]) for one in answer.json["left"]] == [(unknown.id, "ARCHIVE_LEFT_OPEN")]
    assert answer.json["error"]["code"] == "ARCHIVE_LEAVES_SOME"
    assert sorted(path.name for path in tmp_path.glob("c*")) == ["campaign-1", "campaign-2"]
    acknowledge_end(world.connection, unknown.id, actor="kim", reason="r")
    assert bulkpoint.succeed(*line).stdout.startswith(f"archived campaign {unknown.id} to ")
    nothing = bulkpoint.succeed(*line)
    assert nothing.stdout == ""
    assert nothing.stderr.endswith("No campaign that ended more than 399 days ago is left to archive.\n")
    assert young.payments()


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        ("--older-than 400d 1", 2, "Give either the ID of a campaign or --older-than"),
        ("", 2, "Give either the ID of a campaign or --older-than"),
        ("--older-than 400", 2, "'400' is no number of days: write it as 400d"),
        ("--older-than 89d", 3, "must be at least 90 days, not 89:"),
        ("7", 3, "There is no campaign 7"),
    ],
)
def test_what_was_asked_wrongly_is_said(
    world: World, tmp_path: Path, bulkpoint: CommandLine, options: str, code: int, said: str
) -> None:
    answer = bulkpoint("campaign", "archive", *options.split(), "--out", str(tmp_path), "--yes")
    assert (answer.returncode, answer.stdout) == (code, "")
    assert said in answer.stderr


def test_without_a_yes_nothing_is_archived(world: World, tmp_path: Path, bulkpoint: CommandLine) -> None:
    campaign = ended(world)
    line = ("campaign", "archive", "1", "--out", str(tmp_path))
    silent = bulkpoint(*line)
    assert (silent.returncode, silent.stdout) == (2, "")
    assert "There is no terminal to ask at" in silent.stderr
    code, seen = bulkpoint.at_a_terminal(*line, answer="n")
    assert code == 3
    assert "Not archived, as you said; nothing was changed." in seen
    assert len(campaign.payments()) == 8


def test_an_archived_campaign_needs_no_person(world: World, tmp_path: Path) -> None:
    campaign = world.campaign(2).begun().failed(1).ended("FAILED", "money said no")
    campaign.was_finished(seconds_ago=OLD_S)
    acknowledge_end(world.connection, campaign.id, actor="kim", reason="r")
    archive(campaign, tmp_path)
    world.connection.execute("update campaign_counter set campaign_id = campaign_id")
    found = find_troubles(world.connection, load_settings(), notified=())
    assert [trouble.kind for trouble in found if trouble.campaign_id == campaign.id] == []
