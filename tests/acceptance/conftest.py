"""What acceptance tests share: money of a test's own, whose ledger begins empty as its database does."""

from collections.abc import Iterator

import pytest

from tests.world.money import Money, sandbox


@pytest.fixture
def money() -> Iterator[Money]:
    """Answers after 20 ms; a test changes that, and its faults, with `money.change`."""
    with sandbox("--latency-ms", "20") as money:
        yield money
