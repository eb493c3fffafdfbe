"""Celery with Redis: a task for each row; each of the workers takes its part of the limit as `rate_limit`.

A rate limit of Celery counts in one worker process, so a limit over several is divided by hand, as here.
"""

import functools
import os
import threading

import requests
from celery import Celery
from job import CONNECTIONS_OF_A_WORKER, RECORD, TIMEOUT_S, call_of, stamp
from psycopg_pool import ConnectionPool

app = Celery("tasks", broker=os.environ["BENCH_REDIS"])
app.conf.update(
    task_ignore_result=True,
    task_acks_late=True,
    worker_prefetch_multiplier=4,
    broker_connection_retry_on_startup=True,
    worker_hijack_root_logger=False,
)
URL = os.environ["BENCH_MONEY"] + "/v1/points"
RATE = float(os.environ.get("BENCH_TPS_OF_A_WORKER", "0"))
_of_thread = threading.local()


@functools.cache
def results() -> ConnectionPool:
    return ConnectionPool(os.environ["BENCH_DATABASE"], max_size=CONNECTIONS_OF_A_WORKER, open=True)


def session() -> requests.Session:
    if not hasattr(_of_thread, "session"):
        _of_thread.session = requests.Session()
    return _of_thread.session


@app.task(
    rate_limit=f"{RATE}/s" if RATE else None,
    autoretry_for=(requests.RequestException,),
    max_retries=3,
    default_retry_delay=3,
)
def pay(n: int, member_id: str, amount: int, reason: str) -> None:
    headers, body = call_of(member_id, amount, reason)
    stamp(os.environ["BENCH_STAMPS"])
    answer = session().post(URL, data=body, headers=headers, timeout=TIMEOUT_S)
    answer.raise_for_status()
    with results().connection() as connection:
        connection.execute(RECORD, (n, answer.json()["transaction_id"]))
