"""What a run's end came to: the one decision behind every headline, whatever the state says."""

from enum import StrEnum

# From this share of the payments that have a result on, the headline names the failed ones.
WARNED_SHARE = 0.05
# Beyond this share, most of them failed.
MOSTLY_SHARE = 0.5


class Ending(StrEnum):
    """What became of a campaign's payments by the end of a run; each has a headline for every state of a run's end."""

    ALL_PAID = "ALL_PAID"
    PAID = "PAID"  # of those that have a result, all but a few that are not worth a warning
    SOME_FAILED = "SOME_FAILED"
    MOSTLY_FAILED = "MOSTLY_FAILED"
    UNKNOWN_LEFT = "UNKNOWN_LEFT"  # however few
    NONE_PAID = "NONE_PAID"
    NONE_PROVEN = "NONE_PROVEN"  # none is SUCCESS, and some may have been credited
    NO_RESULT = "NO_RESULT"  # no payment has ended


def what_happened(*, success: int, failed: int, unknown: int, open: int) -> Ending:
    """The ending by a campaign's counts. failed includes unknown, as counted; open: payments that have not ended."""
    ended, not_paid = success + failed, failed - unknown
    if ended == 0:
        return Ending.NO_RESULT
    if success == 0:
        return Ending.NONE_PROVEN if unknown else Ending.NONE_PAID
    if not_paid > MOSTLY_SHARE * ended:
        return Ending.MOSTLY_FAILED
    if unknown:
        return Ending.UNKNOWN_LEFT
    if not_paid >= WARNED_SHARE * ended:
        return Ending.SOME_FAILED
    return Ending.PAID if not_paid or open else Ending.ALL_PAID
