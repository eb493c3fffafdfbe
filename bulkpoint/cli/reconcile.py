"""`bulkpoint reconcile`: make our payments agree with the money API's credits, or report where they differ."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from tempfile import TemporaryFile
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import click

from bulkpoint.cli.form_options import form_options
from bulkpoint.cli.output import emit, emit_json, json_option, leave, wants_json
from bulkpoint.cli.session import open_session, say
from bulkpoint.errors import RefusedError
from bulkpoint.files import name_of

if TYPE_CHECKING:
    from bulkpoint.intake.settlement_form import SettlementForm
    from bulkpoint.store.connect import Connection
    from bulkpoint.store.reconcile import Difference, Kind


@click.command(short_help="Settle payments with an unknown result (UNKNOWN).")
@click.argument("campaign_id", type=int, metavar="ID")
@click.option(
    "--settlement",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The money API's list of credits: member_id, amount, transaction_id, and campaign_id or idempotency_key.",
)
@form_options
@click.option(
    "--ignore-column", "ignored", multiple=True, metavar="C", help="It says nothing about credits; repeatable."
)
@click.option(
    "--status",
    "statuses",
    multiple=True,
    metavar="WORD=CLASS",
    help="A word of its status column means credited, not_credited or reversed; repeatable.",
)
@click.option(
    "--amounts",
    metavar="FORM",
    type=click.Choice(["1000", "1,000", "1.000", "1000.00", "1000,00", "1,000.00", "1.000,00"]),
    help="How it writes a thousand points: 1,000.00.",
)
@click.option("--partial", is_flag=True, help="The file is one part of several: what it lacks is in another part.")
@click.option("--dry-run", is_flag=True, help="Only report; nothing is changed.")
@json_option("One JSON object, with every difference.")
def reconcile(
    *,
    campaign_id: int,
    settlement: Path | None,
    ignored: tuple[str, ...],
    statuses: tuple[str, ...],
    amounts: str | None,
    partial: bool,
    dry_run: bool,
    **form: str | None,
) -> None:
    """Settle a campaign's payments that may have been credited although no answer came (UNKNOWN).

    Without a file, each is looked up in the money API, within the limit. With --settlement, every payment is compared
    with the money API's own list. A credit that we did not know makes its payment SUCCESS if its line says that it is
    of this campaign (a column campaign_id, or idempotency_key) and no other payment has its transaction id. Everything
    else is only reported: failed lines and reversals (negative amounts, also in brackets) are never credits, and no
    SUCCESS is ever changed.

    What the file is, its columns, and the sums of its classes are said before anything is changed; --dry-run ends
    there. A column that is not known is refused, because it may say that a line is no credit: name it with --columns,
    or with --ignore-column. A total or trailer is compared with the lines: another figure refuses the file, but for
    one part of several ("part 1 of 2" in it, or --partial), where what is not listed is not "not credited".

    Exit code 0: nothing is in doubt and nothing differs; 3: the last line says how much; 6: the money API gave no
    usable answer for BULKPOINT_BREAKER_PATIENCE_S, and how many are left is said. Without the right
    `members`, the output has member ids masked.

    \b
    Examples:
      bulkpoint reconcile 3
      bulkpoint reconcile 3 --settlement money-2026-01-31.csv --json
      bulkpoint reconcile 3 --settlement day.csv --status 지급=credited --status 취소=reversed
      bulkpoint reconcile 3 --settlement bank.csv --encoding cp949 --columns member_id=회원번호,amount=금액 --dry-run
    """
    from bulkpoint.errors import UsageError
    from bulkpoint.intake.settlement_form import SettlementForm
    from bulkpoint.views.reconcile import DIFFERENCES_SHOWN, ComparedView, DifferenceView, LookedUpView

    if settlement is None and (any(form.values()) or ignored or statuses or amounts or partial or dry_run):
        raise UsageError("OPTION_NEEDS_SETTLEMENT")
    asked = SettlementForm.of_options(
        form["columns"],
        ignored,
        statuses,
        encoding=form["encoding"],
        delimiter=form["delimiter"],
        sheet=form["sheet"],
        amounts=amounts,
        partial=partial,
    )
    with Spool() as differences:
        if settlement is None:
            figures = _look_up(campaign_id, differences)
        else:
            figures = _compare(campaign_id, settlement, asked, differences, dry_run=dry_run)
        first = islice(differences.lines(), DIFFERENCES_SHOWN)
        fields = {
            "campaign_id": campaign_id,
            "settlement": None if settlement is None else name_of(settlement),
            "difference_count": differences.count,
            "difference_kinds": differences.kinds,
            "differences": [DifferenceView.model_validate_json(line) for line in first],
        }
        view = (LookedUpView if settlement is None else ComparedView).model_validate(fields | figures)
        error = None
        if differences.count:
            error = RefusedError("DIFFERENCES", campaign_id=campaign_id, differences=differences.count)
        if wants_json():
            for piece in view.as_json_pieces(differences.lines(), error):
                emit_json(piece, line_end=False)
        else:
            emit(view)
        if error is not None:
            leave(error)


def _look_up(campaign_id: int, differences: "Spool") -> dict[str, Any]:
    from bulkpoint.reconcile.look_ups import look_up_in_doubt

    with open_session() as session:
        found = look_up_in_doubt(
            session.connection,
            session.database_url,
            session.settings,
            campaign_id,
            actor=session.actor,
            say=say,
            report=differences.adder(session.connection),
        )
    return asdict(found)


def _compare(
    campaign_id: int, settlement: Path, form: "SettlementForm", differences: "Spool", *, dry_run: bool
) -> dict[str, Any]:
    from bulkpoint.reconcile.settlement import compare_with_settlement

    with open_session() as session:
        found, file = compare_with_settlement(
            session.connection,
            campaign_id,
            settlement,
            actor=session.actor,
            form=form,
            dry_run=dry_run,
            say=say,
            report=differences.adder(session.connection),
        )
    sums, dialect = file.sums, file.dialect
    marks = [{"row": mark.row, "text": mark.text, "agrees": agrees} for mark, agrees in sums.marks]
    of_file = {
        "encoding": dialect.encoding,
        "delimiter": dialect.delimiter,
        "sheet": dialect.sheet,
        "header_row": dialect.header_row,
        "columns": dialect.columns,
        "proof": file.proof,
        "lines": sums.lines,
        "points": sums.all.points.total(),
        "marks": marks,
        "part": sums.part_words,
    }
    return asdict(found) | {"file": of_file}


class Spool:
    """Differences on their way from the database to the output: on disk, since there may be as many as payments."""

    def __init__(self) -> None:
        self.kinds = Counter["Kind"]()
        self._file = TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 (closed by __exit__)

    @property
    def count(self) -> int:
        return self.kinds.total()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def adder(self, connection: "Connection") -> "Callable[[Difference], None]":
        """What adds a difference, as the login of this connection may see it."""
        from bulkpoint.rules.member_names import Eyes
        from bulkpoint.store.right import sees_members
        from bulkpoint.views.reconcile import DifferenceView

        eyes = Eyes(sees_members(connection))

        def add(difference: "Difference") -> None:
            self.kinds[difference.kind] += 1
            self._file.write(DifferenceView.of(difference, eyes).as_json() + "\n")

        return add

    def lines(self) -> Iterator[str]:
        """Each difference as a JSON object."""
        self._file.seek(0)
        for line in self._file:
            yield line.rstrip("\n")
