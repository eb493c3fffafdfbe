"""Starts Redis, the producer and the workers of tasks.py, and ends when every row has its result."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
from job import PAYS_S_MAX, ROWS, Job, read_job
from redis_server import own_redis

ENDS_S_MAX = 20


def enqueue(job: Job) -> int:
    """A task for each row; returns how many."""
    from tasks import pay

    with psycopg.connect(job.database) as connection:
        rows = connection.execute(ROWS, (1, 0)).fetchall()
    with pay.app.producer_or_acquire() as producer:
        for row in rows:
            pay.apply_async(row, producer=producer)
    return len(rows)


def begin_worker(number: int, threads: int) -> "subprocess.Popen[bytes]":
    quiet = ("--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "ERROR")
    command = [sys.executable, "-m", "celery", "-A", "tasks", "worker", "--pool", "threads", *quiet]
    command += ["--concurrency", str(threads), "--hostname", f"worker{number}@bench"]
    return subprocess.Popen(command, cwd=Path(__file__).parent)


def main() -> None:
    job = read_job()
    os.environ |= {
        "BENCH_MONEY": job.money,
        "BENCH_DATABASE": job.database,
        "BENCH_STAMPS": job.stamps,
        "BENCH_TPS_OF_A_WORKER": str(job.tps_of_a_worker),
    }
    with own_redis():
        count = enqueue(job)
        workers = [begin_worker(number, job.calls) for number in range(job.workers)]
        try:
            with psycopg.connect(job.database, autocommit=True) as connection:
                until = time.monotonic() + PAYS_S_MAX
                while connection.execute("select count(*) from bench_result").fetchone()[0] < count:
                    if any(worker.poll() is not None for worker in workers) or time.monotonic() > until:
                        raise SystemExit("Celery did not pay every row")
                    time.sleep(0.2)
        finally:
            for worker in workers:
                worker.send_signal(signal.SIGTERM)
            for worker in workers:
                try:
                    worker.wait(ENDS_S_MAX)
                except subprocess.TimeoutExpired:
                    worker.kill()


if __name__ == "__main__":
    main()
