"""A Spark standalone cluster: a master and a worker that know nothing of us, and jobs from a scheduler."""

import json
import os
import signal
import socket
import subprocess
import sys
import tarfile
import urllib.request
from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from bulkpoint import files
from bulkpoint.files import spark_home
from tests.world.command_line import JOB_S_MAX, SUBMIT
from tests.world.deployment import CANARY, Deployment, deployment
from tests.world.files import files_with
from tests.world.ports import free_port
from tests.world.processes import processes_with
from tests.world.waiting import wait_for

CLUSTER_SECRET = "canary-of-the-cluster-91d0"
CLUSTER_STARTS_S_MAX = 120.0
CORES = 3
TPS = 400
# For every JVM here, executors too: none lives long enough for the slow compiler to pay off.
LIGHT_JVM = {"JDK_JAVA_OPTIONS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"}


@dataclass(frozen=True)
class Cluster:
    """A running master with one worker. `packed`: the archive of `make package`, unpacked."""

    master: str
    folder: Path
    packed: Path

    @property
    def work(self) -> Path:
        """Where the worker keeps what executors get and say."""
        return self.folder / "work"

    @property
    def events(self) -> Path:
        return self.folder / "events"

    def submit_conf(self, folder: Path, **changes: str) -> dict[str, str]:
        """Settings to submit with: the example, its capitals changed."""
        write_conf(
            folder,
            {
                "spark.authenticate.secret": CLUSTER_SECRET,
                "spark.eventLog.enabled": "true",
                "spark.eventLog.compress": "false",  # to be searched for secrets
                "spark.eventLog.dir": self.events.as_uri(),
                "spark.archives": f"{self._small_archive(folder)}#environment",
                **changes,
            },
        )
        return {"SPARK_CONF_DIR": str(folder), "BULKPOINT_SPARK_MASTER": self.master, **LIGHT_JVM}

    def _small_archive(self, folder: Path) -> Path:
        """Sent along as the real one would be, which would cost half a minute here: it leads to the unpacked one."""
        folder.mkdir()
        launcher = folder / "python"
        launcher.write_text(f'#!/bin/sh\nexec {self.packed}/bin/python "$@"\n')
        launcher.chmod(0o755)
        with tarfile.open(folder / "environment.tar.gz", "w:gz") as archive:
            archive.add(launcher, "bin/python")
        return folder / "environment.tar.gz"


def write_conf(folder: Path, changes: dict[str, str]) -> Path:
    """The example for standalone clusters with some of its lines changed; readable for us alone."""
    kept = [
        line
        for line in files.read_text("conf/examples/standalone/spark-defaults.conf").splitlines()
        if line.startswith("spark.") and line.split()[0] not in changes
    ]
    file = folder / "spark-defaults.conf"
    file.touch(mode=0o600)
    file.write_text("\n".join(kept + [f"{name} {value}" for name, value in changes.items()]) + "\n")
    return file


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Master and worker on loopback, with an environment that has nothing of ours in it."""
    folder = tmp_path_factory.mktemp("standalone")
    for name in ("work", "events", "daemons", "packed"):
        (folder / name).mkdir()
    archive = folder / "bulkpoint-env.tar.gz"
    packing = subprocess.Popen(
        [sys.executable, str(files.path_of("scripts/package_environment.py")), str(archive)], stdout=subprocess.DEVNULL
    )
    conf = write_conf(folder / "daemons", {"spark.authenticate.secret": CLUSTER_SECRET})
    port, log = free_port(), folder / "daemons.log"
    environment = {name: os.environ[name] for name in ("PATH", "HOME", "JAVA_HOME") if name in os.environ}
    environment |= {"SPARK_LOCAL_IP": "127.0.0.1", "SPARK_DAEMON_MEMORY": "256m", **LIGHT_JVM}
    listening = ["--host", "127.0.0.1", "--webui-port", "0", "--properties-file", str(conf)]
    master = f"spark://127.0.0.1:{port}"
    slots = ["--cores", str(CORES), "--memory", "1g", "--work-dir", str(folder / "work")]
    processes: list[subprocess.Popen[bytes]] = []

    def start(role: str, *options: str) -> None:
        command = [str(spark_home() / "bin" / "spark-class"), f"org.apache.spark.deploy.{role}", *options]
        with log.open("ab") as stream:
            processes.append(subprocess.Popen(command, env=environment, cwd=folder, stdout=stream, stderr=stream))

    try:
        start("master.Master", *listening, "--port", str(port))
        wait_for(lambda: answers(port), lambda: f"the master: {log.read_text()}", seconds=CLUSTER_STARTS_S_MAX)
        start("worker.Worker", *listening, *slots, master)
        registered = "Successfully registered with master"
        wait_for(
            lambda: registered in log.read_text(),
            lambda: f"the worker: {log.read_text()}",
            seconds=CLUSTER_STARTS_S_MAX,
        )
        assert packing.wait(JOB_S_MAX) == 0
        subprocess.run(["tar", "xzf", str(archive), "-C", str(folder / "packed")], check=True)
        yield Cluster(master, folder, folder / "packed")
    finally:
        for process in (packing, *reversed(processes)):
            process.terminate()
            process.wait(30)


def python_workers(cluster: Cluster) -> dict[int, str]:
    """Python in executors: process id and what it has mapped into its memory."""
    found = {}
    for one in processes_with("bulkpoint.pay.daemon"):
        with suppress(OSError):  # it has ended meanwhile
            process = Path(f"/proc/{one.pid}")
            if (process / "cwd").resolve().is_relative_to(cluster.work):
                found[one.pid] = (process / "maps").read_text()
    return found


def environment_in_ui(applications: str) -> str:
    """What the web UI's page of the environment is made from."""
    with urllib.request.urlopen(applications, timeout=30) as answer:
        application = json.load(answer)[0]["id"]
    with urllib.request.urlopen(f"{applications}/{application}/environment", timeout=30) as answer:
        shown = json.load(answer)
    return json.dumps(shown, separators=(",", ":"))


def deployed(cluster: Cluster, database_url: str, folder: Path, **changes: str) -> AbstractContextManager[Deployment]:
    """A deployment whose jobs run on the cluster; changes: of Spark's settings."""
    settings = cluster.submit_conf(folder / "spark", **changes)
    return deployment(
        folder, "--latency-ms", "20", database_url=database_url, token=CANARY, BULKPOINT_TPS=TPS, **settings
    )


def assert_no_secret_left(cluster: Cluster, deployment: Deployment) -> None:
    """Money's token is in its own file, the cluster's secret in the files it was configured with; nowhere else."""
    assert list(cluster.events.rglob("*")), "no event log was written"
    assert list(cluster.work.glob("app-*/*/stderr")), "no executor worked there"
    for folder in (cluster.work, cluster.events):
        assert files_with(CANARY, folder) == []
        assert files_with(CLUSTER_SECRET, folder) == []
    assert files_with(CANARY, deployment.folder) == [deployment.folder / "token"]
    assert files_with(CLUSTER_SECRET, deployment.folder) == [deployment.folder / "spark" / "spark-defaults.conf"]


def test_a_job_on_a_cluster_pays_everybody_once(cluster: Cluster, database_url: str, tmp_path: Path) -> None:
    with deployed(cluster, database_url, tmp_path) as its:
        campaign = its.create(300)
        done = its.submit(campaign, "--yes")
        assert done.returncode == 0, done.stderr
        assert its.show(campaign)["counts"] == {"PENDING": 0, "PROCESSING": 0, "SUCCESS": 300, "FAILED": 0}
        assert len(its.money.ledger()) == 300
        its.assert_promises_kept(campaign, tps=TPS)
        assert_no_secret_left(cluster, its)


def test_sigterm_stops_a_job_on_a_cluster_whose_executors_run_the_packed_python(
    cluster: Cluster, database_url: str, tmp_path: Path
) -> None:
    ui = free_port()
    with deployed(cluster, database_url, tmp_path, **{"spark.ui.port": str(ui)}) as its:
        campaign = its.create(20_000)
        with subprocess.Popen(
            [str(SUBMIT), campaign, "--yes"],
            env=its.environment,
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as job:
            its.wait_for(b"select count(*) > 300 from payment_attempt")
            workers = python_workers(cluster)
            assert any(f"{cluster.packed}/lib/pycurl" in maps for maps in workers.values()), "not the packed Python"
            assert not [maps for maps in workers.values() if f"{sys.prefix}/lib" in maps], "the driver's packages"
            shown = environment_in_ui(f"http://127.0.0.1:{ui}/api/v1/applications")
            assert '["spark.authenticate.secret","*********(redacted)"]' in shown
            assert CANARY not in shown
            assert CLUSTER_SECRET not in shown
            assert processes_with(str(cluster.folder)), "the cluster is not seen"
            assert processes_with(CANARY) + processes_with(CLUSTER_SECRET) == []
            job.send_signal(signal.SIGTERM)
            _, said = job.communicate(timeout=JOB_S_MAX)
        assert job.returncode == 4, said
        shown_campaign = its.show(campaign)
        assert shown_campaign["state"] == "STOPPED"
        assert shown_campaign["counts"]["PROCESSING"] == 0
        assert shown_campaign["counts"]["PENDING"] > 10_000
        its.assert_promises_kept(campaign, tps=TPS)
        assert_no_secret_left(cluster, its)


def test_a_master_that_is_away_is_said_at_once(tmp_path: Path) -> None:
    """Spark itself asks for a minute, and then fails with a page of Java."""
    master = f"spark://127.0.0.1:{free_port()}"
    environment = {"BULKPOINT_SPARK_MASTER": master, "BULKPOINT_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}
    asked = subprocess.run(
        [str(SUBMIT), "next"], env=os.environ | environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert asked.returncode == 6
    assert f"Spark's master {master} cannot be reached: Connection refused." in asked.stderr
    assert "The database 127.0.0.1:1/none cannot be reached" in asked.stderr, "whatever is wrong is said at once"
    assert len(asked.stderr.splitlines()) == 4, "with the money API, which is away too, under one head"
