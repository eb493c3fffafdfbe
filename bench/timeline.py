"""Where the time from `campaign start` to the message goes: what happened when, in seconds since the command.

    python -m bench.timeline [--targets 10000] [--tps 1000000] [--stop-after-s 0]

Watches from outside, so that nothing in the job is changed for it: processes as they appear, statements that PostgreSQL
found long and connections as it logs them, what the job says in its log, and the calls that the sandbox took. Reports,
asserts nothing. With --stop-after-s the campaign is stopped so long after its first call: for the start of a large one.
"""

import argparse
import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from bench.watching import looking
from bulkpoint.store.connect import connect
from tests.world.deployment import Deployment, embedded_deployment
from tests.world.processes import all_processes

# A statement of PostgreSQL that took longer is a line of its own.
LONG_MS = 30
LOOK_S = 0.02
FIRST_CALL = b"select coalesce(min(sent_at) < clock_timestamp() - interval '%d s', false) from payment_attempt"
# The first that fits names the process: the JVM's command line holds those of its children too.
PROCESSES = {
    "org.apache.spark.launcher.Main": "spark-submit: the launcher's JVM",
    "org.apache.spark.deploy.SparkSubmit": "spark-submit: the JVM",
    "bulkpoint.pay.daemon": "daemon or worker",
    "jobs/pay_campaign.py": "driver: Python",
    "bulkpoint.launch.spark_submit": "submit.sh: Python",
    "campaign start": "command: Python",
}
LOGGED = re.compile(r"^(\d+\.\d+) \[(.*?)\] LOG:  (.*?)(?=^\d+\.\d+ \[)", re.MULTILINE | re.DOTALL)
DURATION = re.compile(r"duration: ([0-9.]+) ms  \w+[^:]*: (.*)", re.DOTALL)


class Mark(NamedTuple):
    """Something that happened. at: seconds since 1970."""

    at: float
    what: str


@contextmanager
def marks_of_processes() -> Iterator[list[Mark]]:
    """The processes that appear and end while the block runs."""
    marks: list[Mark] = []
    before = {one.pid for one in all_processes()}
    seen: dict[int, str] = {}

    def look() -> None:
        nonlocal seen
        now, there = time.time(), {}
        for one in all_processes():
            part = next((part for words, part in PROCESSES.items() if words in one.command), None)
            if part is not None and one.pid not in before:
                there[one.pid] = seen.get(one.pid, part)
                if seen.get(one.pid) != part:
                    marks.append(Mark(now, f"{part} begins ({one.pid})"))
        marks.extend(Mark(now, f"{part} has ended ({pid})") for pid, part in seen.items() if pid not in there)
        seen = there

    with looking(look, every_s=LOOK_S):
        yield marks


@contextmanager
def marks_of_log(folder: Path) -> Iterator[list[Mark]]:
    """The lines of the job's log as they come."""
    marks: list[Mark] = []

    read = 0

    def look() -> None:
        nonlocal read
        for file in folder.glob("logs/*.log"):
            text = file.read_text(errors="replace")
            lines = text[read:].splitlines()
            read = len(text)
            marks.extend(Mark(time.time(), f"log: {line[:100]}") for line in lines[:3] if line.strip())

    with looking(look, every_s=LOOK_S):
        yield marks


def log_statements(bench: Deployment) -> None:
    """Have PostgreSQL write down each connection and each long statement."""
    for statement in (
        b"alter system set log_connections = on",
        b"alter system set log_min_duration_statement = %d" % LONG_MS,
        b"alter system set log_parameter_max_length = 0",
        b"alter system set log_line_prefix = '%n [%a] '",
        b"select pg_reload_conf()",
    ):
        with connect(bench.database_url) as connection:
            connection.execute(statement)


def marks_of_database(log: Path, skip: int) -> list[Mark]:
    """What PostgreSQL wrote down."""
    marks = []
    text = log.read_text(errors="replace")[skip:] + "\n9.9 ["
    for at, name, what in LOGGED.findall(text):
        long = DURATION.match(what)
        if long is not None:
            seconds = float(long[1]) / 1000
            words = " ".join(long[2].split())
            marks.append(Mark(float(at) - seconds, f"sql {seconds:.2f} s [{name}] {words[:90]}"))
        elif what.startswith("connection authorized") and (named := re.search(r"application_name=(.*)", what)):
            marks.append(Mark(float(at), f"connected: {named[1].split(' SSL')[0].strip()}"))
    return marks


def timeline(bench: Deployment, targets: int, stop_after_s: float) -> None:
    """Pay one campaign and print what happened when."""
    created = time.monotonic()
    campaign = bench.create(targets)
    print(f"{targets:,} targets, created in {time.monotonic() - created:.1f} s")
    log = (bench.folder / "data" / "postgres").resolve() / "server.log"
    log_statements(bench)
    time.sleep(1)
    skip = len(log.read_text(errors="replace"))
    with marks_of_processes() as processes, marks_of_log(bench.folder / "data") as said:
        began = time.time()
        command = bench.begin("campaign", "start", campaign, "--yes")
        if stop_after_s:
            bench.wait_for(FIRST_CALL % stop_after_s, seconds=600)
            stopped = time.time()
            bench.run("campaign", "stop", campaign, "--reason", "its start is what was measured")
            print(f"stopped {stopped - began:.2f} s after the command")
        out, err = command.communicate()
        ended = time.time()
    message = [Mark(began, "COMMAND")]
    ((first, last, calls, started, finished),) = bench.query(
        b"select extract(epoch from min(sent_at))::float8, extract(epoch from max(sent_at))::float8, count(*),"
        b" (select extract(epoch from started_at)::float8 from campaign_run),"
        b" (select extract(epoch from finished_at)::float8 from campaign_run) from payment_attempt"
    )
    message += [
        Mark(started, "RUNNING"), Mark(first, "FIRST CALL"), Mark(last, f"LAST CALL of {calls:,}"),
        Mark(finished, "the run has ended"), Mark(ended, "the command has ended"),
    ]  # fmt: skip
    marks = sorted(message + processes + said + marks_of_database(log, skip))
    before = began
    for mark in marks:
        if mark.what.startswith("sql") and first + 2 < mark.at < last - 1:
            continue
        print(f"{mark.at - began:8.2f} {mark.at - before:+6.2f}  {mark.what}")
        before = mark.at
    if command.returncode not in (0, 4):
        print(out, err)
    told = next((mark.at for mark in said if "캠페인" in mark.what or "완료" in mark.what), ended)
    print(f"from the command to the first call  {first - began:6.2f} s")
    print(f"from first to last call             {last - first:6.2f} s")
    print(f"from the last call to the message   {told - last:6.2f} s; to the command's end {ended - last:.2f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--targets", type=int, default=10_000)
    parser.add_argument("--tps", type=int, default=1_000_000)
    parser.add_argument("--stop-after-s", type=float, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bulkpoint-bench-") as name, suppress(KeyboardInterrupt):
        folder = Path(name)
        folder.chmod(0o711)
        with embedded_deployment(folder / "run", "--latency-ms", "50", BULKPOINT_TPS=arguments.tps) as bench:
            timeline(bench, arguments.targets, arguments.stop_after_s)


if __name__ == "__main__":
    main()
