"""What a person can act on in Spark's pages of Java. The texts are Spark 4's own, shortened."""

import pytest

from bulkpoint.rules.spark_trouble import is_of_database, trouble_of_spark
from bulkpoint.views.sentences import sentence

STAGE = "An error occurred while calling o66.collectToPython.\n: org.apache.spark.SparkException: Job aborted: "
GONE = "java.nio.file.NoSuchFileException:"
BLOCK = "/data/spark/blockmgr-369a9161-aef1-47ab-a949-e5e64707c57a/13"


@pytest.mark.parametrize(
    ("text", "folder"),
    [
        (
            f"{STAGE}Task serialization failed: {GONE} {BLOCK}\n\tat java.base/sun",
            "/data/spark",
        ),
        (
            f"{STAGE}FetchFailed: java.io.FileNotFoundException: {BLOCK}/a.index (No such file)",
            "/data/spark",
        ),
        (f"{STAGE}java.io.IOException: Failed to create local dir in {BLOCK}.", "/data/spark"),
        (
            f"{STAGE}{GONE} /tmp/spark-9a1fd6a2-01/executor-77ab3c41-02/blockmgr-1234abcd-03/0c",
            "/tmp",
        ),
    ],
)
def test_a_folder_that_was_removed_is_named(text: str, folder: str) -> None:
    trouble = trouble_of_spark(text)
    assert trouble is not None
    assert (trouble.code, trouble.facts["folder"]) == ("SPARK_FOLDER_GONE", folder)
    assert "spark.local.dir" in sentence(trouble)
    assert not is_of_database(trouble)


def test_a_full_disk_is_named_with_its_folder_where_it_is_known() -> None:
    full = trouble_of_spark(f"{STAGE}java.io.IOException: No space left on device\n{BLOCK}/temp_shuffle_9")
    assert full is not None
    assert "the disk of Spark's folder /data/spark is full" in sentence(full)
    somewhere = trouble_of_spark(f"{STAGE}java.io.IOException: No space left on device")
    assert somewhere is not None
    assert "set spark.local.dir" in sentence(somewhere)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (
            f"{STAGE}org.postgresql.util.PSQLException: FATAL: sorry, too many clients already\n\tat org",
            "FATAL: sorry, too many clients already",
        ),
        (
            "[FAILED_JDBC.CONNECTION] Failed JDBC jdbc:postgresql:***(redacted) on the operation: Couldn't connect to"
            " the database SQLSTATE: HV000",
            "Couldn't connect to the database",
        ),
    ],
)
def test_a_database_that_spark_cannot_read_is_waited_for_and_says_so_in_one_line(text: str, why: str) -> None:
    trouble = trouble_of_spark(text)
    assert trouble is not None
    assert trouble.facts["why"] == why
    assert is_of_database(trouble)


def test_other_troubles_are_left_to_the_log() -> None:
    assert trouble_of_spark(f"{STAGE}java.lang.OutOfMemoryError: Java heap space") is None
    assert trouble_of_spark("An executor on /tmp/spark-12345678/work was lost") is None
