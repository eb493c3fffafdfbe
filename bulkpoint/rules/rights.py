"""What a database login may be allowed to do. Stopping needs no right: anyone who sees a wrong payment may stop it.

The right `members` is another kind: it changes nothing, and decides what is seen (store/right.py, sees_members).
"""

from enum import StrEnum


class Right(StrEnum):
    """The permissions of operator_right."""

    START = "start"
    FORCE = "force"
    APPROVE = "approve"
    THROTTLE = "throttle"
    RECONCILE = "reconcile"
    ARCHIVE = "archive"
    MEMBERS = "members"
