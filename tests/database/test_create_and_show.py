"""Campaigns in the database: created whole or not at all, each with its audit row and its event."""

import csv
from pathlib import Path
from typing import Any

import pytest

from bulkpoint.campaigns.create import NewCampaign, create_campaign
from bulkpoint.errors import UsageError
from bulkpoint.intake.form import ListForm
from bulkpoint.rules.lifecycle import CampaignState
from bulkpoint.rules.readiness import NO_LIMITS, PaymentLimits
from bulkpoint.store.campaign import get_campaign, get_counts, get_counts_of, list_campaign_runs, list_campaigns
from bulkpoint.store.connect import Connection
from bulkpoint.store.outbox import write_event
from bulkpoint.store.progress import sample_progress
from bulkpoint.store.target import digest_targets, load_targets, total_targets
from tests.world.campaigns import Campaign, World
from tests.world.refusals import refused


@pytest.fixture
def targets(tmp_path: Path) -> Path:
    path = tmp_path / "targets.csv"
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("member_id", "amount", "reason"))
        writer.writerows((f"m{number}", 100 + number, '추석 \\ 선물\tof "1"') for number in range(10))
    return path


def create(connection: Connection, path: Path | None = None, limits: PaymentLimits = NO_LIMITS, **fields: Any) -> int:
    new = NewCampaign(**({"name": "추석"} | fields))
    return create_campaign(connection, new, actor="alice", limits=limits, targets=path)


def count(connection: Connection, table: str) -> int:
    row = connection.execute(f"select count(*) from {table}".encode()).fetchone()
    assert row is not None
    return int(row[0])


def test_a_campaign_is_created_with_its_targets_its_audit_row_and_its_event(
    connection: Connection, targets: Path
) -> None:
    campaign_id = create(connection, targets, note="n", expected_count=10)
    campaign = get_campaign(connection, campaign_id)
    assert (campaign.state, campaign.expected_count, campaign.expected_amount) == ("WAITING", 10, 1_045)
    assert total_targets(connection, campaign_id) == (10, 1_045, 109)
    stored = connection.execute("select member_id, amount, reason from campaign_target order by amount").fetchall()
    assert stored[3] == ("m3", 103, '추석 \\ 선물\tof "1"')
    event = connection.execute("select campaign_id, event_no, type, run_no, actor, data from outbox_event").fetchall()
    figures = {"name": "추석", "expected_count": 10, "expected_amount": 1_045, "not_before": None}
    assert event == [(campaign_id, 1, "campaign.created", None, "alice", figures)]
    audit = connection.execute("select action, actor, detail from audit_event").fetchall()
    assert audit == [("create", "alice", figures | {"targets": "targets.csv"})]


def test_the_audit_row_says_how_a_list_of_another_form_was_read(connection: Connection, targets: Path) -> None:
    targets.write_bytes("회원;amount;reason\nm1;100;봄\n".encode("cp949"))
    form = ListForm("cp949", columns={"member_id": "회원"})
    create_campaign(connection, NewCampaign("봄"), actor="a", limits=NO_LIMITS, targets=targets, form=form)
    [(detail,)] = connection.execute("select detail from audit_event").fetchall()
    assert detail["read_with"] == {"encoding": "cp949", "columns": {"member_id": "회원"}}
    assert total_targets(connection, 1) == (1, 100, 100)


def test_a_bad_file_leaves_nothing_behind(connection: Connection, targets: Path) -> None:
    targets.write_text(targets.read_text() + "m1,5,again\n")
    with refused("row 12: member_id 'm1' is in row 3 already"):
        create(connection, targets)
    assert [count(connection, table) for table in ("campaign", "campaign_target", "audit_event", "outbox_event")] == [
        0
    ] * 4


def test_a_file_that_changes_between_check_and_load_leaves_nothing_behind(
    connection: Connection, targets: Path
) -> None:
    def say(line: str) -> None:
        if line.startswith("Loading"):
            targets.write_text(targets.read_text() + "m11,5,late\n")

    with refused("changed while it was read"):
        create_campaign(connection, NewCampaign("T"), actor="a", limits=NO_LIMITS, targets=targets, say=say)
    assert count(connection, "campaign") + count(connection, "campaign_target") == 0


def test_a_row_that_only_the_database_refuses_leaves_nothing_behind(connection: Connection) -> None:
    campaign_id = create(connection, expected_count=2, expected_amount=3)
    with refused("Nothing was loaded"), connection.transaction():
        load_targets(connection, campaign_id, [("m1", 1, "a"), ("m1", 2, "b")])
    assert count(connection, "campaign_target") == 0


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"expected_count": 11}, "--expect-count 11: it has 10"),
        ({"expected_amount": 1}, "--expect-amount 1: it has 1,045"),
    ],
)
def test_expected_figures_must_match_the_file(
    connection: Connection, targets: Path, fields: dict[str, Any], sentence: str
) -> None:
    with refused(sentence):
        create(connection, targets, **fields)
    assert count(connection, "campaign") == 0


def test_the_settings_limits_hold(connection: Connection, targets: Path) -> None:
    with refused(r"1,045 points, more than 1,044 .*MAX_AMOUNT_PER_CAMPAIGN"):
        create(connection, targets, limits=PaymentLimits(per_campaign=1_044))
    with refused("row 11: amount is '109'"):
        create(connection, targets, limits=PaymentLimits(per_row=108))
    create(connection, targets, limits=PaymentLimits(per_row=109, per_campaign=1_045))


@pytest.mark.parametrize("fields", [{"name": " "}, {"name": "x" * 201}, {"name": "a\nb"}, {"note": "x" * 2_001}])
def test_words_that_cannot_be_are_refused(connection: Connection, targets: Path, fields: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        create(connection, targets, **fields)


def test_without_a_file_the_expected_figures_are_required(connection: Connection) -> None:
    with refused("--expect-count and --expect-amount", UsageError):
        create(connection, expected_count=5)


def test_before_the_freeze_everything_expected_is_pending(connection: Connection) -> None:
    campaign = get_campaign(connection, create(connection, expected_count=5, expected_amount=50))
    counts = get_counts(connection, campaign)
    assert (counts.pending, counts.pending_amount, counts.success, counts.failed) == (5, 50, 0, 0)


def test_a_campaign_shows_its_latest_runs_state_and_counts(connection: Connection, targets: Path) -> None:
    campaign_id = create(connection, targets)
    assert sample_progress(connection, campaign_id).total == 10
    begun = Campaign(World(connection), campaign_id).begun(actor="bob")
    sample = sample_progress(connection, campaign_id)
    assert (sample.state, sample.run_no, sample.done, sample.total, sample.tps) == ("RUNNING", 1, 0, 10, 100)
    begun.stopped(actor="carol", reason="wrong list")
    campaign = get_campaign(connection, campaign_id)
    assert (campaign.state, campaign.run_reason, campaign.target_count) == ("STOPPED", "wrong list", 10)
    assert campaign.digest == digest_targets(connection, campaign_id)
    [run] = list_campaign_runs(connection, campaign_id)
    assert (run.kind, run.state, run.actor) == ("INITIAL", "STOPPED", "bob")
    assert [one.campaign_id for one in list_campaigns(connection)] == [campaign_id]


def test_campaigns_are_listed_by_state_and_the_newest_first(connection: Connection, world: World) -> None:
    waiting, stopped, withdrawn = (world.campaign([(f"m{n}", 1 + n, "r")]) for n in range(3))
    stopped.begun().stopped()
    withdrawn.withdrawn()

    def listed(*states: CampaignState, latest: int | None = None) -> list[int]:
        return [one.campaign_id for one in list_campaigns(connection, states, latest)]

    assert listed() == [waiting.id, stopped.id, withdrawn.id]
    assert listed(latest=2) == [withdrawn.id, stopped.id]
    assert listed(CampaignState.STOPPED, CampaignState.WAITING) == [waiting.id, stopped.id]
    assert listed(CampaignState.STOPPED, CampaignState.WAITING, latest=1) == [stopped.id]
    assert listed(CampaignState.RUNNING) == []
    campaigns = [get_campaign(connection, one.id) for one in (withdrawn, stopped, waiting)]
    assert [one.pending for one in get_counts_of(connection, campaigns)] == [0, 1, 1]
    assert get_counts_of(connection, campaigns) == [get_counts(connection, one) for one in campaigns]


def test_an_unknown_campaign_is_refused(connection: Connection) -> None:
    with refused("There is no campaign 7"):
        get_campaign(connection, 7)
    with refused("There is no campaign 7"):
        sample_progress(connection, 7)


def test_events_are_numbered_without_a_gap_also_over_a_rolled_back_one(connection: Connection) -> None:
    campaign_id = create(connection, expected_count=1, expected_amount=1)
    with connection.transaction(force_rollback=True):
        write_event(connection, campaign_id=campaign_id, run_no=1, type="campaign.started", actor="a", data={})
    assert write_event(connection, campaign_id=campaign_id, run_no=1, type="campaign.started", actor="a", data={}) == 2
