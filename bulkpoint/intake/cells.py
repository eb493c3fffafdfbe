"""What a cell of a workbook is as a member, an amount or a reason; Sheet.rows() in intake/workbook.py gives it."""

from typing import Any

from bulkpoint.intake.workbook_child import INTEGER_MAX


def cell_rule(column: str, cell: Any, *, merged: bool) -> str | None:
    """What is wrong with a cell that the rules of a row cannot say, in a sentence; None where nothing is.

    merged: whether it is empty because its value stands in another cell that it is merged with.
    """
    rule = None
    match cell:
        case None if merged:
            rule = f"{column} is empty, because its cell is merged with others: unmerge them and fill each one."
        case ["padded", shown, number] if column != "amount":
            rule = f"{column} is the number {number}, which the sheet shows as {shown}: enter it as text."
        case ["error", shown]:
            rule = f"{column} is {shown}, an error of the spreadsheet: correct it."
        case ["date", shown]:
            rule = f"{column} is a date ({shown}): format the cell as text or as a number and enter it again."
        case bool():
            rule = f"{column} is {str(cell).upper()}, neither a text nor a number."
        case float() if column != "amount":
            long = abs(cell) >= INTEGER_MAX
            what = "of more than 15 digits, of which a spreadsheet keeps 15" if long else "and not whole"
            advice = "export the list again with ids as text" if long else "enter it as text"
            rule = f"{column} is a number {what}: {advice}."
    return rule


def as_amount(cell: Any) -> Any:
    """A cell without a rule against it as an amount: a number, or a text that is still to be checked."""
    match cell:
        case None:
            return ""
        case ["padded", _, number]:
            return number
    return cell


def as_text(cell: Any) -> str:
    """A cell without a rule against it as a member or a reason."""
    return "" if cell is None else str(cell)
