"""One Chromium for each file: its event loop is in the main thread, where tests of other files run theirs."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.world.chromium import chromium


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running
