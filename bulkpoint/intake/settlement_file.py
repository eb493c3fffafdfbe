"""Reads the money API's settlement, a CSV file with a line for each credit, as a stream; lines are counted from 1.

Columns: member_id, amount, transaction_id, in any order; others are ignored. With a column campaign_id, lines of other
campaigns are skipped, unread.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import IO

from bulkpoint.errors import RefusedError, UsageError
from bulkpoint.intake.target_file import Problems, open_csv, refuse_other_encodings, shorten
from bulkpoint.rules.answers import TRANSACTION_ID_CHARACTERS_MAX
from bulkpoint.rules.refusals import Refusal
from bulkpoint.rules.targets import check_row

COLUMNS = ("member_id", "amount", "transaction_id")
CAMPAIGN = "campaign_id"
CAMPAIGN_DIGITS_MAX = 19

# Line, member_id, amount in points, transaction_id.
Credit = tuple[int, str, int, str]


def read_settlement(path: Path, campaign_id: int) -> Iterator[Credit]:
    """The credits of one campaign. Raises RefusedError, after the last line, naming the first 20 bad ones."""
    if path.suffix.lower() != ".csv":
        raise UsageError("SETTLEMENT_NOT_CSV", file=str(path))
    problems = Problems()
    try:
        with path.open("rb") as stream:
            yield from _read(path, stream, campaign_id, problems)
    except OSError as error:
        raise RefusedError("FILE_UNREADABLE", file=str(path), why=error.strerror or str(error)) from error
    if problems.count:
        raise RefusedError(_refusal(path, problems))


def _read(path: Path, stream: IO[bytes], campaign_id: int, problems: Problems) -> Iterator[Credit]:
    start = stream.read(4)
    if not start:
        raise RefusedError("FILE_EMPTY", "first_line_names_columns", file=path.name, columns=",".join(COLUMNS))
    refuse_other_encodings(path, start)
    stream.seek(0)
    names, numbered = open_csv(path, stream, problems)
    header = names or []
    member, amount, transaction, campaign = _places(path, header)
    for line, values in numbered:
        if values and len(values) != len(header):
            problems.add(line, "", f"The row has {len(values)} values, the header {len(header)}.")
        elif values and (campaign is None or _is_of(values[campaign], campaign_id, line, problems)):
            found = problems.count
            _check(values[member], values[amount], values[transaction], line, problems)
            if problems.count == found:
                yield line, values[member], int(values[amount]), values[transaction]


def _places(path: Path, header: list[str]) -> tuple[int, int, int, int | None]:
    """Where each of our columns is."""
    missing = [name for name in COLUMNS if name not in header]
    twice = [name for name in (*COLUMNS, CAMPAIGN) if header.count(name) > 1]
    if missing or twice:
        code, column = ("COLUMN_MISSING", missing[0]) if missing else ("COLUMN_TWICE", twice[0])
        facts = {"file": path.name, "column": shorten(column), "columns": ",".join(COLUMNS)}
        raise RefusedError(code, "at_least_these_columns", **facts)
    member, amount, transaction = (header.index(name) for name in COLUMNS)
    return member, amount, transaction, header.index(CAMPAIGN) if CAMPAIGN in header else None


def _is_of(text: str, campaign_id: int, line: int, problems: Problems) -> bool:
    if not (text.isascii() and text.isdigit() and len(text) <= CAMPAIGN_DIGITS_MAX):
        problems.add(line, CAMPAIGN, f"campaign_id is {shorten(text) or 'empty'}: it must be the number of a campaign.")
        return False
    return int(text) == campaign_id


def _check(member_id: str, amount: str, transaction_id: str, line: int, problems: Problems) -> None:
    for violation in check_row(member_id, amount, "a settlement has none"):
        problems.add(line, "", violation.sentence)
    if not (0 < len(transaction_id) <= TRANSACTION_ID_CHARACTERS_MAX and transaction_id.isprintable()):
        what = shorten(transaction_id) or "empty"
        rule = f"transaction_id is {what}: it must have 1 to {TRANSACTION_ID_CHARACTERS_MAX} printable characters."
        problems.add(line, "transaction_id", rule)


def _refusal(path: Path, problems: Problems) -> Refusal:
    lines = problems.lines()
    if problems.count > len(problems.first):
        lines.append(Refusal("MORE_ERRORS", {"more": problems.count - len(problems.first)}))
    return Refusal("SETTLEMENT_FILE_WRONG", {"file": path.name, "error_count": problems.count, "lines": tuple(lines)})
