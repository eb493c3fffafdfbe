"""The judge's own measurements: exact sliding seconds, and stalls."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from bulkpoint.sandbox.arrivals import SECOND_NS, Arrivals, SlidingSecond, Stalls

# Steps that meet the edge of the second exactly, and next to it.
STEPS_NS = st.lists(
    st.one_of(
        st.integers(0, 2 * SECOND_NS),
        st.sampled_from([0, 1, SECOND_NS // 2, SECOND_NS - 1, SECOND_NS, SECOND_NS + 1]),
    ),
    max_size=60,
)


def _most_in_a_second(stamps_ns: list[int]) -> int:
    """The naive way: every second that ends at a stamp, over all stamps."""
    return max((sum(end - SECOND_NS < stamp <= end for stamp in stamps_ns) for end in stamps_ns), default=0)


@given(STEPS_NS)
def test_the_largest_number_in_a_sliding_second_is_what_the_naive_count_finds(steps_ns: list[int]) -> None:
    stamps_ns = list(itertools.accumulate(steps_ns))
    arrivals = Arrivals()
    for stamp_ns in stamps_ns:
        arrivals.add(stamp_ns)
    assert arrivals.max_per_second == _most_in_a_second(stamps_ns)
    assert arrivals.requests == len(stamps_ns)


@given(STEPS_NS, st.integers(0, 2 * SECOND_NS))
def test_a_count_forgets_what_is_a_second_old(steps_ns: list[int], later_ns: int) -> None:
    stamps_ns = list(itertools.accumulate(steps_ns))
    second = SlidingSecond()
    for stamp_ns in stamps_ns:
        second.add(stamp_ns)
    now_ns = (stamps_ns[-1] if stamps_ns else 0) + later_ns
    assert second.count(now_ns) == sum(now_ns - SECOND_NS < stamp_ns for stamp_ns in stamps_ns)


def test_a_reset_begins_a_new_second_and_keeps_the_time_of_the_last_arrival() -> None:
    arrivals = Arrivals()
    for stamp_ns in (1, 2, 3):
        arrivals.add(stamp_ns)
    last_at = arrivals.last_at
    arrivals.reset()
    assert last_at is not None
    assert arrivals.last_at == last_at
    arrivals.add(4)
    assert (arrivals.requests, arrivals.max_per_second) == (1, 1)


def test_a_stall_is_the_lateness_of_a_tick_and_the_longest_is_kept() -> None:
    stalls = Stalls()
    tick_ns = int(Stalls.TICK_S * SECOND_NS)
    for now_ns in (0, tick_ns, tick_ns * 2 + 70_000_000, tick_ns * 3 + 75_000_000):
        stalls.tick(now_ns)
    assert stalls.max_ms == 70
