"""The patience of a run: over shares, sweeps and pauses, by what its shares have heard of the money API."""

import pytest

from bulkpoint.rules.answers import Outcome
from bulkpoint.rules.patience import Heard, Patience, Trouble, WaitsFor, heard_by_all

REFUSED = Trouble(Outcome.NOT_CONNECTED, "CONNECTION_REFUSED")
URL = "http://money.example"


def ends_at(
    patience: Patience, *, call_every_s: float, until: float = 1_000.0, trouble: Trouble = REFUSED, shares: int = 1
) -> float | None:
    """When the patience is used up, looking each second, where each call fails, by one share after the other."""
    heard = [Heard() for _ in range(shares)]
    next_call, calls, now = 0.0, 0, 0.0
    while now < until:
        if now >= next_call:
            heard[calls % shares] = heard[calls % shares].after_trouble(trouble, now)
            calls, next_call = calls + 1, now + call_every_s
        if patience.look(heard_by_all(heard), tps=100, now=now):
            return now
        now += 1.0
    return None


@pytest.mark.parametrize("shares", [1, 4, 100])
@pytest.mark.parametrize("call_every_s", [0.1, 3.5, 8.0])
def test_a_list_of_any_size_over_any_number_of_shares_ends_after_the_patience(shares: int, call_every_s: float) -> None:
    end = ends_at(Patience(limit_s=20, backoff_s=3), call_every_s=call_every_s, shares=shares)
    assert end is not None
    assert 20 <= end <= 22


def test_a_request_to_wait_for_a_day_does_not_stretch_the_patience() -> None:
    asked = Trouble(Outcome.THROTTLED, None, 429, retry_after_s=60.0)  # what is left of 86400
    for limit_s in (20, 120):
        end = ends_at(Patience(limit_s=limit_s, backoff_s=3), call_every_s=60, trouble=asked)
        assert end is not None
        assert limit_s <= end <= limit_s + 2


def test_a_usable_answer_of_any_share_gives_the_patience_back() -> None:
    patience = Patience(limit_s=10, backoff_s=3)
    for second in range(100):
        shares = [Heard(trouble_at=second + 0.9), Heard(usable_at=8.0 * (second // 8), trouble_at=second + 0.1)]
        assert not patience.look(heard_by_all(shares), tps=100, now=second + 1.0)


def test_a_pause_uses_no_patience_and_gives_it_back() -> None:
    patience = Patience(limit_s=10, backoff_s=3)
    for second in range(9):
        assert not patience.look(Heard(trouble_at=second), tps=100, now=second)
    for second in range(9, 60):
        assert not patience.look(Heard(trouble_at=8.0), tps=0, now=second)
    assert not patience.look(Heard(trouble_at=8.0), tps=100, now=60.0), "that was before the pause"
    for second in range(61, 71):
        assert not patience.look(Heard(trouble_at=second), tps=100, now=second)
    assert patience.look(Heard(trouble_at=72.0), tps=100, now=73.0)


def test_time_in_which_nothing_was_asked_does_not_count() -> None:
    patience = Patience(limit_s=30, backoff_s=3)
    timed_out = Heard(trouble_at=0.0, outcome=Outcome.TIMED_OUT)
    for second in range(60):
        assert not patience.look(timed_out, tps=100, now=second), "its look-up is due in a minute: money may be well"


def test_time_in_which_nobody_looked_does_not_count() -> None:
    patience = Patience(limit_s=30, backoff_s=3)
    assert not patience.look(Heard(trouble_at=0.0), tps=100, now=1.0)
    assert not patience.look(Heard(trouble_at=99.0), tps=100, now=100.0), "the database was away"


def test_what_is_waited_for_says_why_where_and_until_when() -> None:
    patience = Patience(limit_s=30, backoff_s=3)
    cases = [
        (REFUSED, WaitsFor.MONEY_REACHED, None),
        (Trouble(Outcome.THROTTLED, None, 429, 30.0), WaitsFor.MONEY_ASKED, 35.0),
        (Trouble(Outcome.SERVER_ERROR, None, 500), WaitsFor.MONEY_ANSWER, None),
    ]
    for trouble, what, until in cases:
        heard = Heard().after_trouble(trouble, 5.0)
        patience = Patience(limit_s=30, backoff_s=3)
        patience.look(heard, tps=100, now=5.0)
        assert patience.waiting(heard, url=URL, now=5.0) is None, "a single failure is no wait"
        patience.look(heard, tps=100, now=7.0)
        waiting = patience.waiting(heard, url=URL, now=7.0)
        assert waiting is not None
        assert (waiting.what, waiting.until, waiting.url, waiting.since) == (what, until, URL, 5.0)
        assert (waiting.code, waiting.status) == (trouble.code, trouble.status)
    usable = heard.after_answer(8.0)
    patience.look(usable, tps=100, now=9.0)
    assert patience.waiting(usable, url=URL, now=9.0) is None
