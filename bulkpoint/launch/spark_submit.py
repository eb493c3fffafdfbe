"""Runs spark-submit with what the settings say, passes signals on to the job, and ends with the job's exit code.

Measured with Spark 4.3: a JVM that gets SIGINT or SIGTERM ends in 0.6 s and takes Spark with it. Its child, the Python
driver, gets the signal only if it shares the process group, and else goes on alone. Neither allows a graceful shutdown.
So the JVM and its launcher start with both signals ignored, in a session of their own that the terminal does not reach.
This process stays the parent and passes each signal to that session, where only the Python driver handles it. The
executors' Python workers are in process groups of their own.
"""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import IO

from bulkpoint import files, log
from bulkpoint.errors import ExitCode, StoppedError, UsageError
from bulkpoint.launch.before_spark import check_before_spark, may_pay, runs_for_others
from bulkpoint.launch.command_line import read_request, usage
from bulkpoint.launch.ends import end_of_job, error_of
from bulkpoint.launch.jdbc_driver import cached_jar, ivy_folder
from bulkpoint.launch.py_files import build_py_files
from bulkpoint.launch.spark_cluster import cluster_conf, is_standalone
from bulkpoint.rules.refusals import Refusal
from bulkpoint.settings import Settings, load_settings
from bulkpoint.streams import take_streams

_LOCAL_PARTITIONS = 4  # shares of a local run when the settings name none: more senders than two cores keep busy
_LOCAL_TASK_TRIES = 4  # as on a cluster; plain local[N] would fail the wave at its first lost worker
LOCAL_JAVA_OPTIONS = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
SILENT_ARCHIVE = ("-Xlog:cds=off", "-Xlog:class+path=off")
_POLL_S = 0.1
_REPEAT_S = 1.0  # a signal during start-up, before the driver listens, is lost: it is sent again until it does
_LAST_LINES_S_MAX = 2.0  # a worker that is still there keeps the streams open
_STRAGGLERS_S_MAX = 10.0  # for a driver whose JVM was killed: longer than a call to the money API and its recording


def main(arguments: list[str]) -> int:
    """Submits the job that the arguments ask for; its own arguments are one JSON document. Returns the exit code."""
    take_streams()
    followed = False
    try:
        if not arguments or {"--help", "-h"} & set(arguments):
            print(usage(), end="", file=sys.stdout if arguments else sys.stderr, flush=True)
            return ExitCode.DONE if arguments else ExitCode.USAGE
        request = read_request(arguments)
        followed = request.followed
        settings = load_settings()
        log.use(settings.log_format)
        if not followed and may_pay(request, settings):  # a command that follows its job has done it
            check_before_spark(settings, for_others=runs_for_others(request, settings))
        command = submit_command(settings, ["--request", request.to_json()])
        environment = submit_environment(settings)
    except KeyboardInterrupt:
        return end_of_job(StoppedError("STOPPED_BEFORE_RUN", why=Refusal("BY_SIGNAL")), followed=followed)
    except Exception as error:  # noqa: BLE001 (a defect ends it with a documented code like any other end)
        return end_of_job(error_of(error), followed=followed)
    return _run(command, environment, wrap=log.is_json())


def submit_command(settings: Settings, arguments: list[str]) -> list[str]:
    """spark-submit's command line. For a cluster it makes the zip of the package, in milliseconds when nothing has
    changed; a local job imports the package from where this process has it, compiled.

    Raises what cluster_conf raises where the master is not local.
    """
    command = [
        str(files.spark_home() / "bin" / "spark-submit"),
        *("--master", _master(settings)),
        *("--name", "bulkpoint"),
        *("--properties-file", str(files.path_of("conf/spark-defaults.conf"))),
        *("--driver-java-options", _java_options(settings)),
        *_jdbc_options(settings),
    ]
    if settings.spark_is_local:
        command += ["--conf", "spark.python.daemon.module=bulkpoint.pay.daemon"]
    else:
        zip_file = build_py_files(settings.data_dir / "py-files" / "bulkpoint.zip")
        command += ["--py-files", str(zip_file)]
        command.append("--load-spark-defaults")  # what the cluster's administrator has set
        for name, value in cluster_conf(settings, files.spark_home(), zip_file.name).items():
            command += ["--conf", f"{name}={value}"]
    return [*command, str(files.path_of("jobs/pay_campaign.py")), *arguments]


def submit_environment(settings: Settings) -> dict[str, str]:
    """The environment for spark-submit: listening addresses, which Python, and where the database's password is."""
    environment = {**os.environ, "SPARK_HOME": str(files.spark_home())}
    environment.setdefault("PYSPARK_PYTHON", sys.executable)
    if settings.spark_is_local:
        environment["SPARK_LOCAL_IP"] = "127.0.0.1"
        environment["PYSPARK_DRIVER_PYTHON"] = environment["PYSPARK_PYTHON"]  # the one that has the package
    elif is_standalone(settings):  # the web UI; executors reach the driver by spark.driver.host
        environment.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    if settings.database_url is None:  # the JVM's JDBC driver reads it, so it must be there before the driver runs
        environment["PGPASSFILE"] = str(settings.data_dir / "pgpass")
    return environment


def _run(command: list[str], environment: dict[str, str], *, wrap: bool) -> int:
    """wrap: what the JVM and others say in lines of their own becomes JSON, too."""
    asked: list[int] = []
    for stop in (signal.SIGINT, signal.SIGTERM):
        signal.signal(stop, lambda number, _frame: asked.append(number))
    process = subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE if wrap else None,
        stderr=subprocess.PIPE if wrap else None,
        start_new_session=True,
        preexec_fn=_ignore_signals,  # noqa: PLW1509 (safe: this process has one thread)
    )
    wrapping = [_wrapping(stream, number) for stream, number in ((process.stdout, 1), (process.stderr, 2)) if stream]
    send_at, sent = 0.0, 0
    while True:
        try:
            exit_code = process.wait(_POLL_S)
            break
        except subprocess.TimeoutExpired:
            if len(asked) > sent and time.monotonic() >= send_at:
                number, asked_by_now = asked[-1], len(asked)
                driver_listens = _is_caught(process.pid, number)
                _send_signal(process.pid, number)
                if driver_listens:  # a second one would kill a Python that is closing down: 143 instead of 4
                    sent = asked_by_now
                send_at = time.monotonic() + _REPEAT_S
    _end_stragglers(process.pid)
    for thread in wrapping:
        thread.join(_LAST_LINES_S_MAX)
    return exit_code if exit_code >= 0 else 128 - exit_code


def _wrapping(stream: IO[bytes], number: int) -> threading.Thread:
    """Passes a stream on to ours of this number, each line as JSON; a line that is JSON of ours as it is."""

    def wrap() -> None:
        for line in stream:
            ours = line.startswith(log.OURS.encode())
            text = line.decode(errors="replace").rstrip()
            level = log.Level.WARNING if " WARN " in text or " ERROR " in text else log.Level.INFO
            said = line if ours else f"{log.line_of(text, event='spark', level=level)}\n".encode()
            with suppress(OSError):  # nobody reads it; the job must not wait for that
                os.write(number, said)

    thread = threading.Thread(target=wrap, name=f"lines-{number}", daemon=True)
    thread.start()
    return thread


def _ignore_signals() -> None:
    for stop in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(stop, signal.SIG_IGN)


def _send_signal(session: int, number: int) -> bool:
    """Sends a signal to every process of the job's session; false when there is none."""
    try:
        os.killpg(session, number)
    except ProcessLookupError:
        return False
    return True


def _is_caught(session: int, number: int) -> bool:
    """Whether a process of the job has a handler for the signal: the JVM ignores it, so that is the driver."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if os.getpgid(int(process.name)) != session:
                continue
            caught = re.search(r"^SigCgt:\s*([0-9a-f]+)$", (process / "status").read_text(), re.M)
        except OSError:
            continue  # it has just ended
        if caught and int(caught[1], 16) >> (number - 1) & 1:
            return True
    return False


def _is_alive(session: int) -> bool:
    """Whether a process of the job runs; not one that has ended, which init may take seconds to collect."""
    if not _send_signal(session, 0):
        return False
    if not Path("/proc/self").exists():
        return True
    for process in Path("/proc").glob("[0-9]*"):
        try:
            state, _, group = (process / "stat").read_text().rpartition(") ")[2].split()[:3]
        except OSError:
            continue  # it has just ended
        if int(group) == session and state != "Z":
            return True
    return False


def _end_stragglers(session: int) -> None:
    """A killed JVM leaves its Python driver behind: the driver gets time to record its results."""
    _send_signal(session, signal.SIGTERM)
    deadline = time.monotonic() + _STRAGGLERS_S_MAX
    while _is_alive(session) and time.monotonic() < deadline:
        time.sleep(_POLL_S)
    _send_signal(session, signal.SIGKILL)


def _master(settings: Settings) -> str:
    if settings.spark_master != "local":
        return settings.spark_master
    return f"local[{(settings.partitions or _LOCAL_PARTITIONS) + 1},{_LOCAL_TASK_TRIES}]"


def _java_options(settings: Settings) -> str:
    options = [f"-Dlog4j2.configurationFile={files.path_of('conf/log4j2.properties').as_uri()}"]
    if settings.spark_is_local:
        # The JVM only reads rows and hands them on: the quick compiler is enough, and two cores are better spent on
        # paying (a job of 3,000 payments: 25 s of CPU instead of 36).
        options += LOCAL_JAVA_OPTIONS
        if class_archive().is_file():  # a JVM of another build, or another class path, ignores it
            options += [f"-XX:SharedArchiveFile={class_archive()}", "-Xshare:auto", *SILENT_ARCHIVE]
    return " ".join(options)


def class_archive() -> Path:
    """The classes that a local job's JVM loads, as it keeps them in memory; set_up.py makes it."""
    return files.spark_home() / "bulkpoint-classes.jsa"


def _jdbc_options(settings: Settings) -> list[str]:
    """The driver's jar: the one that is named, the one in the cache, else Spark fetches it now (and says so)."""
    jar = settings.jdbc_jar or cached_jar()
    if settings.jdbc_jar is not None and not jar.is_file():
        raise UsageError("JDBC_DRIVER_MISSING", "correct_or_remove_path", file=str(jar))
    if not jar.is_file():
        return ["--conf", f"spark.jars.ivy={ivy_folder()}"]
    return ["--jars", str(jar), "--conf", "spark.jars.packages="]  # resolving again would cost 0.5 s and 20 lines


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
