"""Finds the files that are not Python: sql/, jobs/, conf/, scripts/.

In a checkout they are the top-level folders next to the package; in a built wheel, and in the zip that Spark hands to
executors (launch/py_files.py), they are inside it, in bulkpoint/_files. Nothing else in the project knows which it is.
"""

import errno
import importlib.util
import os
import stat
from collections.abc import Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import IO

from bulkpoint.errors import UnreachableError, UsageError
from bulkpoint.streams import regular_files_written

# What a path may lead to although a file was meant, by its code of the language files.
_OTHER_KINDS = {
    stat.S_IFDIR: "IS_A_FOLDER",
    stat.S_IFIFO: "IS_A_PIPE",
    stat.S_IFSOCK: "IS_A_SOCKET",
    stat.S_IFCHR: "IS_A_DEVICE",
    stat.S_IFBLK: "IS_A_DEVICE",
}


class NotAFileError(OSError):
    """A path leads to something that is no file; `kind` is its code of the language files."""

    def __init__(self, kind: str) -> None:
        super().__init__(errno.EINVAL, "not a regular file")
        self.kind = kind


def read_bounded(path: Path, bytes_max: int) -> bytes:
    """The first `bytes_max` bytes of a file; raises what open_regular raises."""
    with open_regular(path) as stream:
        return stream.read(bytes_max)


def open_regular(path: Path) -> IO[bytes]:
    """A file, open for reading. Never waits: opening a named pipe would, until someone writes into it.

    Raises NotAFileError for what is no file (each process reads a setting's file again, a list is read twice, so a pipe
    cannot be one), FileNotFoundError also where no file can have such a name, else OSError.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except ValueError as error:  # a NUL in the name
        raise FileNotFoundError(errno.ENOENT, "no such file") from error
    except OSError as error:
        if error.errno in {errno.ENAMETOOLONG, errno.ENOTDIR, errno.ELOOP}:
            raise FileNotFoundError(errno.ENOENT, "no such file") from error
        if error.errno == errno.ENXIO:
            raise NotAFileError("IS_A_SOCKET") from error
        raise
    kind = stat.S_IFMT(os.fstat(descriptor).st_mode)
    if kind != stat.S_IFREG:
        os.close(descriptor)
        raise NotAFileError(_OTHER_KINDS.get(kind, "IS_A_DEVICE"))
    return os.fdopen(descriptor, "rb")


def name_of(path: Path) -> str:
    """The last part of a path as text that can be stored and printed: a byte that is no UTF-8 becomes `\\xff`."""
    return os.fsencode(path.name).decode(errors="backslashreplace")


def refuse_output_over_input(outputs: Mapping[str, Path], inputs: Mapping[str, Path]) -> None:
    """Raise UsageError where an output is an input, by whatever name: opening it for writing would empty it.

    Both are by the option that names them. By the file itself, not by its name: also through a link of either kind,
    another spelling, or /dev/fd. An output that does not exist yet is none of the inputs. stdout and stderr are outputs
    too, where they go to a file: a shell with >> does not empty it, but the lines would go into the list.
    """
    written = [(name, status) for name, path in outputs.items() if (status := _status_of(path)) is not None]
    for option, path in inputs.items():
        read = _status_of(path)
        for output, status in [*written, *regular_files_written()]:
            if read is not None and os.path.samestat(read, status):
                facts = {"output": output, "input": option, "file": str(path)}
                raise UsageError("OUTPUT_IS_INPUT", "output_elsewhere", **facts)


def refuse_output_elsewhere(outputs: Mapping[str, Path]) -> None:
    """Raise UsageError where an output is a folder or a named pipe: opening a pipe for writing waits for its reader.

    The outputs are by the option that names them.
    """
    for option, path in outputs.items():
        real = Path(os.path.realpath(path))  # the pipe behind /dev/stdout has no name
        if real.is_dir() or real.is_fifo() or real.is_socket():
            raise UsageError("OUT_NOT_A_FILE", option=option, file=str(path))


def _status_of(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except (OSError, ValueError):
        return None


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
    """The real path of a file or folder, for programs that need one.

    Raises:
        UsageError: there is no such file, or it is inside a zip.
    """
    found = find(relative)
    if not isinstance(found, Path):
        raise UsageError("FILE_IN_ZIP", "install_instead_of_zip", file=relative, place=str(found))
    return found


def cache_folder() -> Path:
    """The folder for what is fetched once for this user."""
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
