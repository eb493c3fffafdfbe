"""A list to be filled in, as CSV and as a workbook: its header is read as it is, in each language.

The CSV begins with a byte order mark, without which Excel shows Korean as something else. In the workbook ids and
reasons are text cells, so that leading zeros stay, and amounts are numbers.
"""

import csv
import io

from bulkpoint.rules.targets import LIST_HEADERS
from bulkpoint.views.sheets import HEAD_LOOK, POINTS, TEXT, NewWorkbook

SHEET = {"ko": "명단", "en": "targets"}
_BYTE_ORDER_MARK = "\ufeff"
_WIDTHS = (24, 16, 40)


def empty_csv(language: str) -> bytes:
    """The header alone, in UTF-8 with a byte order mark and the line ends of Windows."""
    lines = io.StringIO(newline="")
    csv.writer(lines).writerow(LIST_HEADERS[language])
    return f"{_BYTE_ORDER_MARK}{lines.getvalue()}".encode()


def empty_workbook(language: str) -> bytes:
    """The header on a sheet whose columns are formatted: text, whole number, text."""
    made = NewWorkbook()
    sheet = made.workbook.add_worksheet(SHEET[language])
    head = made.workbook.add_format({**HEAD_LOOK, "num_format": TEXT})
    text = made.workbook.add_format({"num_format": TEXT})
    points = made.workbook.add_format({"num_format": POINTS})
    for column, (name, width) in enumerate(zip(LIST_HEADERS[language], _WIDTHS, strict=True)):
        sheet.set_column(column, column, width, points if column == 1 else text)
        sheet.write_string(0, column, name, head)
    sheet.freeze_panes(1, 0)
    return made.finish()
