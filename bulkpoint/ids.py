"""Ids that we make ourselves: UUIDs of version 7 (RFC 9562), which sort by the time they were made.

An index on them grows at its end instead of everywhere, which keeps it small and in memory.
"""

import sys

if sys.version_info >= (3, 14):
    from uuid import uuid7
else:
    from uuid_utils import uuid7


def new_id() -> str:
    """A new id as text; within one process each is greater than the one before."""
    return str(uuid7())
