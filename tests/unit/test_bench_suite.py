"""The bench's rounds: who fails or is missing is named, and everyone else is measured and compared."""

import sys
from pathlib import Path

import pytest

from bench import environments
from bench.contenders import CONTENDERS, LIMITERS, OURS, Contender, Paid, Task
from bench.environments import MissingError, environment, program
from bench.suite import QUICK, WHOLE, Found, Plan, figures_of, measure_fast, measure_limited

PLAN = Plan(
    fast={OURS: 8, "wrk": 1, "Celery": 4}, fast_rounds=1, limited={0: {OURS: 8}, 10: {OURS: 8}}, limited_rounds=1
)


def paid(task: Task) -> Paid:
    return Paid(float(task.targets), {"workers": 9.0}, 20.0, 700, 600, 1.0, 0.5 if task.tps else None)


def not_there(_task: Task) -> Paid:
    raise MissingError("it is not installed")


def fails(_task: Task) -> Paid:
    raise RuntimeError("3 of 4 rows")


def measured(monkeypatch: pytest.MonkeyPatch, **contenders: Contender) -> Found:
    monkeypatch.setattr("bench.suite.CONTENDERS", {OURS: paid, "wrk": paid, "Celery": paid} | contenders)
    monkeypatch.setattr("bench.suite.LIMITERS", {OURS: paid})
    monkeypatch.setattr("bench.suite.loop_s", lambda: 0.1)
    found = Found(loops=[0.1])
    for _ in range(2):
        measure_fast(found, PLAN, set(PLAN.fast))
    measure_limited(found, PLAN, set(PLAN.fast))
    return found


def test_each_round_measures_everyone_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    found = measured(monkeypatch)
    assert {name: len(rounds) for name, rounds in found.fast.items()} == {OURS: 2, "wrk": 2, "Celery": 2}
    assert found.missing == {}


def test_a_peer_that_cannot_be_installed_is_named_and_the_others_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    found = measured(monkeypatch, wrk=not_there)
    assert found.missing == {"wrk": "it is not installed"}
    assert list(found.fast) == [OURS, "Celery"]


def test_a_peer_that_fails_is_named_and_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Task] = []

    def counts(task: Task) -> Paid:
        calls.append(task)
        return fails(task)

    found = measured(monkeypatch, Celery=counts)
    assert found.missing == {"Celery": "it failed: 3 of 4 rows"}
    assert len(calls) == 1


def test_our_own_failure_ends_the_bench(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RuntimeError, match="3 of 4"):
        measured(monkeypatch, **{OURS: fails})


def test_every_peer_has_a_figure_of_each_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    figures = figures_of(measured(monkeypatch))
    rates = [one for one in figures if one.name == "payments a second without limit"]
    assert [(one.peer_name, one.ours, one.peer, one.ratio, one.rounds) for one in rates] == [
        ("wrk", 8, 1, 8, 2),
        ("Celery", 8, 4, 2, 2),
    ]


def test_what_has_no_peer_is_a_figure_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    figures = {one.name: one for one in figures_of(measured(monkeypatch))}
    for title, ours in (
        ("worst second as sent", 600),
        ("worst second as received", 700),
        ("share of the limit used", 0.5),
    ):
        one = figures[f"{title}, 1,000 TPS, jitter 10 ms"]
        assert (one.ours, one.peer_name, one.ratio) == (ours, None, None)


def test_only_with_jitter_a_proxy_stands_in_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int | None] = []

    def looks(task: Task) -> Paid:
        seen.append(task.jitter_ms)
        return paid(task)

    monkeypatch.setattr("bench.suite.LIMITERS", {OURS: looks})
    measure_limited(Found(loops=[0.1]), PLAN, {OURS})
    assert seen == [None, 10]


@pytest.mark.parametrize("plan", [WHOLE, QUICK])
def test_a_plan_names_contenders_and_limiters_that_there_are(plan: Plan) -> None:
    assert plan.fast.keys() <= CONTENDERS.keys()
    assert set().union(*plan.limited.values()) <= LIMITERS.keys()
    assert all(OURS in names for names in (plan.fast, *plan.limited.values()))


def test_a_program_that_cannot_be_had_is_named_with_its_package(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingError, match=r"redis-server is not installed .*apt-get install redis\)"):
        program("redis-server", "redis")


def test_an_environment_that_cannot_be_made_is_no_crash(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(environments, "FOLDER", tmp_path / "environments")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(MissingError, match="uv cannot be run: No such file"):
        environment("celery")
