"""Two clocks that cannot be read at once: this machine's and the database's."""

from typing import NamedTuple


class DatabaseClock(NamedTuple):
    """One question to the database: when it was asked and answered here, and what its clock said in between.

    Neither way ever makes an instant earlier than it was, so that a send which is handed over counts against the limit
    for too long rather than too short; the error is at most the time the answer took. Seconds.
    """

    asked_at: float
    answered_at: float
    database_now: float

    @property
    def error_s(self) -> float:
        """How far off a stamp may be."""
        return self.answered_at - self.asked_at

    def stamp(self, instant: float) -> float:
        """An instant of this machine's clock, by the database's."""
        return self.database_now + (instant - self.asked_at)

    def instant(self, stamp: float) -> float:
        """A stamp of the database's clock, by this machine's."""
        return self.answered_at - (self.database_now - stamp)
