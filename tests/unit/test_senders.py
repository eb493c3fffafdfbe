"""The number of senders follows money's latency, and stays small where more would not help."""

from collections.abc import Callable

import pytest

from bulkpoint.rules.senders import Crew, first_senders


def crew_after(seconds: float, *, rate: int, through: Callable[[int], float], senders_max: int = 128) -> Crew:
    """A crew that has worked: `through` says how many calls a second a number of senders would bring through."""
    crew, done, now = Crew(senders_max), 0.0, 0.0
    while now < seconds:
        crew.change(now, done=int(done), rate=rate, starved=through(crew.senders) < rate)
        done += min(through(crew.senders), rate) * 0.05
        now += 0.05
    return crew


@pytest.mark.parametrize(("latency_s", "needed"), [(0.05, 13), (0.2, 50), (0.5, 125)])
def test_there_are_enough_for_moneys_latency_within_seconds(latency_s: float, needed: int) -> None:
    crew = crew_after(5.0, rate=250, through=lambda senders: senders / latency_s)
    assert needed <= crew.senders <= 2 * needed


def test_a_share_that_is_used_gets_no_more() -> None:
    assert crew_after(30.0, rate=100, through=lambda senders: senders / 0.01).senders == first_senders(100, 128)


def test_where_more_do_not_help_the_added_go_home() -> None:
    crew = crew_after(9.0, rate=10**6, through=lambda senders: min(senders, 8) * 500.0)
    assert crew.senders == 8


def test_what_did_not_help_is_tried_again_when_money_has_become_slower() -> None:
    crew, done, now, most = Crew(64), 0.0, 0.0, 0
    while now < 40.0:
        through = 4_000.0 if now < 5 else crew.senders / 0.5
        crew.change(now, done=int(done), rate=10**6, starved=True)
        done += through * 0.05
        now += 0.05
        most = max(most, crew.senders)
    assert most == 64


def test_the_bound_holds() -> None:
    assert crew_after(20.0, rate=10**6, through=lambda senders: float(senders), senders_max=5).senders == 5
    assert first_senders(0, 64) == 1
