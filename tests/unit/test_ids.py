"""Ids that sort by the time they were made."""

import time
from uuid import UUID

from bulkpoint.ids import new_id


def test_an_id_is_greater_than_the_one_before_also_within_a_millisecond() -> None:
    ids = [new_id() for _ in range(20_000)]
    assert ids == sorted(set(ids))


def test_an_id_is_a_uuid_of_version_7_that_begins_with_the_time_in_milliseconds() -> None:
    before = time.time_ns() // 1_000_000
    made = UUID(new_id())
    after = time.time_ns() // 1_000_000
    assert (made.version, made.variant) == (7, "specified in RFC 4122")
    assert before <= made.int >> 80 <= after
