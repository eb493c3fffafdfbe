"""How long a run still takes, from its figures of the last minute.

Not from the whole run, whose beginning pays nothing (Spark starts, the first answers are on their way), nor from the
limit alone, which the money API may not allow.
"""

from collections.abc import Sequence
from dataclasses import dataclass

# Steady enough for an end hours away, and soon enough after a change of the money API's pace.
WINDOW_S = 60.0
# In a shorter time the answers that happen to come in say more than the pace.
LEAST_S = 5.0
# Long enough to be steady, short enough to show a change of the limit.
RATE_WINDOW_S = 10.0
# Where there are only two figures, so far apart, the first one may be of before the first result: better than no word.
TWO_S = 4.0


@dataclass(frozen=True, slots=True)
class Figure:
    """How many payments of a campaign had ended at a time, under which limit (calls a second; None: no limit known)."""

    at_s: float
    done: int
    tps: int | None


def seconds_left(figures: Sequence[Figure], still_open: int, *, done_before: int = 0) -> float | None:
    """Seconds until `still_open` payments have ended; None where the figures of the last minute do not say it.

    figures: of one run, oldest first; done_before: what had ended when it began. Counted from the run's first result
    on, so that its start is not taken for its pace; from the last change of the limit on; never faster than the limit.
    """
    recent = _under_the_same_limit(figures)
    if not recent or recent[-1].tps == 0:
        return None
    if still_open == 0:
        return 0.0
    begins = next((at for at, figure in enumerate(recent) if figure.done > done_before), len(recent) - 1)
    latest = recent[-1]
    first, least_s = (recent[0], TWO_S) if len(recent) == 2 else (recent[begins], LEAST_S)
    lasted_s, ended = latest.at_s - first.at_s, latest.done - first.done
    if lasted_s < least_s or ended <= 0:
        return None
    rate = ended / lasted_s
    return still_open / (rate if latest.tps is None else min(rate, latest.tps))


def rate_of(figures: Sequence[Figure]) -> float | None:
    """Payments that ended a second, over the last ten seconds of figures; None where these do not span that long.

    A retry takes payments back: then nothing has ended.
    """
    if not figures:
        return None
    latest = figures[-1]
    earlier = [figure for figure in figures if figure.at_s <= latest.at_s - RATE_WINDOW_S]
    first = earlier[-1] if earlier else figures[0]
    elapsed_s = latest.at_s - first.at_s
    return max(0.0, (latest.done - first.done) / elapsed_s) if elapsed_s >= TWO_S else None


def _under_the_same_limit(figures: Sequence[Figure]) -> list[Figure]:
    """The figures of the last minute since the limit changed last, oldest first."""
    recent: list[Figure] = []
    for figure in reversed(figures):
        if figure.tps != figures[-1].tps or figure.at_s < figures[-1].at_s - WINDOW_S:
            break
        recent.append(figure)
    return recent[::-1]
