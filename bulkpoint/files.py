"""Finds the files that are no Python: sql/, jobs/, conf/, scripts/.

In a checkout they are the top-level folders beside the package; in a built wheel, and in the zip that Spark hands to
executors, they are inside it, in bulkpoint/_files. Nothing else in the project knows which of the two it is.
"""

import hashlib
import importlib.util
import os
import tempfile
import zipfile
from collections.abc import Iterator
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from bulkpoint.errors import UnreachableError, UsageError

_IN_THE_ZIP = ("sql", "conf")  # what running code reads; scripts/ and jobs/ are only for starting it
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)  # the earliest a zip can say: the same content gives the same bytes


def read_text(relative: str) -> str:
    """The text of one file, for example ``read_text("sql/queries/payment.sql")``; works inside a zip.

    Raises:
        UsageError: there is no such file.
    """
    return find(relative).read_text(encoding="utf-8")


def list_names(folder: str) -> list[str]:
    """The names of the files in a folder, in order of name, for example of ``sql/migrations``; works inside a zip."""
    return sorted(entry.name for entry in find(folder).iterdir() if entry.is_file())


def path_of(relative: str) -> Path:
    """The real path of a file or folder, for programs that want one.

    Raises:
        UsageError: there is no such file, or it is inside a zip.
    """
    found = find(relative)
    if not isinstance(found, Path):
        raise UsageError("FILE_IN_ZIP", "install_instead_of_zip", file=relative, place=str(found))
    return found


def cache_folder() -> Path:
    """What is fetched once for this user."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "bulkpoint"


def spark_home() -> Path:
    """The folder of the Spark in use: the one in SPARK_HOME, else pyspark's own.

    Raises:
        UnreachableError: there is none.
    """
    if named := os.environ.get("SPARK_HOME"):
        return Path(named)
    package = importlib.util.find_spec("pyspark")
    if package is None or package.origin is None:
        raise UnreachableError("SPARK_NOT_INSTALLED", "install_spark")
    return Path(package.origin).parent


def find(relative: str) -> Traversable:
    """A file or folder wherever it is, in the file system or in a zip.

    Raises:
        UsageError: there is no such file.
    """
    package = resources.files("bulkpoint")
    packaged = package / "_files"
    if packaged.is_dir():
        root: Traversable = packaged
    elif isinstance(package, Path):
        root = package.parent
    else:
        raise UsageError("PACKAGE_WITHOUT_FILES", "build_package", package=str(package))
    found = root.joinpath(*relative.split("/"))
    if not (found.is_file() or found.is_dir()):
        raise UsageError("FILE_MISSING", "install_again", file=relative, place=str(root))
    return found


def build_py_files(target: Path) -> Path:
    """Makes the zip for ``spark-submit --py-files``: the package with its languages, the SQL and the settings file.

    The same sources give the same bytes, and a target that already holds them is left alone, so that calling this
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
        if not name.startswith("bulkpoint/_files/") and "/__pycache__/" not in name:
            yield name, source
    for folder in _IN_THE_ZIP:
        yield from _walk(find(folder), f"bulkpoint/_files/{folder}")


def _walk(folder: Traversable, name: str) -> Iterator[tuple[str, Traversable]]:
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
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
