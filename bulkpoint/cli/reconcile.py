"""`bulkpoint reconcile`: bring our payments and money's credits to one truth, or say where there are two."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryFile
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import click

from bulkpoint.cli.session import open_session, say
from bulkpoint.errors import ExitCode

if TYPE_CHECKING:
    from bulkpoint.store.reconcile import Difference

DIFFERENCES_SHOWN = 20
HEADS = ("DIFFERENCE", "MEMBER", "WITH US", "AT MONEY")

MEANINGS = {
    "PAID_TWICE": "money lists several credits of one member",
    "NO_TARGET": "money credited a member whom the campaign does not name",
    "OTHER_AMOUNT": "money credited another amount; the payment stays as it is",
    "OTHER_CREDIT": "money has another member, amount or campaign under our key; the payment stays as it is",
    "OTHER_TRANSACTION": "SUCCESS with us, under another transaction id",
    "NOT_CREDITED": "SUCCESS with us, and not in money's list",
    "NOT_SUCCESS": "credited, and not SUCCESS with us; it is SUCCESS now",
    "LISTED_TWICE": "money lists one transaction id of a member several times",
    "OPEN": "perhaps credited, and not in money's list; look it up: reconcile without --settlement",
    "TOO_EARLY": "not found, but its last call is too recent for that to be proof; reconcile again later",
    "IN_PROGRESS": "not found, but money called it in progress to the last; retry it",
    "FORGOTTEN": "not found, but older than money remembers keys; only a settlement can tell",
    "NO_ANSWER": "money gave no usable answer; reconcile again later",
    "HELD": "a worker of the run that ended still has it; reconcile again later",
    "CHANGED": "it changed while money was asked; reconcile again",
}


@click.command(short_help="Settle what may have been credited unknown to us.")
@click.argument("campaign_id", type=int, metavar="ID")
@click.option(
    "--settlement",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Money's own list of credits: CSV (UTF-8) with member_id, amount, transaction_id, and perhaps campaign_id.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object, with every difference.")
def reconcile(*, campaign_id: int, settlement: Path | None, as_json: bool) -> int:
    """Settle the payments of a campaign that may have been credited without our knowing it.

    Without a file each of them is looked up at money, within the limit. With --settlement every payment is compared
    with money's own list; a credit that we did not know of makes its payment SUCCESS, all else is only reported.

    Exit code 0: nothing is open and nothing differs; 3: the last line says how much does. The output names members in
    full.

    \b
    Examples:
      bulkpoint reconcile 3
      bulkpoint reconcile 3 --settlement money-2026-01-31.csv --json
    """
    with Spool() as differences:
        if settlement is None:
            figures, line = _look_up(campaign_id, differences)
        else:
            figures, line = _compare(campaign_id, settlement, differences)
        if as_json:
            _print_json(campaign_id, settlement, figures, differences)
        else:
            _print_table(differences)
            plural = "" if differences.count == 1 else "s"
            click.echo(f"campaign {campaign_id}: {line}; {differences.count:,} difference{plural}")
        return ExitCode.REFUSED if differences.count else ExitCode.DONE


def _look_up(campaign_id: int, differences: "Spool") -> tuple[dict[str, int], str]:
    from bulkpoint.reconcile.look_ups import look_up_in_doubt

    with open_session() as session:
        found = look_up_in_doubt(
            session.connection,
            session.database_url,
            session.settings,
            campaign_id,
            actor=session.actor,
            say=say,
            report=differences.add,
        )
    return asdict(found), (
        f"looked up {found.looked_up:,}, found credited {found.credited:,} (now SUCCESS),"
        f" not credited {found.not_credited:,}, still unknown {found.unknown:,}"
    )


def _compare(campaign_id: int, settlement: Path, differences: "Spool") -> tuple[dict[str, int], str]:
    from bulkpoint.reconcile.settlement import compare_with_settlement

    with open_session() as session:
        found = compare_with_settlement(
            session.connection, campaign_id, settlement, actor=session.actor, say=say, report=differences.add
        )
    return asdict(found), (
        f"compared {found.payments:,} payments with {found.credits:,} credits, found credited {found.credited:,}"
        f" (now SUCCESS), still unknown {found.unknown:,}"
    )


class Spool:
    """Differences on their way from the database to the output: on disk, since there may be as many as payments."""

    def __init__(self) -> None:
        self.kinds = Counter[str]()
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

    def add(self, difference: "Difference") -> None:
        fields = {
            "difference": difference.kind.value,
            "member_id": difference.member_id,
            "with_us": difference.ours and difference.ours._asdict(),
            "at_money": difference.theirs and difference.theirs._asdict(),
        }
        self.kinds[difference.kind.value] += 1
        self._file.write(json.dumps(fields, ensure_ascii=False) + "\n")

    def lines(self) -> Iterator[str]:
        """Each difference as a JSON object."""
        self._file.seek(0)
        for line in self._file:
            yield line.rstrip("\n")


def _print_json(campaign_id: int, settlement: Path | None, figures: dict[str, int], differences: Spool) -> None:
    """One object, written piece by piece."""
    head = {
        "campaign_id": campaign_id,
        "settlement": None if settlement is None else settlement.name,
        **figures,
        "difference_count": differences.count,
        "difference_kinds": dict(differences.kinds),
    }
    click.echo(json.dumps(head, ensure_ascii=False)[:-1] + ', "differences": [', nl=False)
    for number, line in enumerate(differences.lines()):
        click.echo((", " if number else "") + line, nl=False)
    click.echo("]}")


def _print_table(differences: Spool) -> None:
    from bulkpoint.views.format import aligned

    if not differences.count:
        return
    rows: list[tuple[str, ...]] = [HEADS]
    for line in differences.lines():
        if len(rows) > DIFFERENCES_SHOWN:
            break
        rows.append(_row(json.loads(line)))
    for text in aligned(rows, left=HEADS):
        click.echo(text)
    if differences.count > DIFFERENCES_SHOWN:
        click.echo(f"... and {differences.count - DIFFERENCES_SHOWN:,} more: --json lists all of them")
    click.echo()
    for kind, number in differences.kinds.items():
        click.echo(f"{kind} {number:,}: {MEANINGS[kind]}")
    click.echo()


def _row(fields: dict[str, Any]) -> tuple[str, ...]:
    ours, theirs = fields["with_us"], fields["at_money"]
    return (fields["difference"], fields["member_id"], _ours(ours) if ours else "-", _theirs(theirs) if theirs else "-")


def _ours(ours: dict[str, Any]) -> str:
    words = [ours["state"], ours["failure_kind"], f"{ours['amount']:,}", ours["transaction_id"]]
    return " ".join(word for word in words if word)


def _theirs(theirs: dict[str, Any]) -> str:
    words = [f"{theirs['amount']:,}", theirs["transaction_id"]]
    if theirs["campaign_id"] is not None:
        words += [f"(campaign {theirs['campaign_id']}, member {theirs['member_id']})"]
    if theirs["credits"] > 1:
        words += [f"({theirs['credits']} lines from line {theirs['line']})"]
    elif theirs["line"] is not None:
        words += [f"(line {theirs['line']})"]
    return " ".join(word for word in words if word)
