"""Members in sentences about a run: named for the operator, taken out where a sentence leaves the system.

A halt's reason must name the member, or nobody finds the payment. The same reason goes to Slack and Kafka, which have
no member ids; so a name is marked where it is written.
"""

import re

_NAME = re.compile("«[^»]*»")


def named(member_id: str) -> str:
    """A member in a reason: «m-1»."""
    return f"«{member_id.replace('«', '<').replace('»', '>')}»"


def without_members(reason: str) -> str:
    """The reason without the members that it names, for what leaves the system."""
    return _NAME.sub("***", reason)
