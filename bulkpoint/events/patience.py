"""Repeat for ever: a broker, Slack or database that is unreachable is waited for, and reported once."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from bulkpoint.errors import UnreachableError

T = TypeVar("T")

# Pause before something unreachable is tried again.
TRY_AGAIN_S = 5.0


@dataclass(frozen=True)
class Recovered:
    """What was out of reach answers again."""


def repeat(turn: Callable[[], T], *, pause_s: Callable[[T], float]) -> Iterator[T | Recovered | UnreachableError]:
    """What each turn returns, for ever, with a pause after it; `pause_s` gives its seconds.

    A turn that meets something out of reach yields the error, once for as long as the same is out of reach, and then
    Recovered before the next result.
    """
    away: UnreachableError | None = None
    while True:
        try:
            result = turn()
        except UnreachableError as error:
            if away is None or error.refusal != away.refusal:
                yield error
            away = error
            time.sleep(TRY_AGAIN_S)
            continue
        if away is not None:
            yield Recovered()
            away = None
        yield result
        time.sleep(pause_s(result))
