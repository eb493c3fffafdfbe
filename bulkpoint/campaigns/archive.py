"""Archive a campaign: its rows into files that are read back and compared, then out of the database; one transaction.

Until it commits, the whole campaign is in the database, and whatever is in the folder is replaced by the next try.
After it, the archive is complete. Nobody who pays another campaign waits for it longer than some 0.1 s.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from pathlib import Path

from bulkpoint.archive.folder import ArchiveFolder
from bulkpoint.archive.manifest import NAME, Manifest, make_manifest
from bulkpoint.archive.tables import ATTEMPTS, PAYMENTS, FileFigures, digest_in_database, read_back, write_table
from bulkpoint.campaigns.promises import longest_retention_s
from bulkpoint.errors import RefusedError, UnreachableError
from bulkpoint.rules.archive import Archivable, in_days, least_age_s, why_not
from bulkpoint.rules.rights import Right
from bulkpoint.settings import Settings
from bulkpoint.store import archive as store
from bulkpoint.store.audit import write_audit
from bulkpoint.store.campaign import Campaign, Counts, get_campaign, get_counts, list_campaign_runs, lock_campaign
from bulkpoint.store.connect import Connection
from bulkpoint.store.right import require_right
from bulkpoint.store.session import settle_transaction
from bulkpoint.store.target import digest_targets
from bulkpoint.store.trouble import is_acknowledged

# How long to try for the tables of all campaigns, and the pause between two tries: a reader may have them for minutes.
DROP_S_MAX = 120.0
DROP_PAUSE_S = 0.5


@dataclass(frozen=True)
class Archived:
    """A campaign that is archived. place: its folder; already: it was so before, and nothing was changed."""

    campaign_id: int
    archived_at: datetime
    place: str
    payments: int
    attempts: int
    already: bool = False


def list_to_archive(connection: Connection, settings: Settings, *, age_s: float) -> list[int]:
    """Campaigns that ended at least so long ago, and are not archived.

    Raises RefusedError where the login has no right, and for an age at which their rows may still be needed.
    """
    _check_rights(connection)
    least_s = _least_age_s(connection, settings)
    if age_s < least_s:
        days = {"days": in_days(age_s), "days_min": in_days(least_s, up=True)}
        raise RefusedError("ARCHIVE_AGE_TOO_YOUNG", **days)
    return store.list_old_campaigns(connection, age_s=age_s)


def check_archivable(connection: Connection, settings: Settings, campaign_id: int) -> Archived | None:
    """What stands of a campaign that is archived already; None where it may be archived now.

    Raises RefusedError where the login has no right, and with why it may not.
    """
    _check_rights(connection)
    campaign = get_campaign(connection, campaign_id)
    if (found := store.get_archive(connection, campaign_id)) is not None:
        return Archived(campaign_id, found.archived_at, found.place, found.payments, found.attempts, already=True)
    _refuse(connection, settings, campaign, get_counts(connection, campaign))
    return None


def archive_campaign(
    connection: Connection,
    settings: Settings,
    campaign_id: int,
    out: Path,
    *,
    actor: str,
    reason: str | None,
    say: Callable[[str], None],
) -> Archived:
    """Archive one campaign into a folder of its own inside `out`; once more changes nothing.

    Raises RefusedError where it may not be archived, another process archives it, or its files and its rows are not the
    same; UsageError where the folder takes no files; UnreachableError where the tables stay in use.
    """
    with connection.transaction():
        settle_transaction(connection)
        if (done := check_archivable(connection, settings, campaign_id)) is not None:
            return done
        store.begin_archive(connection, campaign_id)
        head = store.read_head(connection, campaign_id)
        folder = ArchiveFolder(out, campaign_id, head.key_namespace)
        with folder.unfinished() as part:
            files = _write(connection, campaign_id, part)
            lock_campaign(connection, campaign_id)
            store.lock_payments(connection, campaign_id)
            if (done := check_archivable(connection, settings, campaign_id)) is not None:
                return done
            manifest = _compare(connection, campaign_id, files, actor=actor, reason=reason)
            content = manifest.to_bytes()
            folder.write(NAME, content)
            folder.finish()
        audit = _leave(connection, manifest, content, str(folder.place), actor=actor)
        _drop(connection, campaign_id, audit, say)
    found = store.get_archive(connection, campaign_id)
    assert found is not None, "the transaction has committed"
    return Archived(campaign_id, found.archived_at, found.place, found.payments, found.attempts)


def _check_rights(connection: Connection) -> None:
    """An archive has the ids of all members: who may not see them makes none."""
    require_right(connection, Right.ARCHIVE)
    require_right(connection, Right.MEMBERS)


def _least_age_s(connection: Connection, settings: Settings) -> float:
    return least_age_s(longest_retention_s(connection, settings))


def _refuse(connection: Connection, settings: Settings, campaign: Campaign, counts: Counts) -> None:
    head = store.read_head(connection, campaign.campaign_id)
    no = campaign.run_no
    refused = why_not(
        Archivable(
            campaign.campaign_id,
            campaign.state,
            counts.pending,
            counts.processing,
            counts.unknown,
            no is not None and is_acknowledged(connection, campaign.campaign_id, no),
            head.unpublished_events if settings.kafka_bootstrap_servers is not None else 0,
            head.ended_s_ago,
        ),
        age_s_min=_least_age_s(connection, settings),
        now=datetime.now(UTC),
    )
    if refused is not None:
        raise RefusedError(refused)


def _write(connection: Connection, campaign_id: int, part: Path) -> dict[str, FileFigures]:
    """Both files, and what was read back from them."""
    write_table(PAYMENTS, partial(store.payments_as_csv, connection, campaign_id), part / PAYMENTS.file)
    write_table(ATTEMPTS, partial(store.attempts_as_csv, connection, campaign_id), part / ATTEMPTS.file)
    return {table.file: read_back(table, part / table.file) for table in (PAYMENTS, ATTEMPTS)}


def _compare(
    connection: Connection, campaign_id: int, files: dict[str, FileFigures], *, actor: str, reason: str | None
) -> Manifest:
    """The manifest, once files, rows, counters and list agree; the rows are locked."""
    campaign = get_campaign(connection, campaign_id)
    counts, runs = get_counts(connection, campaign), list_campaign_runs(connection, campaign_id)
    payments, attempts = files[PAYMENTS.file], files[ATTEMPTS.file]
    in_files = {
        "payments": (payments.rows, payments.amount, payments.digest),
        "attempts": (attempts.rows, attempts.amount, attempts.digest),
        "counters": (payments.by_state, payments.points_by_state),
        "targets": (payments.list_digest, payments.list_digest),
    }
    in_database = {
        "payments": digest_in_database(store.digest_payments(connection, campaign_id)),
        "attempts": digest_in_database(store.digest_attempts(connection, campaign_id)),
        "counters": store.count_by_state(connection, campaign_id),
        "targets": (digest_targets(connection, campaign_id), campaign.digest),
    }
    differing = tuple(name for name, figures in in_files.items() if figures != in_database[name])
    if differing:
        raise RefusedError("ARCHIVE_DIFFERS", "try_again_or_report", campaign_id=campaign_id, what=differing)
    head = store.read_head(connection, campaign_id)
    return make_manifest(campaign, head, counts, runs, files, actor=actor, reason=reason, now=datetime.now(UTC))


def _leave(connection: Connection, manifest: Manifest, content: bytes, place: str, *, actor: str) -> Callable[[], None]:
    """What the database keeps: where the campaign is, and its sums. Returns what writes the audit row."""
    payments, attempts = manifest.files[PAYMENTS.file], manifest.files[ATTEMPTS.file]
    digest = sha256(content).digest()
    store.mark_archived(
        connection,
        manifest.campaign_id,
        actor=actor,
        place=place,
        manifest=digest,
        payments=payments.rows,
        attempts=attempts.rows,
    )
    detail = {
        "place": place,
        "payments": payments.rows,
        "amount": payments.amount,
        "attempts": attempts.rows,
        "payments_sha256": payments.sha256,
        "attempts_sha256": attempts.sha256,
        "manifest_sha256": digest.hex(),
        "reason": manifest.reason,
    }
    row = partial(write_audit, connection, action="archive", campaign_id=manifest.campaign_id, run_no=None)
    return partial(row, actor=actor, detail=detail)


def _drop(
    connection: Connection, campaign_id: int, write_audit_row: Callable[[], None], say: Callable[[str], None]
) -> None:
    """Drop the partitions, and write the audit row: whoever writes another one, as a stop does, waits for ours."""
    gives_up_at = time.monotonic() + DROP_S_MAX
    waits = False
    while not store.try_to_drop(connection, campaign_id, write_audit_row):
        if time.monotonic() > gives_up_at:
            raise UnreachableError("ARCHIVE_TABLES_IN_USE", "try_again", campaign_id=campaign_id)
        if not waits:
            say(f"Campaign {campaign_id} is written and compared; waits for those who read the payments just now ...")
            waits = True
        time.sleep(DROP_PAUSE_S)
