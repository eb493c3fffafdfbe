"""What all peers share: their arguments, the rows to pay, the call that pays one, and the table of results.

A peer is a program that somebody would write or take instead of bulkpoint. Peers run in environments of their own,
import nothing of bulkpoint, and pay the same rows through the same sandbox. They keep results, and nothing else.
"""

import argparse
import json
import uuid
from dataclasses import dataclass

# Result tables and rows: made by bench/contenders.py before a peer starts.
ROWS = "select n, member_id, amount, reason from bench_target where n %% %s = %s order by n"
RECORD = (
    "insert into bench_result (n, transaction_id) values (%s, %s)"
    " on conflict (n) do update set transaction_id = excluded.transaction_id"
)
NAMESPACE = uuid.UUID("0e4b7f2c-8f43-4c57-9d0e-3a5f0c6b7d11")
CALLS_IN_FLIGHT = 64  # of each worker
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
    return Job(**vars(parser.parse_args()))


def call_of(member_id: str, amount: int, reason: str) -> tuple[dict[str, str], bytes]:
    """Headers and body of the call that pays one row."""
    headers = {"Content-Type": "application/json", "Idempotency-Key": str(uuid.uuid5(NAMESPACE, member_id))}
    body = {"campaign_id": 1, "member_id": member_id, "amount": amount, "reason": reason}
    return headers, json.dumps(body, ensure_ascii=False).encode()
