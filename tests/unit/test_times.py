"""Times as people type them."""

from datetime import UTC, datetime

import pytest

from bulkpoint.errors import UsageError
from bulkpoint.views.times import parse_time
from tests.world.refusals import refused

NOW = datetime(2026, 1, 31, 8, 30, tzinfo=UTC)  # 17:30 in Seoul


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-02-01T18:00", datetime(2026, 2, 1, 9, 0, tzinfo=UTC)),
        ("2026-02-01 18:00:30", datetime(2026, 2, 1, 9, 0, 30, tzinfo=UTC)),
        ("2026-02-01T18:00Z", datetime(2026, 2, 1, 18, 0, tzinfo=UTC)),
        ("2026-02-01T18:00+01:00", datetime(2026, 2, 1, 17, 0, tzinfo=UTC)),
        ("18:00", datetime(2026, 1, 31, 9, 0, tzinfo=UTC)),
        ("17:00", datetime(2026, 2, 1, 8, 0, tzinfo=UTC)),
    ],
)
def test_a_time_is_local_unless_it_says_otherwise(text: str, expected: datetime) -> None:
    assert parse_time(text, option="--until", timezone="Asia/Seoul", now=NOW) == expected


@pytest.mark.parametrize("text", ["", "soon", "25:00", "2026-13-01", "18.00", "0001-01-01T00:00"])
def test_anything_else_is_refused_naming_the_option(text: str) -> None:
    with refused("--until", UsageError):
        parse_time(text, option="--until", timezone="Asia/Seoul", now=NOW)
