"""Signals that end a command become exceptions, so that every `finally` on the way runs."""

import os
import signal
import threading
import time
from types import FrameType
from typing import NoReturn


class Terminated(SystemExit):
    """SIGTERM or SIGHUP; SIGINT is Python's own KeyboardInterrupt. In the middle of a statement psycopg has the server
    cancel it, as for SIGINT: so it does for no other exception than these two.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def raise_on_signals() -> None:
    """From now on SIGTERM and SIGHUP raise Terminated in the main thread."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _raise)


def hold_off_signals() -> None:
    """From now on SIGINT and SIGTERM do nothing: what they ask for is being done."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def end_with_parent() -> None:
    """From now on this process gets a SIGTERM within a second of its parent's end, however that ended."""
    parent = os.getppid()

    def look() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=look, name="parent", daemon=True).start()


def _raise(number: int, _frame: FrameType | None) -> NoReturn:
    raise Terminated(number)
