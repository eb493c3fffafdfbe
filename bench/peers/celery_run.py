"""Starts Redis, the workers and the producer of tasks.py, and ends when every row has its result."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psycopg
from job import CALLS_IN_FLIGHT, PAYS_S_MAX, ROWS, read_job

READY_S_MAX = 30.0


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def main() -> None:
    job = read_job()
    port = free_port()
    threads = max(2, CALLS_IN_FLIGHT // 2)
    with tempfile.TemporaryDirectory(prefix="bench-redis-") as folder:
        options = ("--port", str(port), "--bind", "127.0.0.1", "--dir", folder, "--save", "", "--appendonly", "no")
        redis = subprocess.Popen(["redis-server", *options], stdout=subprocess.DEVNULL)
        os.environ |= {
            "BENCH_REDIS": f"redis://127.0.0.1:{port}/0",
            "BENCH_MONEY": job.money,
            "BENCH_DATABASE": job.database,
            "BENCH_TPS_OF_A_WORKER": str(job.tps_of_a_worker),
        }
        celery = [sys.executable, "-m", "celery", "-A", "tasks", "worker", "--pool", "threads", "--without-gossip"]
        celery += ["--without-mingle", "--without-heartbeat", "--loglevel", "ERROR", "--concurrency", str(threads)]
        workers: list[subprocess.Popen[bytes]] = []
        try:
            wait_for(port)
            from tasks import pay

            with psycopg.connect(job.database, autocommit=True) as connection:
                rows = connection.execute(ROWS, (1, 0)).fetchall()
                with pay.app.producer_or_acquire() as producer:
                    for row in rows:
                        pay.apply_async(row, producer=producer)
                for n in range(job.workers):
                    one = [*celery, "--hostname", f"worker{n}@bench"]
                    workers.append(subprocess.Popen(one, cwd=Path(__file__).parent))
                until = time.monotonic() + PAYS_S_MAX
                while connection.execute("select count(*) from bench_result").fetchone()[0] < len(rows):
                    if any(worker.poll() is not None for worker in workers) or time.monotonic() > until:
                        raise SystemExit("Celery did not pay every row")
                    time.sleep(0.2)
        finally:
            for process in (*workers, redis):
                process.send_signal(signal.SIGTERM)
            for process in (*workers, redis):
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    process.kill()


def wait_for(port: int) -> None:
    until = time.monotonic() + READY_S_MAX
    with socket.socket() as one:
        while one.connect_ex(("127.0.0.1", port)):
            if time.monotonic() > until:
                raise SystemExit("Redis does not answer")
            time.sleep(0.05)


if __name__ == "__main__":
    main()
