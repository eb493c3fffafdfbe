"""Expecting a refusal by the sentence that people read."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from bulkpoint.errors import BulkpointError, RefusedError
from bulkpoint.views.sentences import sentence


@contextmanager
def refused(
    match: str, error: type[BulkpointError] = RefusedError, *, code: str | None = None
) -> Iterator[pytest.ExceptionInfo[BulkpointError]]:
    """Inside the block `error` is raised, and its English sentence has `match` (a regular expression) in it."""
    with pytest.raises(error) as raised:
        yield raised
    said = sentence(raised.value)
    assert re.search(match, said), f"{match!r} is not in {said!r}"
    assert code is None or raised.value.refusal.code == code
