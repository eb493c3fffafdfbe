"""Two clocks that cannot be read at the same moment: this machine's and the database's."""

from typing import NamedTuple


class DatabaseClock(NamedTuple):
    """One reading of the database's clock: when it was requested and answered here, and what it said in between.

    Neither conversion makes an instant earlier than it was, so a send that is handed over counts against the limit for
    too long rather than too short; the error is at most the time the answer took. Seconds.
    """

    asked_at: float
    answered_at: float
    database_now: float

    @property
    def error_s(self) -> float:
        """How far off a stamp may be."""
        return self.answered_at - self.asked_at

    def stamp(self, instant: float) -> float:
        """An instant of this machine's clock, converted to the database's clock."""
        return self.database_now + (instant - self.asked_at)

    def instant(self, stamp: float) -> float:
        """A stamp of the database's clock, converted to this machine's clock."""
        return self.answered_at - (self.database_now - stamp)
