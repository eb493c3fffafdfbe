"""What the bench makes of its rounds: medians, ratios in pairs, spread, the share of a limit, CPU of a part."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from bench.cpu import CpuOfParts, parts_of
from bench.figures import figure, share_used, spread, write
from tests.world.processes import Process

KEYS = ["name", "unit", "ours", "peer", "peer_name", "ratio", "rounds", "spread"]


def test_a_figure_is_the_median_of_its_rounds() -> None:
    one = figure("speed", "1/s", [10, 60, 20], [5, 4, 9], "other")
    assert (one.ours, one.peer, one.peer_name, one.rounds) == (20, 5, "other", 3)


def test_the_ratio_is_taken_round_by_round() -> None:
    """The ratio of the two medians would be 1: in the second round the machine was slow in our turn only."""
    one = figure("speed", "1/s", [10, 20, 40], [5, 40, 20], "other")
    assert one.ratio == 2


def test_of_worst_seconds_the_largest_counts() -> None:
    one = figure("worst second", "calls", [990, 1_000, 995], [1_500, 2_000, 1_000], "other", largest=True)
    assert (one.ours, one.peer, one.ratio) == (1_000, 2_000, 0.5)


def test_spread_is_largest_less_smallest_in_parts_of_the_median() -> None:
    assert spread([8, 10, 13]) == 0.5
    assert spread([0, 0]) is None
    assert spread([]) is None


def test_a_figure_without_a_peer_has_no_ratio() -> None:
    one = figure("speed", "1/s", [10])
    assert (one.peer, one.peer_name, one.ratio, one.spread) == (None, None, None, 0)


def test_a_peer_that_was_zero_is_no_division_by_zero() -> None:
    assert figure("stall", "ms", [1, 2], [0, 0], "other").ratio is None
    assert figure("stall", "ms", [1, 2], [0, 0], "other", largest=True).ratio is None


def test_the_json_has_exactly_the_keys_of_its_contract(tmp_path: Path) -> None:
    one = figure("speed", "1/s", [10], [5], "other")
    written = json.loads(write(tmp_path / "new", {"cores": 2}, {"python": "3"}, [one]).read_text())
    assert list(written) == ["machine", "versions", "figures"]
    assert list(written["figures"][0]) == KEYS
    assert written["figures"] == [asdict(one)]


def test_a_burst_at_the_start_is_not_a_larger_share() -> None:
    """A full bucket lets a second's calls out at once: from first to last call that reads as more than the limit."""
    burst = [0.0] * 100 + [n / 100 for n in range(1, 1_000)]
    assert share_used(burst, tps=100) == pytest.approx(1.0)


def test_workers_that_end_one_by_one_are_not_a_smaller_share() -> None:
    even = [n / 100 for n in range(1_000)]
    tail = [10 + n / 10 for n in range(20)]
    assert share_used(even + tail, tps=100) == pytest.approx(1.0)


def test_windows_of_whole_seconds_are_counted_by_whole_seconds() -> None:
    windows = [float(second) for second in range(12) for _ in range(100)]
    assert share_used([*windows, 11.5], tps=100) == pytest.approx(1.0)


def test_half_of_a_limit_is_half() -> None:
    assert share_used([n / 50 for n in range(600)], tps=100) == pytest.approx(0.5)


def test_a_short_run_counts_whole() -> None:
    assert share_used([0.0, 1.0, 2.0], tps=3) == pytest.approx(0.5)


def test_cpu_between_two_looks_is_taken_as_even() -> None:
    cpu = CpuOfParts([(10.0, {}), (11.0, {"workers": 0.5}), (12.0, {"workers": 1.5, "driver": 1.0})])
    assert cpu.between(10.5, 11.5) == pytest.approx({"workers": 0.75, "driver": 0.5})
    assert cpu.seconds == {"workers": 1.5, "driver": 1.0}


def test_cpu_before_the_first_look_and_after_the_last_is_none() -> None:
    cpu = CpuOfParts([(10.0, {}), (12.0, {"workers": 1.0})])
    assert cpu.between(0.0, 100.0) == {"workers": 1.0}


def test_only_what_was_started_from_here_counts() -> None:
    """And PostgreSQL by its program: the command line of a client has an address that begins with its name."""
    processes = [
        Process(1, 0, "init", "init"),
        Process(10, 1, "python", "python -m bench.suite"),
        Process(11, 10, "python", "python peer.py --database postgresql://127.0.0.1/x"),
        Process(12, 11, "redis-server", "redis-server *:7000"),
        Process(13, 10, "python", "python -m bulkpoint.cli.main sandbox serve --port 0"),
        Process(20, 1, "postgres", "postgres -D data"),
        Process(21, 20, "postgres", "postgres: checkpointer"),
        Process(30, 1, "postgres", "postgres -D another"),
        Process(31, 1, "python", "python -m bulkpoint.pay.daemon"),
    ]
    parts = {one.pid: part for one, part in parts_of(processes, root=10, postmaster=20)}
    assert parts == {11: "others", 12: "Redis", 13: "sandbox", 20: "PostgreSQL", 21: "PostgreSQL"}
