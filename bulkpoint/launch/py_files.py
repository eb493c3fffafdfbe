"""The zip of the package that Spark hands to executors, with the files that running code reads."""

import hashlib
import os
import tempfile
import zipfile
from collections.abc import Iterator
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from bulkpoint import files

_FOLDERS = ("sql", "conf")  # what running code reads; scripts/ and jobs/ are only for starting it
_LEFT_OUT = {"__pycache__", "examples"}  # of Python's own making; for people
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)  # the earliest a zip can say: the same content gives the same bytes


def build_py_files(target: Path) -> Path:
    """Makes the zip for ``spark-submit --py-files``: the package with its languages, the SQL and the settings file.

    The same sources give the same bytes, and a target that already has them is not touched, so that calling this
    before every submit costs milliseconds. The target is replaced in one step: a job that reads the old one is safe.
    """
    contents = [(name, source.read_bytes()) for name, source in _zip_entries()]
    digest = hashlib.sha256(b"".join(b"%d %s %d " % (len(n), n.encode(), len(c)) + c for n, c in contents)).hexdigest()
    if _digest_in(target) == digest:
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor, unfinished = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(descriptor, "wb") as stream, zipfile.ZipFile(stream, "w") as archive:
            for name, content in contents:
                archive.writestr(zipfile.ZipInfo(name, _ZIP_TIME), content, zipfile.ZIP_DEFLATED)
            archive.comment = digest.encode()
        Path(unfinished).chmod(0o644)  # executors may run as another account
        Path(unfinished).replace(target)
    except BaseException:
        Path(unfinished).unlink(missing_ok=True)
        raise
    return target


def _zip_entries() -> Iterator[tuple[str, Traversable]]:
    for name, source in _walk(resources.files("bulkpoint"), "bulkpoint"):
        if not name.startswith("bulkpoint/_files/"):
            yield name, source
    for folder in _FOLDERS:
        yield from _walk(files.find(folder), f"bulkpoint/_files/{folder}")


def _walk(folder: Traversable, name: str) -> Iterator[tuple[str, Traversable]]:
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.name in _LEFT_OUT:
            continue
        if entry.is_dir():
            yield from _walk(entry, f"{name}/{entry.name}")
        else:
            yield f"{name}/{entry.name}", entry


def _digest_in(target: Path) -> str | None:
    try:
        with zipfile.ZipFile(target) as archive:
            return archive.comment.decode(errors="replace")
    except (OSError, zipfile.BadZipFile):
        return None
