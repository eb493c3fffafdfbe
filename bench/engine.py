"""The engine under trouble: failures, money that allows half, or 30/s without a burst, an outage, a throttle, a stop.

    python -m bench.engine [faults half burst outage control]     (or burst-429, burst-503 for one half of burst)

About twelve minutes for all five, on the real job, an embedded PostgreSQL and the sandbox. Reports, asserts nothing.
"""

import argparse
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from bench.quick import figures, pay, worst_second
from tests.world.deployment import Deployment, embedded_deployment

TRANSIENT = {
    "unavailable": 0.02,
    "close_before_credit": 0.01,
    "credit_then_500": 0.01,
    "credit_then_close": 0.01,
}
# A limiter's rate without a burst; seconds until it is found; seconds before the first share ends that do not count.
ALLOWED, FOUND_S, BEFORE_END_S = 30, 20, 3
RUNS_FOR_10_S = b"select coalesce(min(sent_at) < clock_timestamp() - interval '10 s', false) from payment_attempt"


def faults(folder: Path, targets: int, timeout_s: float) -> None:
    """5 % transient failures, 1 % answered 3 s later than the timeout."""
    ratios = {**TRANSIENT, "slow": 0.01}
    options = [option for fault, ratio in ratios.items() for option in ("--fault", f"{fault}={ratio}")]
    with embedded_deployment(
        folder, "--latency-ms", "50", *options, BULKPOINT_TPS=1_000, BULKPOINT_MONEY_TIMEOUT_S=timeout_s
    ) as bench:
        bench.money.change(slow_s=timeout_s + 3)
        at = pay(bench, targets)
        # In the tail retries and look-ups wait for their time; the limit is there for those before it.
        ((first_tries_s, calls),) = bench.query(
            b"with t as (select min(sent_at) as began from payment_attempt),"
            b" f as (select max(at) as ended from (select min(sent_at) as at from payment_attempt group by seq) x)"
            b" select extract(epoch from f.ended - t.began)::float8, count(*) from payment_attempt a, t, f"
            b" where a.sent_at <= f.ended group by f.ended, t.began"
        )
        reconciled = bench.run("reconcile", "1")
        ((success,),) = bench.query(b"select success from campaign_count")
        print(f"\n5 % transient failures and 1 % beyond the timeout: 1,000 TPS, 50 ms, {targets:,} targets", end="")
        print(f", time-out {timeout_s:g} s")
        print(f"  limit used, first to last call {at['calls'] / at['calling_s'] / 1_000:.1%}", end="; ")
        print(f"until the last payment's first try {calls / first_tries_s / 1_000:.1%}; {at['calls']:,} calls")
        print(f"  worst sliding second {worst_second(at)}")
        print(
            f"  reconcile exit {reconciled.returncode}: SUCCESS {success:,}, ledger {bench.money.stats()['credits']:,}",
            end="",
        )
        print(f"; paid twice: {at['paid_twice']}")


def half(folder: Path) -> None:
    """Money that allows 1,000, then suddenly 500."""
    with embedded_deployment(folder, "--latency-ms", "50", BULKPOINT_TPS=1_000, BULKPOINT_WAVE_SECONDS=20) as bench:
        bench.create(60_000)
        job = bench.begin("campaign", "start", "1", "--yes")
        bench.wait_for(RUNS_FOR_10_S, seconds=600)
        bench.money.change(tps_limit=500)
        ((changed,),) = bench.query(b"select clock_timestamp()")
        job.communicate()
        rows = bench.query(
            b"select floor(extract(epoch from sent_at - '%s'::timestamptz))::int / 5,"
            b" count(*) filter (where outcome = 'CREDITED'), count(*) filter (where outcome = 'THROTTLED')"
            b" from payment_attempt where sent_at > '%s' group by 1 order by 1"
            % (changed.isoformat().encode(), changed.isoformat().encode())
        )
        settled = rows[2:-4]  # without the last wave's tail, in which fewer and fewer partitions have payments left
        seconds = 5 * len(settled)
        credited, throttled = sum(row[1] for row in settled), sum(row[2] for row in settled)
        print("\nmoney suddenly allows half (500 of 1,000 TPS), waves of 20 s")
        print(f"  per 5 s from then on, credited (throttled): {', '.join(f'{c:,} ({t})' for _, c, t in rows)}")
        print(f"  from 10 s after to 20 s before the end: {credited / seconds / 500:.1%} of that half used", end=", ")
        print(f"{throttled / (credited + throttled):.2%} of the calls answered 429; {failed(bench)}")


def burst(folder: Path, status: int) -> None:
    """Money that allows 30 calls a second without any burst, as nginx does by default; four partitions take turns."""
    with embedded_deployment(
        folder, "--latency-ms", "50", BULKPOINT_TPS=200, BULKPOINT_PARTITIONS=4, BULKPOINT_WAVE_SECONDS=600
    ) as bench:
        bench.money.change(tps_limit=ALLOWED, limit_burst=0, limit_status=status)
        bench.create(1_200)
        job = bench.begin("campaign", "start", "1", "--yes")
        bench.wait_for(b"select count(released_at) > 0 from money_share", seconds=600)
        ((first_end,),) = bench.query(b"select extract(epoch from min(released_at))::float8 from money_share")
        job.communicate()
        rows = bench.query(
            b"select extract(epoch from sent_at)::float8 from payment_attempt where outcome = 'CREDITED' order by 1"
        )
        sent = [float(at) for (at,) in rows]
        ((refused,),) = bench.query(b"select count(*) from payment_attempt where outcome <> 'CREDITED'")
        began, ended = sent[0] + FOUND_S, float(first_end) - BEFORE_END_S
        used = sum(began <= at < ended for at in sent) / (ended - began) / ALLOWED
        best = max(sum(begin <= at < begin + 10 for at in sent) for begin in sent) / 10 / ALLOWED
        print(f"\nmoney allows {ALLOWED}/s without any burst and answers {status} above that; 200 TPS, 4 partitions")
        print(f"  of what it allows {used:.0%} is used from {FOUND_S} s after the first call", end=" ")
        print(f"until {BEFORE_END_S} s before the first share ends ({ended - began:.0f} s); best 10 s {best:.0%}")
        print(f"  {refused:,} calls refused, {len(sent):,} credited; {failed(bench)}")


def outage(folder: Path) -> None:
    """Money answers 503 to everything for 60 s."""
    with embedded_deployment(folder, "--latency-ms", "50", BULKPOINT_TPS=1_000, BULKPOINT_WAVE_SECONDS=20) as bench:
        bench.create(40_000)
        job = bench.begin("campaign", "start", "1", "--yes")
        bench.wait_for(RUNS_FOR_10_S, seconds=600)
        bench.money.change(unavailable=1, retry_after=None)
        time.sleep(60)
        bench.money.change(unavailable=0)
        job.communicate()
        at = figures(bench)
        ((probes,),) = bench.query(b"select count(*) from payment_attempt where outcome <> 'CREDITED'")
        print("\nan outage of 60 s in a campaign of 40 s")
        print(f"  first to last call {at['calling_s']:.1f} s; {probes:,} calls not credited; {failed(bench)}")


def failed(bench: Deployment) -> str:
    ((success, failures),) = bench.query(b"select success, failed from campaign_count")
    return f"{success:,} SUCCESS, {failures:,} FAILED"


def control(folder: Path) -> None:
    """From the commit of `tps set` and `stop` to the last call under the old value."""
    with embedded_deployment(folder, "--latency-ms", "50", BULKPOINT_TPS=1_000) as bench:
        bench.create(200_000)
        job = bench.begin("campaign", "start", "1", "--yes")
        bench.wait_for(RUNS_FOR_10_S, seconds=600)
        bench.succeed("tps", "set", "100")
        time.sleep(5)
        bench.succeed("tps", "set", "1000")
        time.sleep(5)
        asked = datetime.now(UTC)
        bench.succeed("campaign", "stop", "1")
        job.communicate()
        # Gates that have heard of the new value are silent until their last second holds fewer calls than it allows.
        ((throttle_s,),) = bench.query(
            b"select extract(epoch from min(a.sent_at) - min(a.occurred_at))::float8 from ("
            b"   select t.sent_at, c.occurred_at, lead(t.sent_at) over (order by t.sent_at) - t.sent_at as silence"
            b"   from payment_attempt t, (select occurred_at from audit_event where action = 'tps.set'"
            b"   order by audit_no limit 1) c where t.sent_at > c.occurred_at) a where silence > interval '0.3 s'"
        )
        ((stop_s,),) = bench.query(
            b"select extract(epoch from max(a.sent_at) - r.finished_at)::float8"
            b" from payment_attempt a join campaign_run r using (run_id) group by r.finished_at"
        )
        print("\nthrottle 1,000 -> 100 and stop, at full speed")
        print(f"  last call under the old value {throttle_s:.2f} s after the commit of `tps set`")
        print(f"  last call {stop_s:.2f} s after the commit of `stop` (negative: before it)", end="; ")
        print(f"the command returned {(datetime.now(UTC) - asked).total_seconds():.1f} s after it was given")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", default=["faults", "half", "burst", "outage", "control"])
    parser.add_argument("--targets", type=int, default=200_000, help="of the campaign with faults")
    parser.add_argument("--timeout-s", type=float, default=5, help="BULKPOINT_MONEY_TIMEOUT_S of that campaign")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bulkpoint-bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        for what in arguments.what:
            match what:
                case "faults":
                    faults(folder / what, arguments.targets, arguments.timeout_s)
                case "half":
                    half(folder / what)
                case "burst":
                    for status in (429, 503):
                        burst(folder / f"{what}-{status}", status)
                case "burst-429" | "burst-503":
                    burst(folder / what, int(what[-3:]))
                case "outage":
                    outage(folder / what)
                case "control":
                    control(folder / what)
                case _:
                    parser.error(f"there is no {what}")


if __name__ == "__main__":
    main()
