"""What a process beside the page does with one list: read it, or load it; and what it tells meanwhile.

A list of millions takes minutes of a core: in the page's own process every other page would wait for it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path
from typing import Any

from bulkpoint.campaigns.create import NewCampaign, create_campaign
from bulkpoint.campaigns.preview import ReadFile, read_file
from bulkpoint.errors import RefusedError
from bulkpoint.intake.form import ListForm
from bulkpoint.intake.list_sketch import SketchMaker
from bulkpoint.rules.readiness import PaymentLimits
from bulkpoint.rules.refusals import Refusal
from bulkpoint.store.connect import connect, reachable

SAID_EVERY_ROWS = 20_000


@dataclass(frozen=True)
class Rows:
    """So many rows were read so far."""

    number: int


@dataclass(frozen=True)
class Done:
    """The end, with what came of it."""

    result: Any


@dataclass(frozen=True)
class Refused:
    """The end: why it cannot be done."""

    refusal: Refusal


@dataclass(frozen=True)
class Read:
    """Read the file: the result is a ListRead."""

    path: Path
    form: ListForm
    limits: PaymentLimits

    def do(self, tell: Callable[[Rows], None]) -> "ListRead":
        """Raises RefusedError for a file that is no list."""
        sha256 = sha256_of(self.path)
        return ListRead(read_file(self.path, self.limits, self.form, maker=_TellingMaker(tell)), sha256)


@dataclass(frozen=True)
class ListRead:
    """A file that was read, and the SHA-256 of its bytes."""

    file: ReadFile
    sha256: bytes


@dataclass(frozen=True)
class Load:
    """Create the campaign with the very file that was read: the result is its id. conninfo: with the password."""

    path: Path
    sha256: bytes
    form: ListForm
    limits: PaymentLimits
    new: NewCampaign
    actor: str
    conninfo: str

    def __repr__(self) -> str:
        return f"Load({self.path.name})"

    def do(self, _tell: Callable[[Rows], None]) -> int:
        """Raises what create_campaign raises, and where the file is another one."""
        if sha256_of(self.path) != self.sha256:
            raise RefusedError("TARGETS_FILE_CHANGED", "try_again", file=self.path.name)
        with connect(self.conninfo, name="bulkpoint web") as connection, reachable(self.conninfo):
            return create_campaign(
                connection, self.new, actor=self.actor, limits=self.limits, targets=self.path, form=self.form
            )


def sha256_of(path: Path) -> bytes:
    """Of a file's bytes."""
    with path.open("rb") as stream:
        return file_digest(stream, "sha256").digest()


class _TellingMaker(SketchMaker):
    """Tells how far the reading is."""

    def __init__(self, tell: Callable[[Rows], None]) -> None:
        super().__init__()
        self._tell = tell
        self._rows = 0

    def add(self, member_id: str, amount: int) -> None:
        """The next row."""
        super().add(member_id, amount)
        self._rows += 1
        if self._rows % SAID_EVERY_ROWS == 0:
            self._tell(Rows(self._rows))
