"""The ledger by itself: what is durable when."""

import asyncio
from pathlib import Path

import pytest

from bulkpoint.sandbox.ledger import Ledger
from bulkpoint.sandbox.orders import Order


def _fail(error: OSError) -> None:
    pytest.fail(f"the disk works: {error}")


def test_closing_right_after_a_credit_writes_and_tells_it(tmp_path: Path) -> None:
    told: list[str] = []

    async def credit_and_close() -> None:
        ledger = Ledger(tmp_path / "ledger", on_failure=_fail)
        ledger.credit(1, Order(1, "m-1", 100, "r"), told.append)
        await ledger.close()

    asyncio.run(credit_and_close())
    assert len(told) == 1
    assert told[0] in (tmp_path / "ledger").read_text()


def test_a_credit_counts_only_when_it_is_on_the_disk(tmp_path: Path) -> None:
    async def credit() -> None:
        ledger = Ledger(tmp_path / "ledger", on_failure=_fail)
        durable = asyncio.Event()
        ledger.credit(1, Order(1, "m-1", 100, "r"), lambda _: durable.set())
        assert (ledger.credits, ledger.find(1), list(ledger.public_lines())) == (0, None, [])
        await durable.wait()
        found = ledger.find(1)
        assert found is not None
        assert (ledger.credits, found.order) == (1, Order(1, "m-1", 100, "r"))
        assert found.transaction_id in (tmp_path / "ledger").read_text()
        await ledger.close()

    asyncio.run(credit())
