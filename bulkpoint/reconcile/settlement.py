"""Compare the money API's settlement (its list of credits) with a campaign's payments; repair what it proves."""

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from bulkpoint.campaigns.correction import correct_end
from bulkpoint.files import name_of
from bulkpoint.intake.settlement_file import SettlementForm, read_settlement
from bulkpoint.reconcile.ended_run import check_reconcilable
from bulkpoint.rules.refusals import Refusal
from bulkpoint.store.audit import write_audit
from bulkpoint.store.connect import Connection
from bulkpoint.store.reconcile import (
    Difference,
    compare_settlement,
    count_in_doubt,
    keep_from_starting,
    list_differences,
    load_settlement,
    repair_from_settlement,
)
from bulkpoint.views.sentences import sentence


@dataclass(frozen=True, slots=True)
class Compared:
    """Counts: our payments and the API's credits compared; payments found credited (now SUCCESS), and still in doubt.

    only_reported: the file has no column that says of which campaign a line is, so no line changed anything. Lines that
    are no credits of this campaign are counted apart, with their points.
    """

    payments: int
    credits: int
    credited: int
    unknown: int
    only_reported: bool = False
    not_credited_lines: int = 0
    not_credited_points: int = 0
    reversed_lines: int = 0
    reversed_points: int = 0
    elsewhere_lines: int = 0
    elsewhere_points: int = 0


def compare_with_settlement(
    connection: Connection,
    campaign_id: int,
    settlement: Path,
    *,
    actor: str,
    form: SettlementForm | None = None,
    say: Callable[[str], None],
    report: Callable[[Difference], None],
) -> Compared:
    """Report every payment and every credit on which the two sides differ, as they were before any repair.

    A payment that the API credited with its amount, and that is not SUCCESS in our record, becomes SUCCESS, if the line
    says that it is of this campaign, no other payment has its transaction id, and no line speaks against it; nothing
    else changes. One transaction, with its audit row and the event of the new figures; the campaign cannot start
    meanwhile. Neither side is kept in memory.

    Raises RefusedError for a bad file, and where the campaign is RUNNING or was never started; nothing is changed then.
    """
    run = check_reconcilable(connection, campaign_id)
    with connection.transaction():
        keep_from_starting(connection, campaign_id)
        run = check_reconcilable(connection, campaign_id)
        say(f"Reading {settlement.name} ...")
        load_settlement(connection, read_settlement(settlement, campaign_id, run.key_namespace, form))
        found = compare_settlement(connection, run)
        say(f"Compared {found.payments:,} payments with {found.credits:,} credits in {settlement.name}.")
        if found.unproven_lines:
            say(sentence(Refusal("SETTLEMENT_WITHOUT_CAMPAIGN", {"file": settlement.name, "campaign_id": campaign_id})))
        repaired = repair_from_settlement(connection, run)
        kinds = Counter[str]()
        for difference in list_differences(connection):
            kinds[difference.kind] += 1
            report(difference)
        if repaired:
            correct_end(connection, campaign_id, run.run_id, actor=actor)
        figures = found._asdict()
        only_reported = figures.pop("unproven_lines") > 0
        unknown = count_in_doubt(connection, run)
        compared = Compared(**figures, credited=repaired, unknown=unknown, only_reported=only_reported)
        write_audit(
            connection,
            action="reconcile",
            campaign_id=campaign_id,
            run_no=run.run_no,
            actor=actor,
            detail={"by": "settlement", "file": name_of(settlement), **asdict(compared), "differences": dict(kinds)},
        )
    return compared
