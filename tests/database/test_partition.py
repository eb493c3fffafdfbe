"""A partition whose rows break off."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from bulkpoint.pay.claims import SparkInputError
from bulkpoint.pay.partition import pay_partition
from bulkpoint.pay.task import PartitionTask
from bulkpoint.settings import load_settings
from bulkpoint.store.connect import Connection
from tests.world.campaigns import World


def test_rows_that_break_off_are_for_spark_to_explain_and_halt_nothing(
    connection: Connection, database_url: str, tmp_path: Path
) -> None:
    run = World(connection, tps=10, shares=1).campaign(3).begun().run

    def broken() -> Iterator[pa.RecordBatch]:
        raise pa.ArrowInvalid("Tried reading schema message, was null or length 0")
        yield

    settings = load_settings({"BULKPOINT_MONEY_URL": "http://127.0.0.1:9", "BULKPOINT_DATA_DIR": str(tmp_path)})
    with pytest.raises(SparkInputError, match="ArrowInvalid: Tried reading"):
        list(pay_partition(PartitionTask(run.token, run.key_namespace, database_url, settings), broken()))
    assert connection.execute("select halt, state::text from campaign_run").fetchall() == [(None, "RUNNING")]
    assert connection.execute("select count(*) from live_share").fetchall() == [(0,)], "the share was given back"
