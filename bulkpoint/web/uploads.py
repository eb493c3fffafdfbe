"""Files that people send, on this machine's disk for as long as they are needed, and never longer.

They are in a folder of the running page's own, which only its account can read. It goes when the page ends; one that a
killed process has left is removed by the next.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

PREFIX = "bulkpoint-web-"
_LOCK = "in-use"
# Of all files that people have sent and that are still kept.
BYTES_MAX = 2 * 1024**3


@dataclass(frozen=True)
class Upload:
    """A file that a person has sent. name: as it was called there, for people only; path: where it is till removed."""

    name: str
    path: Path
    bytes: int

    def remove(self) -> None:
        """It is there no more."""
        with suppress(FileNotFoundError):
            self.path.unlink()


@contextmanager
def upload_folder() -> Iterator[Path]:
    """A new folder for the block, in TMPDIR."""
    _remove_left_ones(Path(tempfile.gettempdir()))
    made = Path(tempfile.mkdtemp(prefix=f".{PREFIX}"))
    lock = os.open(made / _LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    folder = made.rename(made.with_name(made.name[1:]))  # only a locked one has the name by which others remove it
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def has_room(folder: Path, more: int) -> bool:
    """Whether so many bytes more can be kept."""
    kept = 0
    for file in folder.rglob("*"):
        with suppress(FileNotFoundError):
            kept += file.stat().st_size
    return kept + more <= BYTES_MAX


def _remove_left_ones(place: Path) -> None:
    for folder in place.glob(f"{PREFIX}*"):
        with suppress(OSError):
            if folder.stat().st_uid != os.getuid():
                continue
            lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)
