"""Look at members, with the audit row of whoever looks: the same for the command line and the page.

The row is written before anything is shown, and where it cannot be written, nothing is. What is returned is what the
login may see: ids are masked for one that has not the right `members`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from bulkpoint.errors import UsageError
from bulkpoint.rules.member_names import Eyes, is_masked
from bulkpoint.rules.preview import Preview
from bulkpoint.store.archive import count_archived
from bulkpoint.store.audit import Reader, Reading, member_hash, note_reading, note_reading_apart
from bulkpoint.store.campaign import get_campaign, refuse_archived
from bulkpoint.store.connect import Connection
from bulkpoint.store.payment_history import FoundPayment, FoundTarget, find_payments, shown_to
from bulkpoint.store.snapshot import one_snapshot
from bulkpoint.text import quoted

VALUE_CHARACTERS_SHOWN = 60


class Note(Protocol):
    """Writes the audit row of a reading; `writes_on` and `writes_apart` make one."""

    def __call__(self, *, action: Reading, campaign_id: int | None, detail: Mapping[str, object]) -> Reader: ...


def writes_on(connection: Connection, *, actor: str) -> Note:
    """For a command, whose connection may write when no transaction is open on it."""
    return partial(note_reading, connection, actor=actor)


def writes_apart(conninfo: str, *, actor: str) -> Note:
    """For a page, whose connection only reads: `writes_apart(asked.conninfo, actor=asked.actor)`."""
    return partial(note_reading_apart, conninfo, actor=actor)


@dataclass(frozen=True, slots=True)
class FoundMember:
    """What was and will be paid to one member, the newest campaign first, as the reader may see it.

    archived: campaigns that could not be searched, because their members are in files only.
    """

    payments: tuple[FoundPayment | FoundTarget, ...]
    archived: int
    eyes: Eyes

    def __iter__(self) -> Iterator[FoundPayment | FoundTarget]:
        return iter(self.payments)


def find_member(
    connection: Connection, member_id: str, *, note: Note, campaign_id: int | None = None, reason: str | None = None
) -> FoundMember:
    """Look one member up, over all campaigns or in one; the row has the hash of the id and how many were found.

    Needs no right: whoever was given an id may ask what was paid. Raises UsageError for an id that is a mask;
    RefusedError for a campaign that is not known, or archived.
    """
    if is_masked(member_id):
        raise UsageError("MEMBER_IS_MASKED", given=quoted(member_id, VALUE_CHARACTERS_SHOWN))
    with one_snapshot(connection):
        if campaign_id is not None:
            refuse_archived(get_campaign(connection, campaign_id))
        found = find_payments(connection, member_id, campaign_id=campaign_id)
        archived = count_archived(connection) if campaign_id is None else 0
    detail = {"member_sha256": member_hash(member_id), "rows": len(found), "reason": reason}
    eyes = note(action=Reading.FIND, campaign_id=campaign_id, detail=detail).eyes
    return FoundMember(tuple(shown_to(eyes, one) for one in found), archived, eyes)


def note_list(
    note: Note, campaign_id: int, *, rows: int, shown: Mapping[str, object], reason: str | None = None
) -> Eyes:
    """Before payments of a campaign are shown, a page of them at a time. shown: which ones, as filters; no member."""
    return note(action=Reading.LIST, campaign_id=campaign_id, detail={**shown, "rows": rows, "reason": reason}).eyes


def note_preview(note: Note, seen: Preview, *, reason: str | None = None) -> Preview:
    """Before a preview is shown, of a campaign or of a file; returns it as the login may see it."""
    campaign_id = None if seen.campaign is None else seen.campaign.campaign_id
    digest = None if seen.digest is None else seen.digest.hex()
    detail = {"file": seen.file, "rows": seen.figures.count, "digest": digest, "reason": reason}
    return seen.shown_to(note(action=Reading.PREVIEW, campaign_id=campaign_id, detail=detail).eyes)
