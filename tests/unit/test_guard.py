"""The guard against wholesale failure: any window of any run, and not the tail in which unanswered payments end."""

from datetime import UTC, datetime, timedelta

import pytest

from bulkpoint.rules.guard import RESULTS_MIN, WINDOW_RESULTS, FailureGuard, Results, TooMany

START = datetime(2026, 1, 31, 9, tzinfo=UTC)


class Run:
    """A run whose results come second by second, and what the guard says of them."""

    def __init__(self, ratio_max: float = 0.5, *, before: Results | None = None) -> None:
        self.results = before or Results(START, 0, 0, 0)
        self._guard = FailureGuard(ratio_max, self.results)

    def second(self, success: int = 0, rejected: int = 0, unresolved: int = 0, **how: bool) -> TooMany | None:
        at, *counts = self.results
        more = (success, rejected, unresolved)
        self.results = Results(at + timedelta(seconds=1), *(a + b for a, b in zip(counts, more, strict=True)))
        return self._guard.look(self.results, **how)

    def end(self) -> TooMany | None:
        return self._guard.at_end(self.results)


@pytest.mark.parametrize("a_second", [20, 100, 1_000])
def test_a_page_for_everybody_is_noticed_wherever_it_begins(a_second: int) -> None:
    for good_seconds in (0, 7, 300):
        run = Run()
        for _ in range(good_seconds):
            assert run.second(success=a_second) is None
        failed = 0
        while (found := run.second(rejected=a_second)) is None:
            failed += a_second
            assert failed < 2 * WINDOW_RESULTS
        assert found.failed > found.results / 2
        assert found.results >= WINDOW_RESULTS


def test_a_steady_part_of_refusals_is_no_reason() -> None:
    run = Run()
    for _ in range(100):
        assert run.second(success=70, rejected=30) is None
    assert run.end() is None


def test_payments_without_an_answer_end_late_and_together_and_only_refusals_count_then() -> None:
    run = Run()
    for _ in range(50):
        assert run.second(success=1_000) is None
    for _ in range(20):
        assert run.second(unresolved=100, sweeping=True) is None
    assert run.end() is None
    assert run.second(rejected=600, sweeping=True) is not None


def test_a_run_that_ends_is_judged_by_all_its_results_if_they_are_enough() -> None:
    for success, failed, too_many in (
        (0, RESULTS_MIN, True),
        (0, RESULTS_MIN - 1, False),
        (1, 2, False),
        (60, 60, False),
    ):
        run = Run()
        assert run.second(success=success, rejected=failed) is None, "fewer than the window: only the end tells"
        assert (run.end() is not None) == too_many
    run = Run(ratio_max=1)
    assert run.second(rejected=10_000) is None
    assert run.end() is None


def test_payments_that_are_tried_again_may_mostly_fail_again_but_not_all_of_them() -> None:
    for success, too_many in ((1, False), (0, True)):
        guard = FailureGuard(0.5, Results(START, 0, 0, 0), retried=True)
        assert (guard.at_end(Results(START, success, 40, 0)) is not None) == too_many


def test_what_failed_before_the_run_or_is_tried_again_by_it_does_not_count() -> None:
    run = Run(before=Results(START, 100, 5_000, 500))
    assert run.second(success=30) is None
    assert run.end() is None
    assert Results(START, 5, 3, 2).since(Results(START, 1, 9, 9)).failed == 0, "a late success replaces a failure"
