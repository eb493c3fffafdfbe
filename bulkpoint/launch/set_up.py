"""What is fetched or made once on a machine, so that jobs start fast: scripts/setup.sh runs it."""

import os
import subprocess
import sys
import tempfile

from bulkpoint import files
from bulkpoint.embedded.kafka_home import find_kafka
from bulkpoint.embedded.postgres_programs import PostgresPrograms
from bulkpoint.errors import BulkpointError, ExitCode, UnreachableError
from bulkpoint.launch.jdbc_driver import cached_jar, ivy_folder
from bulkpoint.launch.spark_submit import LOCAL_JAVA_OPTIONS, SILENT_ARCHIVE, class_archive
from bulkpoint.settings import load_settings
from bulkpoint.views.sentences import sentence

# What a job does to Spark: SQL, an exchange, Python workers by Arrow.
_TYPICAL_JOB = """
from pyspark.sql import SparkSession
spark = SparkSession.builder.getOrCreate()
spark.range(1000).repartition(2).mapInArrow(lambda batches: batches, "id bigint").collect()
spark.stop()
"""


def main() -> int:
    """The JDBC driver, an archive of the classes a job loads, PostgreSQL and Kafka; returns the exit code."""
    try:
        if "BULKPOINT_JDBC_JAR" not in os.environ:
            fetch_jdbc_driver()
        archive_classes()
        PostgresPrograms(jar=load_settings().postgres_jar).find()
        find_kafka()
    except BulkpointError as error:
        print(f"bulkpoint: {sentence(error)}", file=sys.stderr)
        return error.exit_code
    return ExitCode.DONE


def fetch_jdbc_driver() -> None:
    """Fetches the JDBC driver into the user's cache with Spark's own resolver, for set-up; nothing to do the next time.

    Raises:
        UnreachableError: it cannot be fetched.
    """
    if cached_jar().is_file():
        return
    done = _run_spark("", "--conf", f"spark.jars.ivy={ivy_folder()}")
    if done.returncode != 0 or not cached_jar().is_file():
        print(done.stderr, file=sys.stderr)
        raise UnreachableError("JDBC_DRIVER_NOT_FETCHED", "check_network_or_name_driver")


def archive_classes() -> None:
    """Archives the classes that a local job loads, next to Spark: a job then starts with a third less CPU.

    Nothing to do the next time; if it cannot be made, jobs start as before.
    """
    archive = class_archive()
    if archive.is_file() or not os.access(archive.parent, os.W_OK):
        return
    unfinished = archive.with_suffix(f".{os.getpid()}")
    options = [*LOCAL_JAVA_OPTIONS, f"-XX:ArchiveClassesAtExit={unfinished}", *SILENT_ARCHIVE]
    jars = ["--conf", "spark.jars.packages="]  # the JDBC driver is not in the archive
    done = _run_spark(_TYPICAL_JOB, "--driver-java-options", " ".join(options), *jars)
    if done.returncode == 0 and unfinished.is_file():
        unfinished.rename(archive)
    else:
        unfinished.unlink(missing_ok=True)


def _run_spark(job: str, *options: str) -> "subprocess.CompletedProcess[str]":
    with tempfile.NamedTemporaryFile("w", suffix=".py") as file:
        file.write(job)
        file.flush()
        return subprocess.run(
            [
                str(files.spark_home() / "bin" / "spark-submit"),
                *("--master", "local[2]"),
                *("--properties-file", str(files.path_of("conf/spark-defaults.conf"))),
                *options,
                file.name,
            ],
            env={**os.environ, "SPARK_HOME": str(files.spark_home()), "PYSPARK_PYTHON": sys.executable},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )


if __name__ == "__main__":
    sys.exit(main())
