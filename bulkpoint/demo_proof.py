"""The proof of the demo: our rows compared with the money API's own ledger, and every call with the limit."""

import json
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from bulkpoint.rules.lifecycle import PaymentState
from bulkpoint.store.proof import Result


@dataclass(frozen=True)
class Comparison:
    """Our rows compared with the money API's ledger, member by member."""

    paid: int
    credited: int
    credited_twice: int
    other_amount: int
    paid_not_credited: int
    credited_not_paid: int

    @property
    def equal(self) -> bool:
        wrong = (self.credited_twice, self.other_amount, self.paid_not_credited, self.credited_not_paid)
        return not any(wrong) and self.paid == self.credited


def compare(results: Sequence[Result], ledger: Sequence[dict[str, Any]]) -> Comparison:
    """Compare our rows with the ledger's lines."""
    paid = {result.member_id: result for result in results if result.state == PaymentState.SUCCESS}
    credited: dict[str, dict[str, Any]] = {}
    twice = 0
    for line in ledger:
        twice += line["member_id"] in credited
        credited[line["member_id"]] = line
    both = paid.keys() & credited.keys()
    return Comparison(
        paid=len(paid),
        credited=len(ledger),
        credited_twice=twice,
        other_amount=sum(paid[member].amount != credited[member]["amount"] for member in both),
        paid_not_credited=len(paid.keys() - both),
        credited_not_paid=len(credited.keys() - both),
    )


def most_in_a_second(instants: Sequence[float]) -> int:
    """The largest number of instants in any sliding second (half-open); `instants` in seconds, ascending."""
    most = first = 0
    for last, instant in enumerate(instants):
        while instants[first] <= instant - 1:
            first += 1
        most = max(most, last - first + 1)
    return most


def share_used(sends: Sequence[tuple[float, int]], tps: int) -> float:
    """How much of the limit was used while payments were sent for the first time; after that it waits for retries."""
    firsts: dict[int, float] = {}
    for instant, seq in sends:
        firsts.setdefault(seq, instant)
    begin, end = min(firsts.values()), max(firsts.values())
    if end - begin < 1:
        return 0.0
    return sum(begin <= instant < end for instant, _ in sends) / (tps * (end - begin))


def read_ledger(money_url: str) -> list[dict[str, Any]]:
    """Every credit that the stand-in gave."""
    with urllib.request.urlopen(f"{money_url}/sandbox/ledger", timeout=60) as answer:  # noqa: S310 (our own address)
        return [json.loads(line) for line in answer if line.strip()]


def read_stats(money_url: str) -> dict[str, Any]:
    """What the stand-in counted."""
    with urllib.request.urlopen(f"{money_url}/sandbox/stats", timeout=60) as answer:  # noqa: S310 (our own address)
        stats: dict[str, Any] = json.load(answer)
        return stats


def print_proof(
    console: Console, compared: Comparison, sends: Sequence[tuple[float, int]], stats: dict[str, Any], tps: int
) -> None:
    """Say whether both sides are equal; `sends` as our rows have them, `stats` as the stand-in has them."""

    def mark(good: bool) -> str:
        return "[green]ok[/]" if good else "[red]WRONG[/]"

    ours = most_in_a_second([instant for instant, _ in sends])
    theirs, stall_ms = stats["max_per_second"], stats["stall_ms_max"]
    table = Table(show_header=False, title_justify="left", title_style="bold")
    table.title = "The proof, by money's own ledger and clock"
    table.add_column()
    table.add_column(justify="right")
    table.add_column()
    table.add_row("paid, by our rows", f"{compared.paid:,}", "")
    table.add_row("credited, by money's ledger", f"{compared.credited:,}", mark(compared.paid == compared.credited))
    table.add_row("members credited twice", f"{compared.credited_twice:,}", mark(not compared.credited_twice))
    table.add_row("credited with another amount", f"{compared.other_amount:,}", mark(not compared.other_amount))
    table.add_row(
        "paid by our rows, not in the ledger", f"{compared.paid_not_credited:,}", mark(not compared.paid_not_credited)
    )
    table.add_row(
        "in the ledger, not paid by our rows", f"{compared.credited_not_paid:,}", mark(not compared.credited_not_paid)
    )
    table.add_section()
    table.add_row("calls sent, tries again included", f"{len(sends):,}", "")
    table.add_row(f"most in any sliding second, as they left (limit {tps:,})", f"{ours:,}", mark(ours <= tps))
    arrived = mark(True) if theirs <= tps else "[yellow]*[/]"
    table.add_row("most in any sliding second, as they arrived", f"{theirs:,}", arrived)
    table.add_row("of the limit used", f"{100 * share_used(sends, tps):.1f} %", "")
    console.print(table)
    if theirs > tps:
        console.print(
            f"* Calls waited on their way and arrived together: this machine was busy (money stood still for"
            f" {stall_ms:,.0f} ms).\n  BULKPOINT_LIMIT_COUNTS_FROM=answer holds the limit at money's clock even then."
        )
