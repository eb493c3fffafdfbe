"""The bench's page for people: what was measured, how it is counted, tables and plots."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.figures import ratio, spread
from bench.plots import Bar, Move, Moves, bars, moves

if TYPE_CHECKING:
    from bench.contenders import Paid

OURS = "bulkpoint"
FLOOR = {"wrk": "wrk: the floor"}  # what the machine gives, with nothing remembered
LIMIT = 1_000
KEY = "ring: as sent; dot: as received, after a delay that varies by 0, 10 or 50 ms; last: share of the limit used"
HOW = """\
How to read it. Each round measures everyone once, in turn. Rates and CPU are medians of the rounds; a worst second is
the largest of them; spread is (largest - smallest) / median. "ours / theirs" is the median of the ratios within each
round: of payments/s, above 1 bulkpoint is faster; of CPU, below 1 it needs less. wrk pays on the same endpoint and
remembers nothing: it is the machine's limit.

How it is counted, the same for all. Payments a second: from the first to the last credit in the receiver's ledger. CPU:
of all processes between these two moments, so without start and end, and without filling a queue beforehand (Celery,
DBOS); a broker is in, the receiver and the way to it are not, PostgreSQL stands apart; "with start" is the CPU of the
whole command, all parts, divided by as few payments as were made here. Worst second, sent: by the sender's own stamps
right before its HTTP client gets the call. Received: by the receiver's clock when it has read a request; while it
stands still, requests wait and are counted together ("receiver's stall"). Share of the limit used: whole seconds from
2 s after the first call to 2 s before the last one, so that neither a burst at the start nor workers that end one by
one count. Jitter: a proxy delays each request by a random time, up to so much; without jitter there is no proxy.
"""

WHO = """\
Who is measured. bulkpoint: the job as `campaign start` runs it, 4 partitions; each claim, call and answer is recorded.
wrk: one thread, 64 connections; records nothing. Afternoon script: asyncio, aiohttp, uvloop and psycopg, 64 calls in
flight in each process; upserts results 500 at a time and records nothing else, so after a crash it does not know what
it has paid. Literal job: PySpark with foreachPartition, requests, ratelimit, tenacity and an upsert for each row; a
partition waits for one answer after the other, so at 50 ms four of them make 80 calls a second at most. Celery with
Redis: a task for each row, on threads. DBOS: a workflow for each row, on threads. Without limit a peer has one process
for each core. Limiters that know one process only (ratelimit, aiolimiter, Celery's rate_limit) get a quarter of the
limit in each of 4 processes; Redis and DBOS count for all. "Its burst 1" is aiolimiter with room for one call: by
default it begins with a second's calls at once. Where a worst second is far below the limit, the program was too slow
on this machine to reach it, and the figure says nothing about its limiter.
"""


def write_page(
    folder: Path,
    machine: Mapping[str, Any],
    fast: Mapping[str, Sequence["Paid"]],
    limited: Mapping[int, Mapping[str, Sequence["Paid"]]],
    missing: Mapping[str, str],
) -> Path:
    """Write latest.md and its plots; returns its path."""
    loop = machine["loop_s"]
    sections = [
        "# bulkpoint and its peers",
        f"{machine['cores']} cores, {machine['memory_gib']} GiB, {machine['system']}. A fixed loop took"
        f" {loop['smallest']} to {loop['largest']} s between the measurements: how fast the machine was.",
    ]
    if fast:
        values = [_bar(name, [one.payments_s for one in paid]) for name, paid in fast.items() if paid]
        (folder / "payments.svg").write_text(bars("payments a second, without limit", values), encoding="utf-8")
        sections += ["## Without limit", "![payments a second](payments.svg)", fast_table(fast)]
    if limited:
        drawing = moves(f"calls in the worst second, limit {LIMIT:,}", KEY, moves_of(limited), LIMIT)
        (folder / "exactness.svg").write_text(drawing, encoding="utf-8")
        sections += [
            f"## At a limit of {LIMIT:,} calls a second, 4 workers, 50 ms",
            "![calls in the worst second](exactness.svg)",
            exact_table(limited),
        ]
        if direct := limited.get(0):
            sections += ["The same without jitter, in detail:", limited_table(direct)]
    sections += [f"{name} was not measured: {why}" for name, why in missing.items()]
    sections += ["## What is measured", HOW, WHO]
    path = folder / "latest.md"
    path.write_text("\n\n".join(sections), encoding="utf-8")
    return path


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of Markdown; all columns but the first are numbers."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def fast_table(fast: Mapping[str, Sequence["Paid"]]) -> str:
    """Payments a second and CPU of each."""
    ours = fast.get(OURS, ())
    head = ("", "payments/s", "spread", "ours / theirs", "CPU us a payment", "ours / theirs", "PostgreSQL us")
    rows = []
    for name, paid in fast.items():
        if not paid:
            continue
        rates = [one.payments_s for one in paid]
        row = [name, f"{statistics.median(rates):,.0f}", f"{spread(rates) or 0:.0%}"]
        row.append(_ratio(ours, paid, lambda one: one.payments_s))
        row += [_median(paid, lambda one: one.cpu_own_us), _ratio(ours, paid, lambda one: one.cpu_own_us)]
        row += [_median(paid, lambda one: one.cpu_store_us), _median(paid, lambda one: one.cpu_all_us)]
        rows.append(row)
    parts = sorted({part for one in ours for part in one.cpu_us})
    medians = {part: statistics.median(one.cpu_us.get(part, 0.0) for one in ours) for part in parts}
    of_parts = ", ".join(f"{part} {us:,.0f}" for part, us in medians.items())
    return (
        f"{table((*head, 'all, with start, us'), rows)}\n\nCPU of bulkpoint while it pays, in us a payment: {of_parts}."
    )


def limited_table(direct: Mapping[str, Sequence["Paid"]]) -> str:
    """The worst second and the share used of each, without jitter."""
    head = ("", "worst second, sent", "received", "share of the limit used", "spread", "receiver's stall, ms")
    rows = []
    for name, paid in direct.items():
        if paid:
            shares = [one.share_of_limit or 0.0 for one in paid]
            row = [name, f"{max(one.worst_second_sent or 0 for one in paid):,}"]
            row += [f"{max(one.worst_second for one in paid):,}", f"{statistics.median(shares):.1%}"]
            rows.append([*row, f"{spread(shares) or 0:.1%}", f"{max(one.stall_ms for one in paid):.0f}"])
    return table(head, rows)


def exact_table(limited: Mapping[int, Mapping[str, Sequence["Paid"]]]) -> str:
    """Sent, received and used by each limiter, a column for each jitter."""
    head = ("sent → received, share used", *(f"jitter {jitter_ms} ms" for jitter_ms in limited))
    rows = []
    for one in moves_of(limited):
        words = {move.note: f"{move.sent:,.0f} → {move.received:,.0f}{move.remark}" for move in one.moves}
        rows.append([one.name, *(words.get(f"{jitter_ms} ms", "") for jitter_ms in limited)])
    return table(head, rows)


def moves_of(limited: Mapping[int, Mapping[str, Sequence["Paid"]]]) -> list[Moves]:
    """By limiter: the largest worst second as sent and as received, for each jitter."""
    names = dict.fromkeys(name for of in limited.values() for name in of)
    found = []
    for name in names:
        rows = []
        for jitter_ms, of in limited.items():
            if paid := of.get(name):
                sent = max(one.worst_second_sent or 0 for one in paid)
                share = statistics.median(one.share_of_limit or 0.0 for one in paid)
                rows.append(Move(f"{jitter_ms} ms", sent, max(one.worst_second for one in paid), f", {share:.0%}"))
        found.append(Moves(name, rows, name.startswith(OURS)))
    return found


def _bar(name: str, values: Sequence[float]) -> Bar:
    return Bar(FLOOR.get(name, name), statistics.median(values), min(values), max(values), name == OURS)


def _median(paid: Sequence["Paid"], value: Callable[["Paid"], float]) -> str:
    return f"{statistics.median(value(one) for one in paid):,.0f}" if paid else ""


def _ratio(ours: Sequence["Paid"], theirs: Sequence["Paid"], value: Callable[["Paid"], float]) -> str:
    of_rounds = ratio([value(one) for one in ours], [value(one) for one in theirs])
    return "" if of_rounds is None else f"{of_rounds:,.2f}"
