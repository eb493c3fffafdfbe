"""The threads in which handlers run: so many at once for each kind of work, so that none waits behind another kind."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import anyio
import anyio.to_thread
from anyio import CapacityLimiter

T = TypeVar("T")

# How long work waits for its turn before the person is told that there is too much of it.
WAIT_S_MAX = 20.0


class BusyError(Exception):
    """There was no turn in time."""


def _any_number() -> CapacityLimiter:
    return CapacityLimiter(math.inf)


@dataclass(frozen=True)
class Threads:
    """Pages wait more than they compute; with more of them at once the database has more questions than it has cores.

    long_acts: lists that are read, loaded or written out. sign_ins: who only knocks keeps no page waiting.
    """

    pages: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(24))
    acts: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(16))
    long_acts: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(4))
    sign_ins: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(6))
    health: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(2))
    scrapes: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(2))
    _any: CapacityLimiter = field(default_factory=_any_number)

    async def run(self, kind: CapacityLimiter, work: Callable[[], T]) -> T:
        """The work's result. Raises BusyError where no thread of this kind is free in time."""
        turn = object()
        try:
            with anyio.fail_after(WAIT_S_MAX):
                await kind.acquire_on_behalf_of(turn)
        except TimeoutError as error:
            raise BusyError from error
        try:
            return await anyio.to_thread.run_sync(work, limiter=self._any)
        finally:
            kind.release_on_behalf_of(turn)
