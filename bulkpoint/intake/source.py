"""What a file is by its bytes; its name decides nothing. What is not a list is refused with what it is, at once.

Only a regular file is opened: a named pipe would wait for a writer, and a list is read twice.
"""

import os
import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import IO

from bulkpoint.errors import RefusedError
from bulkpoint.files import NotAFileError, open_regular
from bulkpoint.rules.refusals import Refusal

START_BYTES = 4_096
PARTS_SHOWN = 3


class Kind(StrEnum):
    """What a list may be."""

    TEXT = "text"
    WORKBOOK = "workbook"
    PARQUET = "parquet"


# How files begin that are no list: what they are, and what to do with them.
_BEGINNINGS = (
    (b"\x1f\x8b", "IS_GZIP", "unpack_gzip"),
    (b"BZh", "IS_AN_ARCHIVE", "unpack_first"),
    (b"\xfd7zXZ\0", "IS_AN_ARCHIVE", "unpack_first"),
    (b"\x28\xb5\x2f\xfd", "IS_AN_ARCHIVE", "unpack_first"),
    (b"7z\xbc\xaf\x27\x1c", "IS_AN_ARCHIVE", "unpack_first"),
    (b"Rar!", "IS_AN_ARCHIVE", "unpack_first"),
    (b"%PDF", "IS_PDF", "export_as_list"),
    (b"{\\rtf", "IS_A_DOCUMENT", "export_as_list"),
    (b"\x89PNG", "IS_AN_IMAGE", "export_as_list"),
    (b"\xff\xd8\xff", "IS_AN_IMAGE", "export_as_list"),
    (b"GIF8", "IS_AN_IMAGE", "export_as_list"),
    (b"SQLite format 3\0", "IS_A_DATABASE", "export_as_list"),
    (b"PARE", "IS_ENCRYPTED_PARQUET", "write_parquet"),
    (b"Obj\x01", "IS_AVRO", "write_parquet"),
    (b"ORC", "IS_ORC", "write_parquet"),
    (b"\xff\xfe\0\0", "IS_UTF_32", "save_as_utf_8"),
    (b"\0\0\xfe\xff", "IS_UTF_32", "save_as_utf_8"),
)
_ZIP, _OLE = (b"PK\x03\x04", b"PK\x05\x06"), b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_MARKUP = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:!|\?xml|html|head|meta|body|table|style)", re.IGNORECASE)
_SPREADSHEET_XML = b"urn:schemas-microsoft-com:office:spreadsheet"
_NOT_CONTROL = bytes({*range(32, 256), *b"\t\n\r\x1a"})
_JSON = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:\{\s*\"|\[\s*[\[{])")
# A zip archive ends with a record of 22 bytes and a comment ([APPNOTE] 4.3.16); the list of its members is before that.
_ZIP_END, _ZIP_END_BYTES_MAX, _ZIP_MEMBERS_BYTES_MAX = b"PK\x05\x06", 22 + 65_535, 2**20
_OPEN_DOCUMENT = b"mimetypeapplication/vnd.oasis.opendocument"
# A member of a zip archive that says what it is.
_MEMBERS = (
    (b"xl/workbook.bin", "IS_XLSB", "save_as_xlsx"),
    (b"Index/Document.iwa", "IS_NUMBERS", "save_as_xlsx"),
    (b"word/document.xml", "IS_A_DOCUMENT", "export_as_list"),
    (b"ppt/presentation.xml", "IS_A_DOCUMENT", "export_as_list"),
)
# A stream of Microsoft's older container that says what it is.
_STREAMS = (
    ("EncryptedPackage", "HAS_A_PASSWORD", "remove_password"),
    ("EncryptionInfo", "HAS_A_PASSWORD", "remove_password"),
    ("Workbook", "IS_XLS", "save_as_xlsx"),
    ("Book", "IS_XLS", "save_as_xlsx"),
    ("FileHeader", "IS_A_DOCUMENT", "export_as_list"),  # Hangul's .hwp
    ("WordDocument", "IS_A_DOCUMENT", "export_as_list"),
)


@contextmanager
def open_source(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[IO[bytes], Kind]]:
    """The file, open at its beginning, and what it is.

    `columns`: what its first line must name, for the message of an empty file. Raises RefusedError for what is no file,
    cannot be read, is empty, or is of another kind.
    """
    try:
        stream = open_regular(path)
    except NotAFileError as error:
        raise _no_file(path, error.kind) from error
    except OSError as error:
        raise RefusedError("FILE_UNREADABLE", file=str(path), why=error.strerror or str(error)) from error
    with stream:
        try:
            start = stream.read(START_BYTES)
            if not start:
                raise RefusedError("FILE_EMPTY", "first_line_names_columns", file=path.name, columns=",".join(columns))
            kind = _kind(path, stream, start)
            stream.seek(0)
            yield stream, kind
        except OSError as error:
            raise RefusedError("FILE_UNREADABLE", file=str(path), why=error.strerror or str(error)) from error


def _kind(path: Path, stream: IO[bytes], start: bytes) -> Kind:
    if start.startswith(b"PAR1"):
        return Kind.PARQUET
    for beginning, what, remedy in _BEGINNINGS:
        if start.startswith(beginning):
            raise _other(path, what, remedy)
    if start.startswith(_ZIP):
        return _kind_of_archive(path, stream, start)
    if start.startswith(_OLE):
        raise _other(path, *_kind_of_container(stream, start))
    if _MARKUP.match(start):
        raise _other(path, "IS_SPREADSHEET_XML" if _SPREADSHEET_XML in start else "IS_HTML", "save_as_xlsx")
    if _JSON.match(start):
        raise _other(path, "IS_JSON", "export_as_list")
    if _is_binary(start):
        raise _other(path, "IS_BINARY", "export_as_list")
    return Kind.TEXT


def _is_binary(start: bytes) -> bool:
    """Whether this is no text in any encoding: zero bytes only, as after a crash, or many control characters.

    UTF-16 is text: by its mark, or by zero bytes that stand mostly on one side of each pair.
    """
    if not start.strip(b"\0"):
        return True
    even, odd = start[0::2].count(0), start[1::2].count(0)
    if start.startswith((b"\xff\xfe", b"\xfe\xff")) or min(even, odd) * 4 < max(even, odd):
        return False
    return len(start.translate(None, _NOT_CONTROL)) * 20 > len(start)


def _kind_of_archive(path: Path, stream: IO[bytes], start: bytes) -> Kind:
    """By the names of its members: their list is read to a bound, for a hostile one may be as long as the file."""
    if _OPEN_DOCUMENT in start:
        raise _other(path, "IS_ODS", "save_as_xlsx")
    size = stream.seek(0, os.SEEK_END)
    tail_at = stream.seek(max(0, size - _ZIP_END_BYTES_MAX))
    tail = stream.read()
    end = tail.rfind(_ZIP_END)
    if end < 0 or end + 16 > len(tail):
        raise _other(path, "IS_A_BROKEN_ZIP", "copy_again")
    [members_bytes] = struct.unpack_from("<I", tail, end + 12)
    stream.seek(max(0, tail_at + end - members_bytes))
    members = stream.read(min(members_bytes, _ZIP_MEMBERS_BYTES_MAX))
    for member, what, remedy in _MEMBERS:
        if member in members:
            raise _other(path, what, remedy)
    if b"[Content_Types].xml" in members or b"xl/" in members:
        return Kind.WORKBOOK
    raise _other(path, "IS_ZIP", "unpack_first")


def _kind_of_container(stream: IO[bytes], start: bytes) -> tuple[str, str]:
    """By the names in the first sector of its directory ([MS-CFB] 2.2 and 2.6.1)."""
    shift, first = int.from_bytes(start[30:32], "little"), int.from_bytes(start[48:52], "little")
    if shift in (9, 12):
        stream.seek((first + 1) << shift)
        directory = stream.read(1 << shift)
        names = {directory[at : at + 64].decode("utf-16-le", "replace") for at in range(0, len(directory), 128)}
        found = {name.partition("\0")[0] for name in names}
        for name, what, remedy in _STREAMS:
            if name in found:
                return what, remedy
    return "IS_AN_OLD_OFFICE_FILE", "save_as_xlsx"


def _other(path: Path, what: str, remedy: str) -> RefusedError:
    return RefusedError("FILE_OF_ANOTHER_KIND", remedy, file=path.name, what=Refusal(what))


def _no_file(path: Path, kind: str) -> RefusedError:
    facts = {"file": str(path), "kind": Refusal(kind)}
    if kind != "IS_A_FOLDER":
        return RefusedError("NOT_A_FILE", "save_in_file", **facts)
    try:
        parts = sorted(each.name for each in path.iterdir() if each.name.startswith("part-"))
    except OSError:
        parts = []
    if not parts:
        return RefusedError("NOT_A_FILE", "name_file_in_folder", **facts)
    shown = ", ".join(parts[:PARTS_SHOWN]) + (", ..." if len(parts) > PARTS_SHOWN else "")
    return RefusedError("FOLDER_OF_PARTS", "write_one_file", file=str(path), number=len(parts), parts=shown)
