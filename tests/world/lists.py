"""Makes the lists of tests/lists/ from their descriptions; tests/lists/README.md says what one may hold."""

import gzip
import io
import os
import socket
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import xlsxwriter
from pyarrow import parquet
from xlsxwriter.utility import xl_cell_to_rowcol


def make_list(described: Mapping[str, Any], folder: Path) -> Path:
    """Write the list into `folder` and return its path."""
    path = folder / str(described.get("name", "members.csv"))
    match described.get("kind"):
        case "fifo":
            os.mkfifo(path)
        case "socket":
            _bind(path)
        case "folder":
            path.mkdir()
            for name in described["files"]:
                (path / name).touch()
        case None:
            content = _content(described)
            path.write_bytes(content[: len(content) - described.get("cut", 0)])
    return path


def _content(described: Mapping[str, Any]) -> bytes:
    made = {
        "text": lambda: _text(described),
        "hex": lambda: bytes.fromhex(described["hex"]),
        "parquet": lambda: _parquet(described["parquet"]),
        "sheets": lambda: workbook(described["sheets"]),
        "zip": lambda: _zip(described["zip"]),
        "ole": lambda: _ole(described["ole"]),
    }
    [key] = made.keys() & described.keys()
    return made[key]()


def _text(described: Mapping[str, Any]) -> bytes:
    content: bytes = described["text"].encode(described.get("encoding", "utf-8"))
    return gzip.compress(content) if described.get("gzip") else content


def _parquet(columns: Mapping[str, Any]) -> bytes:
    stream = io.BytesIO()
    parquet.write_table(pa.table(dict(columns)), stream)
    return stream.getvalue()


def workbook(sheets: list[Mapping[str, Any]]) -> bytes:
    """A workbook with these sheets."""
    stream = io.BytesIO()
    with xlsxwriter.Workbook(stream, {"default_date_format": "yyyy-mm-dd"}) as book:
        for described in sheets:
            sheet = book.add_worksheet(described.get("name"))
            top, left = xl_cell_to_rowcol(described.get("from", "A1"))
            for place in described.get("merged", ()):
                sheet.merge_range(place, "")
            for row, cells in enumerate(described["rows"], top):
                for column, cell in enumerate(cells, left):
                    if isinstance(cell, dict) and "format" in cell:
                        form = book.add_format({"num_format": cell["format"]})
                        sheet.write_number(row, column, cell["number"], form)
                    else:
                        _write(sheet, row, column, cell)
            for row in described.get("hidden_rows", ()):
                sheet.set_row(row - 1, None, None, {"hidden": True})
            if "far" in described:
                sheet.write(described["far"], "far")
            if described.get("hidden"):
                sheet.hide()
            else:
                sheet.activate()
    return stream.getvalue()


def _write(sheet: Any, row: int, column: int, cell: Any) -> None:
    match cell:
        case {"formula": formula, "value": value}:
            sheet.write_formula(row, column, formula, None, value)
        case "":
            pass
        case str():
            sheet.write_string(row, column, cell)
        case _:
            sheet.write(row, column, cell)


def _zip(members: Mapping[str, str]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


def _ole(streams: list[str]) -> bytes:
    """The head and the directory of a compound file ([MS-CFB]): enough to say which program wrote it."""
    head = bytearray(512)
    head[:8] = bytes.fromhex("d0cf11e0a1b11ae1")
    head[30:32] = (9).to_bytes(2, "little")
    head[48:52] = (0).to_bytes(4, "little")
    return bytes(head) + b"".join(name.encode("utf-16-le").ljust(128, b"\0") for name in streams).ljust(512, b"\0")


def _bind(path: Path) -> None:
    """Leave a socket at a path; its name may be longer than the system allows for a socket."""
    here = Path.cwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(path.name)
    finally:
        os.chdir(here)
