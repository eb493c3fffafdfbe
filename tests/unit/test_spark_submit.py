"""spark-submit is run with what the settings say, and signals reach the job and nobody else."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from bulkpoint.errors import UsageError
from bulkpoint.local import spark_submit
from bulkpoint.settings import load_settings


@pytest.fixture(autouse=True)
def _spark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("SPARK_HOME", "/opt/spark")
    monkeypatch.chdir(tmp_path)


def option(command: list[str], name: str) -> str:
    return command[command.index(name) + 1]


def test_a_local_master_gets_a_slot_more_than_partitions_and_retries_its_tasks() -> None:
    for environ, master in (({}, "local[5,4]"), ({"BULKPOINT_PARTITIONS": "7"}, "local[8,4]")):
        command = spark_submit.submit_command(load_settings(environ), ["1"])
        assert option(command, "--master") == master


def test_a_named_master_is_passed_on_with_the_clusters_own_defaults() -> None:
    settings = load_settings({"BULKPOINT_SPARK_MASTER": "yarn"})
    command = spark_submit.submit_command(settings, [])
    assert option(command, "--master") == "yarn"
    assert "--load-spark-defaults" in command
    assert "SPARK_LOCAL_IP" not in spark_submit.submit_environment(settings)


def test_a_local_run_listens_on_loopback_and_knows_the_password_file(tmp_path: Path) -> None:
    environment = spark_submit.submit_environment(load_settings({}))
    assert environment["SPARK_LOCAL_IP"] == "127.0.0.1"
    assert environment["PGPASSFILE"] == str(tmp_path / ".bulkpoint" / "pgpass")


def test_the_jdbc_driver_is_the_named_jar_else_the_cached_one_else_fetched(tmp_path: Path) -> None:
    fetched = spark_submit.submit_command(load_settings({}), [])
    assert f"spark.jars.ivy={tmp_path}/cache/bulkpoint/ivy" in fetched
    assert "--jars" not in fetched

    jar = spark_submit._cached_jar()
    jar.parent.mkdir(parents=True)
    jar.touch()
    cached = spark_submit.submit_command(load_settings({}), [])
    assert option(cached, "--jars") == str(jar)
    assert "spark.jars.packages=" in cached

    (tmp_path / "my.jar").touch()
    named = spark_submit.submit_command(load_settings({"BULKPOINT_JDBC_JAR": "my.jar"}), [])
    assert option(named, "--jars") == str(tmp_path / "my.jar")

    with pytest.raises(UsageError, match="BULKPOINT_JDBC_JAR names"):
        spark_submit.submit_command(load_settings({"BULKPOINT_JDBC_JAR": "none.jar"}), [])


STAND_IN = textwrap.dedent(
    """
    import os, signal, subprocess, sys, time

    # As spark-submit does: a JVM that keeps what it inherits, and the Python driver as its child, which listens.
    if sys.argv[1] == "jvm":
        ignored = all(signal.getsignal(s) == signal.SIG_IGN for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
        print("jvm ignores", ignored, flush=True)
        driver = subprocess.Popen([sys.executable, __file__, "driver", sys.argv[2]])
        if sys.argv[2] == "dies":
            time.sleep(1)
            os.kill(os.getpid(), signal.SIGKILL)
        sys.exit(driver.wait())

    def stop(number, _):
        print("driver got", signal.Signals(number).name, flush=True)
        raise SystemExit(4)

    time.sleep(1.5 if sys.argv[2] == "late" else 0)
    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    print("driver listens", flush=True)
    time.sleep(30)
    """
)


def start(tmp_path: Path, how: str) -> "subprocess.Popen[str]":
    stand_in = tmp_path / "stand_in.py"
    stand_in.write_text(STAND_IN)
    program = (
        "import os, sys; from bulkpoint.local.spark_submit import _run; "
        "sys.exit(_run([sys.executable, *sys.argv[1:]], dict(os.environ)))"
    )
    return subprocess.Popen(
        [sys.executable, "-c", program, str(stand_in), "jvm", how],
        stdout=subprocess.PIPE,
        text=True,
        process_group=0,
        env={**os.environ, "PYTHONPATH": str(Path(spark_submit.__file__).parents[2])},
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("to_the_group", [False, True])
def test_a_signal_reaches_the_driver_once_whoever_it_was_sent_to(
    tmp_path: Path, number: signal.Signals, to_the_group: bool
) -> None:
    with start(tmp_path, "listens") as process:
        assert process.stdout is not None
        assert [process.stdout.readline() for _ in range(2)] == ["jvm ignores True\n", "driver listens\n"]
        (os.killpg if to_the_group else os.kill)(process.pid, number)
        assert process.stdout.read() == f"driver got {number.name}\n"
        assert process.wait(10) == 4


def test_a_signal_during_the_start_reaches_the_driver_when_it_listens(tmp_path: Path) -> None:
    with start(tmp_path, "late") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "jvm ignores True\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.read() == "driver listens\ndriver got SIGTERM\n"
        assert process.wait(10) == 4


def test_the_driver_of_a_killed_jvm_is_told_to_end(tmp_path: Path) -> None:
    with start(tmp_path, "dies") as process:
        assert process.stdout is not None
        assert process.stdout.read().endswith("driver got SIGTERM\n")
        assert process.wait(10) == 137
