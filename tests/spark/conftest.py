"""One Spark for the session, started as `campaign start` starts a local one: its options, its JDBC driver, loopback."""

import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from bulkpoint.launch.spark_session import start_spark
from bulkpoint.launch.spark_submit import submit_command, submit_environment
from bulkpoint.settings import load_settings
from bulkpoint.store.connect import Database


@pytest.fixture(scope="session")
def spark(postgres_server: Database, reachable_tmp: Path) -> Iterator[SparkSession]:
    """local[2] without a web UI; the JVM stays until pytest ends, its session does not."""
    settings = load_settings(
        {
            "BULKPOINT_DATA_DIR": str(reachable_tmp / "spark"),
            "BULKPOINT_DATABASE_URL": postgres_server.url,
            "BULKPOINT_PARTITIONS": "1",
        }
    )
    _, *options, _ = submit_command(settings, [])
    with pytest.MonkeyPatch.context() as patch:
        for name, value in submit_environment(settings).items():
            patch.setenv(name, value)
        arguments = [*options, "--conf", "spark.ui.enabled=false", "pyspark-shell"]
        patch.setenv("PYSPARK_SUBMIT_ARGS", shlex.join(arguments))
        session = start_spark(0, postgres_server.passfile)
    yield session
    session.stop()
