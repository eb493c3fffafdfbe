"""DBOS: a durable workflow for each row on one queue, whose limiter counts for all processes together."""

import functools
import multiprocessing
import os
import threading
import time

import psycopg
import requests
from dbos import DBOS, DBOSClient
from job import (
    CONNECTIONS_OF_A_WORKER,
    PAYS_S_MAX,
    RECORD,
    ROWS,
    TIMEOUT_S,
    Job,
    call_of,
    read_job,
    stamp,
)
from psycopg_pool import ConnectionPool

QUEUE = "payments"
_of_thread = threading.local()
_job: Job


@functools.cache
def results() -> ConnectionPool:
    return ConnectionPool(_job.database, max_size=CONNECTIONS_OF_A_WORKER, open=True)


def session() -> requests.Session:
    if not hasattr(_of_thread, "session"):
        _of_thread.session = requests.Session()
    return _of_thread.session


@DBOS.step(retries_allowed=True, max_attempts=4, interval_seconds=3, backoff_rate=1)
def call(member_id: str, amount: int, reason: str) -> str:
    headers, body = call_of(member_id, amount, reason)
    stamp(_job.stamps)
    answer = session().post(_job.url, data=body, headers=headers, timeout=TIMEOUT_S)
    answer.raise_for_status()
    return answer.json()["transaction_id"]


@DBOS.workflow()
def pay(n: int, member_id: str, amount: int, reason: str) -> None:
    transaction_id = call(member_id, amount, reason)
    with results().connection() as connection:
        connection.execute(RECORD, (n, transaction_id))


def launch(job: Job, worker: int) -> None:
    global _job  # noqa: PLW0603 (the workflow's arguments are stored; the job's address is not one of them)
    _job = job
    config = {
        "name": "bench",
        "system_database_url": job.database,
        "executor_id": f"worker{worker}",
        "application_version": "1",
        "log_level": "ERROR",
        "sys_db_pool_size": CONNECTIONS_OF_A_WORKER,
        "run_admin_server": False,
    }
    DBOS(config=config)
    DBOS.launch()
    limit = {"limit": job.tps, "period": 1.0} if job.tps else None
    DBOS.register_queue(
        QUEUE, worker_concurrency=job.calls, limiter=limit, polling_interval_sec=0.1, on_conflict="always_update"
    )


def work(job: Job, worker: int, over: "multiprocessing.synchronize.Event") -> None:
    launch(job, worker)
    over.wait()
    os._exit(0)  # its threads are not asked: everything is in the database


def enqueue(job: Job) -> int:
    client = DBOSClient(system_database_url=job.database)
    with psycopg.connect(job.database) as connection:
        rows = connection.execute(ROWS, (1, 0)).fetchall()
    options = {"queue_name": QUEUE, "workflow_name": "pay", "app_version": "1"}
    for row in rows:
        client.enqueue(options | {"workflow_id": f"row-{row[0]}"}, *row)
    return len(rows)


def main() -> None:
    job = read_job()
    context = multiprocessing.get_context("spawn")
    first = context.Event()
    first.set()
    makes_tables = context.Process(target=work, args=(job, 0, first))
    makes_tables.start()
    makes_tables.join()
    count = enqueue(job)
    over = context.Event()
    workers = [context.Process(target=work, args=(job, n, over)) for n in range(job.workers)]
    for process in workers:
        process.start()
    try:
        with psycopg.connect(job.database, autocommit=True) as connection:
            until = time.monotonic() + PAYS_S_MAX
            while connection.execute("select count(*) from bench_result").fetchone()[0] < count:
                if any(process.exitcode is not None for process in workers) or time.monotonic() > until:
                    raise SystemExit("DBOS did not pay every row")
                time.sleep(0.2)
    finally:
        over.set()
    for process in workers:
        process.join(10)


if __name__ == "__main__":
    main()
