"""What PostgreSQL spends on a payment while paying: claims and records as the workers make them, no HTTP, no Spark.

    python -m bench.statements [--rows 60000] [--connections 4] [--order hash|turns|ranges] [--mixed]

A frozen campaign in an embedded PostgreSQL of its own. Each connection claims 500 rows and records them, as one
partition does. CPU is that of all PostgreSQL processes, from /proc; the log's bytes are those of pg_current_wal_lsn.
Reports, asserts nothing. To compare two trees, run it in both, in turn.
"""

import argparse
import os
import random
import tempfile
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

from bulkpoint.embedded.postgres import embedded_postgres, embedded_server
from bulkpoint.ids import new_id
from bulkpoint.pay.claims import CLAIM_ROWS_MAX
from bulkpoint.pay.recorder import REASONS
from bulkpoint.store.connect import Connection, connect
from bulkpoint.store.migrate import migrate
from bulkpoint.store.payment import Attempt, Change, claim_payments, record_results
from bulkpoint.store.run import Run
from bulkpoint.store.share import ShareToken, acquire_share
from tests.world.campaigns import World
from tests.world.processes import all_processes

NANOSECONDS = 1e9
# Claimed and not yet recorded: what a worker claims ahead of its calls.
BATCHES_AHEAD = 4
# One in fifty each, with --mixed.
FAILURES = {0: "REJECTED", 1: "UNAVAILABLE", 2: "UNKNOWN"}


def measure(conninfo: str, server: int, *, rows: int, connections: int, order: str, mixed: bool) -> dict[str, float]:
    """Pays one campaign; the figures, per payment."""
    with connect(conninfo) as connection:
        world = World(connection, tps=1_000_000, shares=connections)
        campaign = world.campaign([(f"member-{n:09}", 1_000, "Thank you for ten years") for n in range(rows)])
        run = campaign.begun().driver_ends(in_s=3_600).run
        connection.execute("vacuum analyze payment")
        connection.execute("checkpoint")
        ((before,),) = connection.execute("select pg_current_wal_lsn()").fetchall()
        before_s, began = cpu_of_all(server), time.monotonic()
        with ThreadPoolExecutor(connections) as pool:
            busy = list(pool.map(lambda seqs: pay(conninfo, run, seqs, mixed), deal(rows, connections, order)))
        took_s = time.monotonic() - began
        # What the bench's own connection did meanwhile is nothing; those of the payers have ended.
        other_s = cpu_of_all(server) - before_s
        claim_s, record_s = (sum(seconds) for seconds in zip(*busy, strict=True))
        ((wal, size),) = connection.execute(
            "select pg_current_wal_lsn() - %s, pg_total_relation_size(%s)", (before, f"payment_{campaign.id}")
        ).fetchall()
        ((updates, heap_only),) = connection.execute(
            "select n_tup_upd, n_tup_hot_upd from pg_stat_user_tables where relname = %s", (f"payment_{campaign.id}",)
        ).fetchall()
    return {
        "us": (claim_s + record_s + other_s) / rows * 1e6,
        "claim_us": claim_s / rows * 1e6,
        "record_us": record_s / rows * 1e6,
        "other_us": other_s / rows * 1e6,
        "wal_bytes": float(wal) / rows,
        "payment_bytes": size / rows,
        "heap_only_share": heap_only / max(1, updates),
        "payments_s": rows / took_s,
    }


def deal(rows: int, hands: int, order: str) -> list[list[int]]:
    """The numbers of the payments, as each connection gets them."""
    seqs = list(range(1, rows + 1))
    if order == "ranges":
        return [seqs[hand * rows // hands : (hand + 1) * rows // hands] for hand in range(hands)]
    if order == "turns":
        return [seqs[hand::hands] for hand in range(hands)]
    random.Random(7).shuffle(seqs)
    return [seqs[hand::hands] for hand in range(hands)]


def pay(conninfo: str, run: Run, seqs: Sequence[int], mixed: bool) -> tuple[float, float]:
    """One partition's statements; CPU seconds of its connection's process for claims and for records."""
    claim_s = record_s = 0.0
    with connect(conninfo, name="bulkpoint bench") as connection:
        pid = connection.info.backend_pid
        acquired = acquire_share(connection, run.token, uuid4(), lease_s=3_600)
        if acquired is None:
            raise RuntimeError("no share is free")
        claimed: deque[list[int]] = deque()
        for first in range(0, len(seqs) + BATCHES_AHEAD * CLAIM_ROWS_MAX, CLAIM_ROWS_MAX):
            at_first = cpu_of(pid)
            if batch := sorted(seqs[first : first + CLAIM_ROWS_MAX]):
                claims = claim_payments(connection, run.token, acquired.token, batch)
                claimed.append([claim.seq for claim in claims])
            at_claimed = cpu_of(pid)
            if claimed and first >= BATCHES_AHEAD * CLAIM_ROWS_MAX:
                record(connection, run, acquired.token, claimed.popleft(), mixed)
            claim_s += at_claimed - at_first
            record_s += cpu_of(pid) - at_claimed
    return claim_s, record_s


def record(connection: Connection, run: Run, token: ShareToken, seqs: Sequence[int], mixed: bool) -> None:
    now = time.time()
    attempts, changes = [], []
    for seq in seqs:
        kind = FAILURES.get(seq % 50) if mixed else None
        credit = None if kind else f"tx-56f0913bb3-{seq:09}"
        status, outcome = (400, "REJECTED") if kind else (201, "CREDITED")
        sent = Attempt(str(new_id()), "POST", seq, now, now + 0.01, status, outcome, kind and "NO", credit)
        attempts.append(sent)
        changes.append(
            Change(
                seq,
                "FAILED" if kind else "SUCCESS",
                token,
                tries=1,
                maybe_credited=kind == "UNKNOWN",
                last_sent_at=now,
                transaction_id=credit,
                failure_kind=kind,
                failure_code=kind and "NO",
                failure_message=kind and "no",
            )
        )
    record_results(connection, run.token, token.share, attempts, changes, reasons=REASONS)


def cpu_of_all(server: int) -> float:
    """CPU seconds of the processes that the server has now: those that write its log and pages, and connections."""
    return sum(cpu_of(one.pid) for one in all_processes() if one.parent == server)


def cpu_of(pid: int) -> float:
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / NANOSECONDS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=60_000)
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--order", choices=["hash", "turns", "ranges"], default="hash", help="in which rows are dealt")
    parser.add_argument("--mixed", action="store_true", help="three of fifty payments fail")
    options = vars(parser.parse_args())
    with tempfile.TemporaryDirectory(prefix="bulkpoint-bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        with embedded_postgres(folder / "data") as database:
            os.environ["PGPASSFILE"] = str(database.passfile)
            migrate(database.url)
            server = embedded_server(folder / "data")
            assert server is not None
            found = measure(database.url, server.pid, **options)
    print("  ".join(f"{name} {value:,.2f}" for name, value in found.items()))


if __name__ == "__main__":
    main()
