"""What all peers share: their arguments, the rows to pay, the call that pays one, and the table of results.

A peer is a program that somebody would write or take instead of bulkpoint. Peers run in environments of their own,
import nothing of bulkpoint, and pay the same rows through the same sandbox. They keep results, and nothing else.
"""

import argparse
import functools
import json
import os
import struct
import time
import uuid
from dataclasses import dataclass

# Result tables and rows: made by bench/contenders.py before a peer starts.
ROWS = "select n, member_id, amount, reason from bench_target where n %% %s = %s order by n"
RECORD = (
    "insert into bench_result (n, transaction_id) values (%s, %s)"
    " on conflict (n) do update set transaction_id = excluded.transaction_id"
)
NAMESPACE = uuid.UUID("0e4b7f2c-8f43-4c57-9d0e-3a5f0c6b7d11")
CALLS_IN_FLIGHT = 64  # of each worker, unless its command line names another number
CONNECTIONS_OF_A_WORKER = 8  # to the database
TIMEOUT_S = 10.0
PAYS_S_MAX = 600.0  # a peer that takes longer gives up


@dataclass(frozen=True)
class Job:
    """What to pay: tps is the limit over all workers, 0 for none."""

    database: str
    money: str
    tps: int
    workers: int
    limiter: str
    stamps: str
    calls: int

    @property
    def url(self) -> str:
        """Where a payment is posted."""
        return f"{self.money}/v1/points"

    @property
    def tps_of_a_worker(self) -> float:
        """Each worker's part of the limit."""
        return self.tps / self.workers


def read_job() -> Job:
    """The job on the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--database", required=True)
    parser.add_argument("--money", required=True)
    parser.add_argument("--tps", type=int, default=0)
    parser.add_argument("--workers", type=int, required=True)
    parser.add_argument("--limiter", default="aiolimiter", help="of the afternoon script: see limiters.py")
    parser.add_argument("--calls", type=int, default=CALLS_IN_FLIGHT, help="in flight, of each worker")
    parser.add_argument("--stamps", default="", help="a folder: when calls left, as stamp() writes it")
    return Job(**vars(parser.parse_args()))


def stamp(folder: str) -> None:
    """Write when a call leaves, where the job asks for it; to be called right before the HTTP client gets the call.

    A file for each process: eight bytes a call, nanoseconds since 1970. No buffer, so that no kill loses any.
    """
    if folder:
        os.write(_stamps_of(folder, os.getpid()), struct.pack("<q", time.time_ns()))


@functools.cache
def _stamps_of(folder: str, pid: int) -> int:
    return os.open(f"{folder}/{pid}", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


def call_of(member_id: str, amount: int, reason: str) -> tuple[dict[str, str], bytes]:
    """Headers and body of the call that pays one row."""
    headers = {"Content-Type": "application/json", "Idempotency-Key": str(uuid.uuid5(NAMESPACE, member_id))}
    body = {"campaign_id": 1, "member_id": member_id, "amount": amount, "reason": reason}
    return headers, json.dumps(body, ensure_ascii=False).encode()
