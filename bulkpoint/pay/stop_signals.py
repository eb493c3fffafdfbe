"""Signals that stop a run (graceful shutdown)."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Self

from bulkpoint.views.end_reasons import end_reason

# How soon a signal is noticed in the pause before an automatic retry.
POLL_S = 0.1


class StopSignals:
    """SIGINT and SIGTERM stop the run: claimed rows go back, answers are recorded, the job ends with exit code 4.

    Installed before the run is made, so that no signal can leave a run without a process that ends it.
    """

    def __init__(self) -> None:
        self.asked: str | None = None
        self._number: int | None = None
        self._before: dict[int, Callable[..., object] | int | None] = {}

    def asked_within(self, seconds: float) -> bool:
        """Wait for `seconds`, or until asked to stop."""
        deadline = time.monotonic() + seconds
        while self.asked is None and time.monotonic() < deadline:
            time.sleep(POLL_S)
        return self.asked is not None

    @contextmanager
    def passed_on(self) -> Iterator[None]:
        """Inside the block a signal does at once what it did before, and so does one that has come already.

        For a wait that may have no end, before there is anything to stop.
        """
        for number, handler in self._before.items():
            signal.signal(number, handler)
        try:
            if self._number is not None:
                signal.raise_signal(self._number)
            yield
        finally:
            for number in self._before:
                signal.signal(number, self._ask)

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._ask)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, _: object) -> None:
        self._number = number
        self.asked = end_reason("BY_SIGNAL_OF", signal=signal.Signals(number).name)
