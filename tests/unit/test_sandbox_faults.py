"""Trouble on purpose: settings, seeded dice, and the members that are always rejected."""

import pytest

from bulkpoint.sandbox.faults import DRAWN, Fault, Faults
from bulkpoint.sandbox.refusals import WrongValueError

DRAWS = 20_000


def test_the_dice_fall_as_often_as_the_ratios_say() -> None:
    faults = Faults({"slow": 0.1, "unavailable": 0.3}, seed=1)
    drawn = [faults.draw() for _ in range(DRAWS)]
    assert drawn.count(Fault.SLOW) / DRAWS == pytest.approx(0.1, abs=0.01)
    assert drawn.count(Fault.UNAVAILABLE) / DRAWS == pytest.approx(0.3, abs=0.015)
    assert drawn.count(None) / DRAWS == pytest.approx(0.6, abs=0.015)


def test_a_seed_replays_the_same_trouble() -> None:
    faults = Faults({"conflict": 0.5}, seed=42)
    first = [faults.draw() for _ in range(100)]
    faults.change({"seed": 42})
    assert [faults.draw() for _ in range(100)] == first
    faults.change({"seed": 43})
    assert [faults.draw() for _ in range(100)] != first


def test_a_change_leaves_the_rest_as_it_was() -> None:
    faults = Faults({"slow": 0.1}, latency_ms=50, tps_limit=7, seed=1)
    faults.change({"conflict": 0.2, "slow_s": 0.5})
    settings = faults.settings()
    assert {name: settings[name] for name in ("slow", "conflict", "slow_s", "latency_ms", "tps_limit")} == {
        "slow": 0.1,
        "conflict": 0.2,
        "slow_s": 0.5,
        "latency_ms": 50,
        "tps_limit": 7,
    }


@pytest.mark.parametrize(
    ("wanted", "named"),
    [
        ({"slow": 0.1, "lightning": 0.1}, "lightning"),
        ({"slow": 1.1}, "slow"),
        ({"slow": -0.1}, "slow"),
        ({"slow": float("nan")}, "slow"),
        ({"slow": True}, "slow"),
        ({"slow": "0.1"}, "slow"),
        ({"slow": 0.6, "conflict": 0.5}, "sum"),
        ({"slow": 0.1, "latency_ms": -1}, "latency_ms"),
        ({"tps_limit": 1.5}, "tps_limit"),
        ({"slow_s": -1}, "slow_s"),
        ({"retry_after": "1\r\nX: y"}, "retry_after"),
    ],
)
def test_a_setting_that_cannot_be_is_named_and_changes_nothing(wanted: dict[str, object], named: str) -> None:
    faults = Faults({}, seed=1)
    before = faults.settings()
    with pytest.raises(WrongValueError, match=named):
        faults.change(wanted)
    assert faults.settings() == before


def test_ratios_that_fill_the_whole_leave_no_request_untroubled() -> None:
    faults = Faults(dict.fromkeys(DRAWN, 1 / len(DRAWN)), seed=1)
    assert None not in {faults.draw() for _ in range(DRAWS)}


def test_rejection_depends_on_the_member_alone() -> None:
    members = [f"member-{number}" for number in range(DRAWS)]
    here, elsewhere, nobody = (Faults({"rejected": ratio}, seed=seed) for ratio, seed in ((0.05, 1), (0.05, 2), (1, 1)))
    rejected = [member for member in members if here.rejects(member)]
    assert len(rejected) / DRAWS == pytest.approx(0.05, abs=0.01)
    assert rejected == [member for member in members if elsewhere.rejects(member)]
    assert all(nobody.rejects(member) for member in members)
