"""How fast all shares together may send, where the money API allows less than the limit: found by trying.

Every change of the rate is a plan (turns.py), and the answers to its calls are counted for it. A limiter without a
burst refuses every second call as soon as the rate is a little too fast; others refuse what is above theirs only.
"""

import math
from typing import NamedTuple

# A rate is judged by the answers of about a second. So many may be refused by chance; a slot that is too short refuses
# every second call.
ROUND_S = 1.0
CLIMB_ROUND_S = 0.3  # where faster and faster rates are accepted
ANSWERS_MIN = 2
BY_CHANCE = 0.02
BY_CHANCE_CALLS = 1
NEARLY = 0.01
# More than that is worth it where most of the faster rate is gained: slots so short that chance alone fills some twice.
UNUSUAL = 0.1
WORTH = 0.7
# The try of a faster rate ends with so many refused calls.
MANY_CALLS = 3
# A larger part than this is refused: what was accepted is the better guess.
MANY = 0.3
# The next rate to try: a little faster, more and more so while nothing is refused; half-way to one that was too fast.
STEP = 0.15
STEP_MORE, STEP_MAX = 2.5, 1.0
# Found, where the fastest rate that was accepted is so near to the slowest that was not; it is tried again after a
# while, less and less often.
FOUND = 1.025
HOLD_S, HOLD_LONGER, HOLD_S_MAX = 6.0, 1.5, 15.0
BEYOND = 1.005
# Where the rate that was accepted is refused now: a little slower; to what was accepted, where that does not help.
STEP_DOWN = 0.04
BELOW_TAKEN = 0.96
# A limiter without a burst refuses every second call, at a rate that is too fast by anything up to the double.
NO_BURST_REFUSES = 0.6
NO_BURST = 0.7
CUT_MAX = 0.25
RATE_MIN = 1.0
# So many cuts in a row that made failures hardly fewer: the pace is not their cause.
CUTS_IN_VAIN_MAX = 3
HARDLY = 0.6


class Counts(NamedTuple):
    """Answers; of them, how many were refused for their pace, and how many failed."""

    answers: int = 0
    slowed: int = 0
    down: int = 0


class CommonPace:
    """The rate of all shares together, from what all of them counted. Calls a second; seconds of any clock.

    It looks for the fastest rate that is accepted: between one that was, and `too_fast`, which was refused. usual_down:
    of failures, the part that comes however slowly we send.
    """

    def __init__(self, rate: float, too_fast: float | None = None, usual_down: float = 0.0) -> None:
        self.rate = rate
        self.too_fast = too_fast
        self.usual_down = usual_down
        self._accepted: float | None = None
        self._step = STEP
        self._hold_s, self._hold_until = HOLD_S, -math.inf
        self._cuts_in_a_row = 1
        self._usual = 0.0
        self._failed_before, self._cuts_in_vain, self._rate_before = 0.0, 0, rate
        self._judged = Counts()
        self._changed = False

    def planned(self) -> None:
        """A plan with this rate is made."""
        self._judged, self._changed = Counts(), False

    def judge(self, counted: Counts, now: float) -> None:
        """Change the rate where all answers to calls of the plan in force are enough for it."""
        if self._changed:
            return
        answers, slowed, down = (all_ - judged for all_, judged in zip(counted, self._judged, strict=True))
        if answers <= 0:
            return
        if down == answers:  # it is out of order, which no pace helps: the breaker of each share sees to that
            self._judged = counted
            return
        refused = (slowed + max(0.0, down - self.usual_down * answers)) / answers
        is_try = self._accepted is not None and self.rate > self._accepted
        round_s = CLIMB_ROUND_S if is_try and self.too_fast is None and not refused else ROUND_S
        whole = answers >= max(ANSWERS_MIN, round_s * self.rate)
        soon = is_try and refused > UNUSUAL and refused * answers >= MANY_CALLS
        if soon or (whole and self._too_many(refused, answers)):
            self._refused(refused, failed=down / answers)
        elif whole:
            self._went_well(refused, now)
        else:
            return
        self._judged, self._changed = counted, True

    def unchanged(self) -> None:
        """No plan is made, as the rate is about the same: judge on."""
        self._changed = False

    def _too_many(self, refused: float, answers: int) -> bool:
        usual, accepted = self.usual_down, self._accepted
        chance = 2 * math.sqrt(usual * (1 - usual) / answers)
        if refused <= chance or refused * answers <= BY_CHANCE_CALLS:
            return False
        if accepted is not None and self.rate > accepted:
            gained = self.rate * (1 - refused) - accepted * (1 - self._usual)
            return refused > UNUSUAL + chance or gained < WORTH * (self.rate - accepted)
        if refused <= BY_CHANCE + chance:
            return False
        return accepted is None or refused > UNUSUAL or refused > 2 * self._usual

    def _went_well(self, refused: float, now: float) -> None:
        rate, too_fast = self.rate, self.too_fast
        self._usual = refused
        self._accepted, self._cuts_in_a_row, self._failed_before = rate, 0, 0.0
        if too_fast is None and refused > self.usual_down and refused > NEARLY:  # it is nearly too fast
            self.too_fast = FOUND * rate
        elif too_fast is None or rate >= too_fast:
            self.too_fast, self._hold_s = None, HOLD_S
            self.rate = rate * (1 + self._step)
            self._step = min(STEP_MAX, STEP_MORE * self._step)
        elif too_fast > FOUND * rate:
            self.rate = min(rate * (1 + self._step), math.sqrt(rate * too_fast))
            self._step = min(STEP_MAX, STEP_MORE * self._step)
        elif self._hold_until == -math.inf:
            self._hold_until = now + self._hold_s
            self._hold_s = min(HOLD_S_MAX, self._hold_s * HOLD_LONGER)
        elif now >= self._hold_until:
            self._hold_until = -math.inf
            self.rate = BEYOND * too_fast

    def _refused(self, refused: float, *, failed: float) -> None:
        rate, accepted = self.rate, self._accepted
        self._hold_until, self._step = -math.inf, STEP
        if accepted is not None and rate > accepted:
            self.rate, self.too_fast = accepted, rate
            return
        self.too_fast = rate if refused <= MANY else None
        self._accepted = None
        self._cuts_in_a_row += 1
        if failed and self._in_vain(failed):
            self.usual_down, self._failed_before = failed, 0.0
            self.rate, self.too_fast, self._cuts_in_a_row = self._rate_before, None, 0
            return
        self.rate = rate * (1 - max(STEP_DOWN, min(refused + 0.01, refused / 2 + 0.1)))
        if self._cuts_in_a_row > 1 and refused > MANY:
            guess = NO_BURST if refused < NO_BURST_REFUSES else (1 - refused) * BELOW_TAKEN
            self.rate = min(self.rate, rate * max(CUT_MAX, guess))
        self.rate = max(RATE_MIN, self.rate)

    def _in_vain(self, failed: float) -> bool:
        """Whether so many cuts in a row have made failures hardly fewer: the pace is not their cause."""
        if not self._failed_before or failed < HARDLY * self._failed_before:
            self._failed_before, self._cuts_in_vain, self._rate_before = failed, 0, self.rate
        self._cuts_in_vain += 1
        return self._cuts_in_vain > CUTS_IN_VAIN_MAX
