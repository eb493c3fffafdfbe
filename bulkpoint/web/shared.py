"""One answer for many pages: fifty people who watch one campaign are one question to the database.

Nothing that depends on who asks, and never a member, may be in an answer that is shared.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Any, TypeVar, cast

from bulkpoint.errors import UnreachableError

T = TypeVar("T")

# Answers that are kept; the one that was not asked for for the longest time goes first.
KEPT_MAX = 256
# How long a page waits for an answer that another page has asked for: longer than any statement may take.
WAIT_S_MAX = 60.0


class Shared:
    """The latest answer to each question, for as long as its asker finds it fresh enough. For many threads."""

    def __init__(self, *, kept_max: int = KEPT_MAX) -> None:
        self._kept_max = kept_max
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, tuple[float, Any]] = OrderedDict()
        self._asked: dict[Hashable, Future[Any]] = {}
        self._acts = 0

    def get(self, key: Hashable, max_age_s: float, make: Callable[[], T]) -> T:
        """The answer that is at most that old, else a new one: `make` runs once, however many ask meanwhile.

        Raises what `make` raises. Where the database is away, all who wait learn it at once; any other error may be of
        that one asker's login, so the others ask themselves.
        """
        while True:
            with self._lock:
                found = self._kept.get(key)
                if found is not None and time.monotonic() - found[0] <= max_age_s:
                    self._kept.move_to_end(key)
                    return cast(T, found[1])
                future = self._asked.get(key)
                if future is None:
                    mine = self._asked[key] = Future()
                    acts = self._acts
                    break
            try:
                error = future.exception(WAIT_S_MAX)
            except TimeoutError:
                raise UnreachableError("SESSION_BUSY") from None
            if isinstance(error, UnreachableError):
                raise error
            if error is None:
                return cast(T, future.result())
        return self._make(key, mine, make, acts)

    def _make(self, key: Hashable, mine: "Future[Any]", make: Callable[[], T], acts: int) -> T:
        asked_at = time.monotonic()
        try:
            value = make()
        except BaseException as error:
            self._end(key, mine)
            mine.set_exception(error)
            raise
        self._end(key, mine)
        with self._lock:
            if acts == self._acts:  # else it may be of before
                self._kept[key] = (asked_at, value)
                self._kept.move_to_end(key)
            while len(self._kept) > self._kept_max:
                self._kept.popitem(last=False)
        mine.set_result(value)
        return value

    def forget(self) -> None:
        """After an act: what it has changed is asked for anew."""
        with self._lock:
            self._acts += 1
            self._kept.clear()
            self._asked.clear()

    def _end(self, key: Hashable, mine: "Future[Any]") -> None:
        with self._lock:
            if self._asked.get(key) is mine:
                del self._asked[key]
