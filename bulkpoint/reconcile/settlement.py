"""Compare the money API's settlement (its list of credits) with a campaign's payments; repair what it proves."""

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from bulkpoint.campaigns.correction import correct_end
from bulkpoint.errors import RefusedError
from bulkpoint.intake.settlement_file import SettlementFile
from bulkpoint.intake.settlement_form import SettlementForm
from bulkpoint.reconcile.ended_run import check_reconcilable
from bulkpoint.rules.refusals import Refusal
from bulkpoint.store.audit import write_audit
from bulkpoint.store.connect import Connection
from bulkpoint.store.reconcile import (
    Difference,
    EndedRun,
    compare_settlement,
    count_in_doubt,
    find_damaged_transaction,
    keep_from_starting,
    list_differences,
    load_settlement,
    repair_from_settlement,
)
from bulkpoint.views.sentences import sentence


@dataclass(frozen=True, slots=True)
class Compared:
    """Counts: our payments and the API's credits compared; payments found credited (now SUCCESS), and still in doubt.

    only_reported: nothing was changed, because the file has no column that says of which campaign a line is, or it was
    asked for (dry_run). Lines that are no credits of this campaign are counted apart, with their points: elsewhere, of
    other campaigns by the file's own columns or by our record; unnamed, of members whom the campaign does not have, in
    a file that does not say whose they are. taken_back: SUCCESS payments that the file reverses, which stay SUCCESS.
    partial: the file is one part of several; other_part: SUCCESS payments that are not in this part.
    """

    payments: int
    credits: int
    credited: int
    unknown: int
    only_reported: bool = False
    dry_run: bool = False
    partial: bool = False
    not_credited_lines: int = 0
    not_credited_points: int = 0
    reversed_lines: int = 0
    reversed_points: int = 0
    elsewhere_lines: int = 0
    elsewhere_points: int = 0
    unnamed_lines: int = 0
    unnamed_points: int = 0
    taken_back_payments: int = 0
    taken_back_points: int = 0
    other_part_payments: int = 0
    other_part_points: int = 0


def compare_with_settlement(
    connection: Connection,
    campaign_id: int,
    settlement: Path,
    *,
    actor: str,
    form: SettlementForm | None = None,
    dry_run: bool = False,
    say: Callable[[str], None],
    report: Callable[[Difference], None],
) -> tuple[Compared, SettlementFile]:
    """Report every payment and every credit on which the two sides differ, as they were before any repair.

    What the file is, and the sums of its classes, are said before anything is changed. A payment that the API credited
    with its amount, and that is not SUCCESS in our record, becomes SUCCESS, if the line says that it is of this
    campaign, no other payment has its transaction id, and no line speaks against it; nothing else changes, and with
    dry_run nothing at all. One transaction, with its audit row and the event of the new figures; the campaign cannot
    start meanwhile. Neither side is kept in memory.

    Raises RefusedError for a bad file, and where the campaign is RUNNING or was never started; nothing is changed then.
    """
    run = check_reconcilable(connection, campaign_id)
    with connection.transaction():
        keep_from_starting(connection, campaign_id)
        run = check_reconcilable(connection, campaign_id)
        file = SettlementFile(settlement, campaign_id, run.key_namespace, form)
        say(f"Reading {file.name} ...")
        load_settlement(connection, file.lines())
        for remark in file.described():
            say(sentence(remark))
        _refuse_damaged(connection, run, file)
        found = compare_settlement(connection, run, partial=file.partial)
        say(f"Compared {found.payments:,} payments with {found.credits:,} credits in {file.name}.")
        only_reported = dry_run or found.unproven_lines > 0
        if found.unproven_lines:
            say(sentence(Refusal("SETTLEMENT_WITHOUT_CAMPAIGN", {"file": file.name, "campaign_id": campaign_id})))
        repaired = 0 if only_reported else repair_from_settlement(connection, run)
        kinds = Counter[str]()
        for difference in list_differences(connection):
            kinds[difference.kind] += 1
            report(difference)
        if repaired:
            correct_end(connection, campaign_id, run.run_id, actor=actor)
        figures = found._asdict()
        del figures["unproven_lines"]
        elsewhere = file.sums.elsewhere
        figures["elsewhere_lines"] += elsewhere.lines.total() + file.sums.unread
        figures["elsewhere_points"] += elsewhere.points.total()
        compared = Compared(
            **figures,
            credited=repaired,
            unknown=count_in_doubt(connection, run),
            only_reported=only_reported,
            dry_run=dry_run,
            partial=file.partial,
        )
        write_audit(
            connection,
            action="reconcile",
            campaign_id=campaign_id,
            run_no=run.run_no,
            actor=actor,
            detail={"by": "settlement", "file": file.name, **asdict(compared), "differences": dict(kinds)},
        )
    return compared, file


def _refuse_damaged(connection: Connection, run: EndedRun, file: SettlementFile) -> None:
    """Ids that a spreadsheet has changed name no credit: none of the file's is believed."""
    damaged = find_damaged_transaction(connection, run)
    if damaged is not None:
        raise RefusedError("TRANSACTIONS_DAMAGED", "export_as_text", file=file.name, **damaged._asdict())
