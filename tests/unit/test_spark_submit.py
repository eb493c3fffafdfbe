"""spark-submit is run with what the settings say, and signals reach the job and nobody else."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from bulkpoint.errors import UnreachableError, UsageError
from bulkpoint.launch import spark_submit
from bulkpoint.launch.jdbc_driver import cached_jar
from bulkpoint.settings import load_settings
from tests.world.refusals import refused


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


DATABASE = "postgresql://bulkpoint@db.example.com/bulkpoint"


@pytest.fixture
def master() -> Iterator[str]:
    """Something that listens where a standalone master would."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def conf_of(environ: dict[str, str]) -> dict[str, str]:
    command = spark_submit.submit_command(load_settings({"BULKPOINT_DATABASE_URL": DATABASE} | environ), ["1"])
    given = [command[place + 1] for place, word in enumerate(command) if word == "--conf"]
    return dict(one.split("=", 1) for one in given)


def test_a_named_master_is_passed_on_with_the_clusters_own_defaults() -> None:
    settings = load_settings({"BULKPOINT_SPARK_MASTER": "yarn", "BULKPOINT_DATABASE_URL": DATABASE})
    command = spark_submit.submit_command(settings, [])
    assert option(command, "--master") == "yarn"
    assert "--load-spark-defaults" in command
    assert "SPARK_LOCAL_IP" not in spark_submit.submit_environment(settings)


def test_executors_are_told_where_the_package_and_the_password_file_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSFILE", "pgpass")
    conf = conf_of({"BULKPOINT_SPARK_MASTER": "yarn"})
    assert conf["spark.executorEnv.PYTHONPATH"] == "bulkpoint.zip"
    assert conf["spark.python.daemon.module"] == "bulkpoint.pay.daemon"
    assert conf["spark.executorEnv.PGPASSFILE"] == str(tmp_path / "pgpass")
    assert conf["spark.pyspark.driver.python"] == sys.executable
    assert "spark.cores.max" not in conf


def test_a_standalone_cluster_gives_a_slot_more_than_partitions_and_all_of_them_at_the_start(master: str) -> None:
    for environ, cores in (({}, "5"), ({"BULKPOINT_PARTITIONS": "7"}, "8")):
        conf = conf_of({"BULKPOINT_SPARK_MASTER": f"spark://{master}"} | environ)
        assert conf["spark.cores.max"] == cores
        assert conf["spark.scheduler.minRegisteredResourcesRatio"] == "1.0"


def test_the_web_ui_stays_on_loopback_while_executors_reach_the_driver(
    master: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    environ = {"BULKPOINT_SPARK_MASTER": f"spark://{master}"}
    assert spark_submit.submit_environment(load_settings(environ))["SPARK_LOCAL_IP"] == "127.0.0.1"
    conf = conf_of(environ)
    assert conf["spark.driver.host"] == conf["spark.driver.bindAddress"] == "127.0.0.1"  # as this master sees us

    monkeypatch.setenv("SPARK_LOCAL_IP", "10.0.0.7")
    assert spark_submit.submit_environment(load_settings(environ))["SPARK_LOCAL_IP"] == "10.0.0.7"
    assert "spark.driver.host" not in conf_of(environ)


def test_what_the_administrator_has_set_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "spark-defaults.conf").write_text(
        "# spark.python.daemon.module  nothing\nspark.executorEnv.PGPASSFILE /etc/bulkpoint/pgpass\n"
    )
    monkeypatch.setenv("SPARK_CONF_DIR", str(tmp_path))
    monkeypatch.setenv("PGPASSFILE", "/home/someone/pgpass")
    conf = conf_of({"BULKPOINT_SPARK_MASTER": "yarn"})
    assert "spark.executorEnv.PGPASSFILE" not in conf
    assert conf["spark.python.daemon.module"] == "bulkpoint.pay.daemon"


def test_a_master_in_standby_is_asked_when_the_first_is_away(master: str) -> None:
    conf = conf_of({"BULKPOINT_SPARK_MASTER": f"spark://127.0.0.1:1,{master}"})
    assert conf["spark.driver.host"] == "127.0.0.1"
    with refused(r"spark://127.0.0.1:1 cannot be reached: Connection refused\.", UnreachableError):
        conf_of({"BULKPOINT_SPARK_MASTER": "spark://127.0.0.1:1"})


@pytest.mark.parametrize("address", ["", "host:port", "host:7077,", "user@host", "h:123456"])
def test_an_address_that_is_none_of_a_master_is_refused(address: str) -> None:
    with refused("BULKPOINT_SPARK_MASTER", UsageError):
        conf_of({"BULKPOINT_SPARK_MASTER": f"spark://{address}"})


@pytest.mark.parametrize("elsewhere", ["yarn", "k8s://https://127.0.0.1", "spark://spark.example.com:7077"])
def test_a_cluster_elsewhere_needs_a_database_that_it_can_reach(elsewhere: str) -> None:
    with refused("Set BULKPOINT_DATABASE_URL", UsageError):
        spark_submit.submit_command(load_settings({"BULKPOINT_SPARK_MASTER": elsewhere}), ["1"])


def test_a_cluster_on_this_machine_shares_the_embedded_database(tmp_path: Path, master: str) -> None:
    conf = conf_of({"BULKPOINT_SPARK_MASTER": f"spark://{master}", "BULKPOINT_DATABASE_URL": ""})
    assert conf["spark.executorEnv.PGPASSFILE"] == str(tmp_path / ".bulkpoint" / "pgpass")


def test_without_a_campaign_the_usage_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert spark_submit.main([]) == 2
    nothing, said = capsys.readouterr()
    assert nothing == ""
    assert said.startswith("usage: scripts/submit.sh ID|next [options]\n")
    assert spark_submit.main(["3", "--help"]) == 0
    assert capsys.readouterr() == (said, "")


def test_a_local_run_listens_on_loopback_and_knows_the_password_file(tmp_path: Path) -> None:
    environment = spark_submit.submit_environment(load_settings({}))
    assert environment["SPARK_LOCAL_IP"] == "127.0.0.1"
    assert environment["PGPASSFILE"] == str(tmp_path / ".bulkpoint" / "pgpass")


def test_the_jdbc_driver_is_the_named_jar_else_the_cached_one_else_fetched(tmp_path: Path) -> None:
    fetched = spark_submit.submit_command(load_settings({}), [])
    assert f"spark.jars.ivy={tmp_path}/cache/bulkpoint/ivy" in fetched
    assert "--jars" not in fetched

    jar = cached_jar()
    jar.parent.mkdir(parents=True)
    jar.touch()
    cached = spark_submit.submit_command(load_settings({}), [])
    assert option(cached, "--jars") == str(jar)
    assert "spark.jars.packages=" in cached

    (tmp_path / "my.jar").touch()
    named = spark_submit.submit_command(load_settings({"BULKPOINT_JDBC_JAR": "my.jar"}), [])
    assert option(named, "--jars") == str(tmp_path / "my.jar")

    with refused("BULKPOINT_JDBC_JAR names", UsageError):
        spark_submit.submit_command(load_settings({"BULKPOINT_JDBC_JAR": "none.jar"}), [])


def test_a_job_on_a_database_of_ones_own_does_not_even_load_the_embedded_servers() -> None:
    program = """
        import sys
        import bulkpoint.launch.job, bulkpoint.launch.spark_submit
        from bulkpoint.database import connection_target
        from bulkpoint.settings import load_settings
        with connection_target(load_settings()):
            print(*(name for name in sys.modules if "embedded" in name))
    """
    environment = os.environ | {"BULKPOINT_DATABASE_URL": DATABASE}
    environment |= {"PYTHONPATH": str(Path(spark_submit.__file__).parents[2])}
    command = [sys.executable, "-c", textwrap.dedent(program)]
    loaded = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    assert loaded == "\n"


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
        if sys.argv[2] == "lingers":  # as a Python that is closing down: a signal kills it again
            signal.signal(number, signal.SIG_DFL)
            time.sleep(2.5)
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
        "import os, sys; from bulkpoint.launch.spark_submit import _run; "
        "sys.exit(_run([sys.executable, *sys.argv[1:]], dict(os.environ), wrap=False))"
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


def test_a_driver_that_has_heard_is_left_to_end(tmp_path: Path) -> None:
    with start(tmp_path, "lingers") as process:
        assert process.stdout is not None
        assert [process.stdout.readline() for _ in range(2)] == ["jvm ignores True\n", "driver listens\n"]
        process.send_signal(signal.SIGTERM)
        assert process.stdout.read() == "driver got SIGTERM\n"
        assert process.wait(10) == 4


def test_the_driver_of_a_killed_jvm_is_told_to_end(tmp_path: Path) -> None:
    with start(tmp_path, "dies") as process:
        assert process.stdout is not None
        assert process.stdout.read().endswith("driver got SIGTERM\n")
        assert process.wait(10) == 137
