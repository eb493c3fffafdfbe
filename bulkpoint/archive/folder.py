"""The folder of one archive: written under a name of its own, and given its real name once everything is in it.

FOLDER/.campaign-12-<8 digits>.part    while it is written; whatever a try before left there is removed
FOLDER/campaign-12                     whole and on disk
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bulkpoint.archive.manifest import NAME, read_manifest
from bulkpoint.errors import RefusedError, UsageError
from bulkpoint.rules.refusals import Refusal


class ArchiveFolder:
    """A folder of one campaign inside the folder that a person names.

    key_namespace: of the campaign; it tells this database's campaign 12 from another database's.
    """

    def __init__(self, out: Path, campaign_id: int, key_namespace: str) -> None:
        self._out = out.resolve()
        self._campaign_id = campaign_id
        self._key_namespace = key_namespace
        self.place = self._out / f"campaign-{campaign_id}"
        self.part = self._out / f".campaign-{campaign_id}-{key_namespace[:8]}.part"

    @contextmanager
    def unfinished(self) -> Iterator[Path]:
        """The folder to write into; nothing is left of it when the block ends, unless it was finished.

        Raises RefusedError where the archive of another campaign has the name, UsageError where nothing can be written.
        """
        self._refuse_another()
        with self._translated():
            if self.part.exists():
                shutil.rmtree(self.part)
            try:
                self.part.mkdir(mode=0o700)
            except FileNotFoundError as error:  # though `out` is a folder: such as /proc
                facts = {"folder": str(self._out), "why": Refusal("TAKES_NO_FOLDERS")}
                raise UsageError("ARCHIVE_UNWRITABLE", "name_another_folder", **facts) from error
        try:
            with self._translated():
                yield self.part
        finally:
            shutil.rmtree(self.part, ignore_errors=True)

    def write(self, name: str, content: bytes) -> None:
        """A small file, on disk when this returns."""
        with (self.part / name).open("xb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())

    def finish(self) -> None:
        """Give it its real name, on disk when this returns; what a try before left under that name is replaced."""
        self._refuse_another()
        with self._translated():
            _sync(self.part)
            if self.place.exists():
                shutil.rmtree(self.place)
            self.part.rename(self.place)
            _sync(self._out)

    def _refuse_another(self) -> None:
        if not self._out.is_dir():
            raise UsageError("ARCHIVE_NO_FOLDER", "make_folder", folder=str(self._out))
        if not os.path.lexists(self.place):
            return
        found = read_manifest(self.place / NAME)
        if found is None or found[0].key_namespace != self._key_namespace:
            raise RefusedError("ARCHIVE_NAME_TAKEN", "name_another_folder", place=str(self.place))

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            facts = {"folder": str(self._out), "why": error.strerror or str(error)}
            raise UsageError("ARCHIVE_UNWRITABLE", "name_another_folder", **facts) from error


def _sync(folder: Path) -> None:
    """Its names, on disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
