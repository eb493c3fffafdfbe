"""Compare the money API's settlement (its list of credits) with a campaign's payments; repair what it proves."""

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from bulkpoint.campaigns.correction import correct_end
from bulkpoint.intake.settlement_file import read_settlement
from bulkpoint.reconcile.ended_run import check_reconcilable
from bulkpoint.store.audit import write_audit
from bulkpoint.store.connect import Connection
from bulkpoint.store.reconcile import (
    Difference,
    Kind,
    compare_settlement,
    keep_from_starting,
    list_differences,
    load_settlement,
    repair_from_settlement,
)


@dataclass(frozen=True, slots=True)
class Compared:
    """Counts: our payments and the API's credits compared; payments found credited (now SUCCESS), and still open."""

    payments: int
    credits: int
    credited: int
    unknown: int


def compare_with_settlement(
    connection: Connection,
    campaign_id: int,
    settlement: Path,
    *,
    actor: str,
    say: Callable[[str], None],
    report: Callable[[Difference], None],
) -> Compared:
    """Report every payment and every credit on which the two sides differ, as they were before any repair.

    A payment that the API credited with its amount, and that is not SUCCESS in our record, becomes SUCCESS; nothing
    else changes. One transaction, with its audit row and the event of the new figures; the campaign cannot start
    meanwhile. Neither side is kept in memory.

    Raises RefusedError for a bad file, and where the campaign is RUNNING or was never started; nothing is changed then.
    """
    run = check_reconcilable(connection, campaign_id)
    with connection.transaction():
        keep_from_starting(connection, campaign_id)
        run = check_reconcilable(connection, campaign_id)
        say(f"Reading {settlement.name} ...")
        load_settlement(connection, read_settlement(settlement, campaign_id))
        payments, credits = compare_settlement(connection, run)
        say(f"Compared {payments:,} payments with {credits:,} credits of campaign {campaign_id} in {settlement.name}.")
        repaired = repair_from_settlement(connection, run)
        kinds = Counter[str]()
        for difference in list_differences(connection):
            kinds[difference.kind] += 1
            report(difference)
        compared = Compared(payments, credits, repaired, kinds[Kind.OPEN])
        if repaired:
            correct_end(connection, campaign_id, run.run_id, actor=actor)
        write_audit(
            connection,
            action="reconcile",
            campaign_id=campaign_id,
            run_no=run.run_no,
            actor=actor,
            detail={"by": "settlement", "file": settlement.name, **asdict(compared), "differences": dict(kinds)},
        )
    return compared
