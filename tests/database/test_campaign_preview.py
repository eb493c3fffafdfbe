"""Previews of campaigns: the figures of a file are those of the campaign it is loaded into, the digest too."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bulkpoint.campaigns.create import NewCampaign, create_campaign
from bulkpoint.campaigns.preview import present_pace, preview_campaign, preview_file
from bulkpoint.campaigns.tps import set_tps
from bulkpoint.intake.target_digest import TargetDigest
from bulkpoint.rules.preview import Pace, Preview, look_ahead
from bulkpoint.rules.readiness import NO_LIMITS, PaymentLimits
from bulkpoint.rules.targets import check_row
from bulkpoint.settings import load_settings
from bulkpoint.store.campaign import get_campaign
from bulkpoint.store.connect import Connection, connect
from bulkpoint.store.preview import get_pace, measure_targets
from bulkpoint.store.snapshot import one_snapshot
from bulkpoint.store.target import digest_targets, load_targets
from bulkpoint.views.preview import draw
from bulkpoint.views.sentences import sentence
from tests.world.campaigns import World
from tests.world.refusals import refused

# What a file may hold: any text that PostgreSQL stores, also longer than a hashed length of two digits.
TEXT = st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), min_size=1, max_size=500)
# Also one that begins like another and goes on with less than the comma that follows in what is hashed.
MEMBERS = st.text("a!,é👍", min_size=1, max_size=3) | TEXT.filter(lambda member: not check_row(member, 1, "r"))
ROWS = st.dictionaries(MEMBERS, st.tuples(st.integers(1, 10**12), TEXT), max_size=30)


def campaign_of(world: World, rows: list[tuple[str, int, str]], expected: tuple[int, int]) -> int:
    return world.campaign(rows, expected=expected).id


def written(path: Path, rows: list[tuple[str, int, str]]) -> Path:
    path.write_text("member_id,amount,reason\n" + "".join(f"{m},{amount},{reason}\n" for m, amount, reason in rows))
    return path


def drawn(seen: Preview) -> str:
    return "\n".join(draw(seen, look_ahead(seen.open_count, Pace(10), now=datetime.now(UTC)), timezone="UTC", width=80))


def test_the_digest_of_any_rows_is_the_databases_own(connection: Connection, world: World) -> None:
    campaign_id = campaign_of(world, [], (1, 1))

    @settings(max_examples=60, deadline=None)
    @given(ROWS)
    def same(rows: dict[str, tuple[int, str]]) -> None:
        connection.execute("delete from campaign_target")
        load_targets(connection, campaign_id, [(member, *rest) for member, rest in rows.items()])
        with TargetDigest(held_bytes_max=2_000) as digest:
            for member, (amount, reason) in rows.items():
                digest.add(member, amount, reason)
            assert digest.digest() == digest_targets(connection, campaign_id) == by_sorting(connection, campaign_id)

    same()


@pytest.mark.parametrize("rows", [9_999, 10_000, 10_001, 20_000, 20_001])
def test_a_list_of_several_chunks_has_the_same_digest_however_it_is_read(
    connection: Connection, world: World, rows: int
) -> None:
    campaign_id = campaign_of(world, [], (1, 1))
    with TargetDigest() as digest:
        listed = [(f"m{n * 7_919 % rows}", 1 + n, "선물") for n in range(rows)]  # 7,919 is prime: in no order
        for row in listed:
            digest.add(*row)
        load_targets(connection, campaign_id, listed)
        assert digest.digest() == digest_targets(connection, campaign_id) == by_sorting(connection, campaign_id)


def by_sorting(connection: Connection, campaign_id: int) -> bytes:
    """As the database has it for a list that may be larger than its memory."""
    row = connection.execute("select target_digest_by_sorting(%s)", (campaign_id,)).fetchone()
    assert row is not None
    digest: bytes = row[0]
    return digest


def test_a_file_and_the_campaign_it_is_loaded_into_have_the_same_figures_and_digest(
    connection: Connection, tmp_path: Path
) -> None:
    # More than two chunks of the digest, out of order, with characters beyond the basic plane, more than 20 reasons.
    rows = [
        (f"{'회원👍éz'[n % 5]}-{n * 7919 % 20_011}", 1 + n * n % 40_000, f"이유 {n % 33} 🎂") for n in range(20_011)
    ]
    path = written(tmp_path / "targets.csv", rows)
    of_file = preview_file(path, PaymentLimits(30_000))
    campaign_id = create_campaign(connection, NewCampaign("c"), actor="tester", limits=NO_LIMITS, targets=path)
    of_campaign = preview_campaign(connection, campaign_id, PaymentLimits(30_000))
    assert of_file.figures == of_campaign.figures
    assert of_file.digest == of_campaign.digest == digest_targets(connection, campaign_id)
    assert of_file.rows_above_max == of_campaign.rows_above_max == sum(amount > 30_000 for _, amount, _ in rows)
    assert of_file.findings == of_campaign.findings
    assert len(of_campaign.figures.buckets) == 12
    assert of_campaign.figures.reason_count == 33
    assert "matches what is expected" in drawn(of_campaign)


def test_targets_that_are_not_what_is_expected_are_a_finding(connection: Connection, world: World) -> None:
    campaign_id = campaign_of(world, [("m1", 5, "r"), ("m2", 6, "r")], (3, 10))
    seen = preview_campaign(connection, campaign_id, NO_LIMITS)
    [finding] = seen.findings
    assert finding.code == "TOTALS"
    assert sentence(finding) == "Not what is expected; targets missing: 1, points too many: 1."
    assert "targets     2 with 11 points\nexpected    3 with 10 points\n" in drawn(seen)


def test_a_campaign_without_targets_is_shown_as_such(connection: Connection, world: World) -> None:
    seen = preview_campaign(connection, campaign_of(world, [], (3, 10)), NO_LIMITS)
    assert (seen.figures.count, seen.figures.smallest, seen.digest, seen.open_count) == (0, None, None, 0)
    assert "digest      none: no target is loaded" in drawn(seen)


def test_limits_are_looked_at_for_a_campaign_too(connection: Connection, world: World) -> None:
    campaign_id = campaign_of(world, [("m1", 5, "r"), ("m2", 6, "r")], (2, 11))
    seen = preview_campaign(connection, campaign_id, PaymentLimits(5, 10))
    assert [finding.code for finding in seen.findings] == ["ROW_CAP", "CAMPAIGN_CAP"]
    assert preview_campaign(connection, campaign_id, PaymentLimits(6, 11)).findings == ()


def test_an_unknown_campaign_is_refused(connection: Connection) -> None:
    with refused("no campaign 77"):
        preview_campaign(connection, 77, NO_LIMITS)


def test_a_frozen_campaign_shows_what_it_was_frozen_with_and_what_is_open(connection: Connection, world: World) -> None:
    campaign = world.campaign([("m1", 5, "r"), ("m2", 6, "r")])
    before = preview_campaign(connection, campaign.id, NO_LIMITS)
    campaign.begun().paid([1]).stopped()
    frozen = preview_campaign(connection, campaign.id, NO_LIMITS)
    assert (frozen.figures, frozen.digest, frozen.findings) == (before.figures, before.digest, ())
    assert frozen.digest == get_campaign(connection, campaign.id).digest
    assert (before.open_count, frozen.open_count) == (2, 1)
    assert ": its targets can no longer change\npayments    1 of 2 not processed\nlimit " in drawn(frozen)
    assert "frozen" not in drawn(before)


def test_nothing_is_to_be_paid_of_a_withdrawn_campaign(connection: Connection, world: World) -> None:
    seen = preview_campaign(connection, world.campaign().withdrawn().id, NO_LIMITS)
    assert seen.open_count == 0
    assert "\ntime " not in drawn(seen)


def test_all_figures_are_of_one_moment(connection: Connection, database_url: str, world: World) -> None:
    campaign_id = campaign_of(world, [("m1", 5, "r")], (2, 10))
    with connect(database_url) as loader, one_snapshot(connection):
        before = measure_targets(connection, campaign_id, row_max=None), digest_targets(connection, campaign_id)
        load_targets(loader, campaign_id, [("m2", 5, "r")])
        assert measure_targets(connection, campaign_id, row_max=None) == before[0]
        assert digest_targets(connection, campaign_id) == before[1]
    assert measure_targets(connection, campaign_id, row_max=None) != before[0]


def test_the_pace_is_the_limits_or_the_settings_and_a_look_writes_nothing(connection: Connection) -> None:
    default = load_settings({"BULKPOINT_TPS": "70"})

    def limits() -> list[tuple[Any, ...]]:
        return connection.execute("select * from money_limit").fetchall()

    assert present_pace(connection, default) == Pace(70)
    assert limits() == []
    world = World(connection)
    assert present_pace(connection, default) == Pace(100)
    until = datetime(2999, 1, 1, tzinfo=UTC)
    set_tps(connection, tps=0, actor="tester", reason=None, until=until)
    assert get_pace(connection) == Pace(0, until, 100)
    world.limit_ends(in_s=-1)
    before = limits()
    assert get_pace(connection) == Pace(100), "what a temporary limit stood in for is back"
    assert limits() == before
