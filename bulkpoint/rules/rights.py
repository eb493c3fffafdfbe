"""What a database login may be allowed to do. Stopping needs no right: whoever sees money leave may end it."""

from enum import StrEnum


class Right(StrEnum):
    """The permissions of operator_right."""

    START = "start"
    FORCE = "force"
    APPROVE = "approve"
    THROTTLE = "throttle"


# What each lets a login do, in the words of a refusal.
ALLOWS = {
    Right.START: "start, resume, retry, reconcile or withdraw campaigns",
    Right.FORCE: "jump the order of the queue",
    Right.APPROVE: "approve campaigns",
    Right.THROTTLE: "change the limit",
}
