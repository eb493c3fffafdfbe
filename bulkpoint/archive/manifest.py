"""The manifest of an archive: what the campaign was, what its files have, and what proves it; one JSON object."""

import json
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from bulkpoint import __version__
from bulkpoint.archive.tables import ATTEMPTS, PAYMENTS, FileFigures
from bulkpoint.store.archive import ArchiveHead
from bulkpoint.store.campaign import Campaign, CampaignRun, Counts
from bulkpoint.views.view import Moment

NAME = "manifest.json"
FORMAT = 1
BYTES_MAX = 64 * 2**20


class FileEntry(BaseModel):
    """rows; amount: points of all payments, 0 for attempts. bytes, sha256: of the file as it is. rows_sha256: over its
    rows (docs/database.md), as the database computed it from its own."""

    rows: int
    amount: int
    bytes: int
    sha256: str
    rows_sha256: str


class RunEntry(BaseModel):
    """A run of the campaign; attempts name it by run_id."""

    run_id: int
    run: int
    kind: str
    state: str
    reason: str | None
    actor: str
    started_at: Moment
    finished_at: Moment | None

    model_config = ConfigDict(from_attributes=True)


class Manifest(BaseModel):
    """key_namespace: an idempotency key is the UUID of version 5 of a member id in it. list_sha256: the digest of the
    campaign's list, which `campaign show` and the audit log have too. counts: payments by state; FAILED includes
    UNKNOWN.
    """

    format: int
    program: str
    schema_version: str
    database: str
    written_at: Moment
    actor: str
    login: str
    reason: str | None
    campaign_id: int
    key_namespace: str
    name: str
    note: str
    state: str
    creator: str
    creator_login: str
    created_at: Moment
    approved_by: str | None
    approved_login: str | None
    approved_at: Moment | None
    same_as: int | None
    frozen_at: Moment | None
    target_count: int
    target_amount: int
    list_sha256: str
    counts: dict[str, int]
    amounts: dict[str, int]
    failure_kinds: dict[str, int]
    runs: list[RunEntry]
    files: dict[str, FileEntry]

    def to_bytes(self) -> bytes:
        """As it is written."""
        return json.dumps(self.model_dump(mode="json"), ensure_ascii=False, indent=2).encode() + b"\n"


def make_manifest(
    campaign: Campaign,
    head: ArchiveHead,
    counts: Counts,
    runs: list[CampaignRun],
    files: dict[str, FileFigures],
    *,
    actor: str,
    reason: str | None,
    now: datetime,
) -> Manifest:
    """From what the database says of the campaign, and what was read back from its files."""
    of_state = {state: (getattr(counts, state), getattr(counts, f"{state}_amount")) for state in _STATES}
    fields: dict[str, Any] = {
        name: getattr(campaign, name) for name in Manifest.model_fields if hasattr(campaign, name)
    }
    fields |= {
        "format": FORMAT,
        "program": f"bulkpoint {__version__}",
        "schema_version": head.schema_version,
        "database": head.database,
        "written_at": now,
        "actor": actor,
        "login": head.login,
        "reason": reason,
        "key_namespace": head.key_namespace,
        "list_sha256": files[PAYMENTS.file].list_digest.hex(),
        "counts": {state.upper(): count for state, (count, _) in of_state.items()},
        "amounts": {state.upper(): points for state, (_, points) in of_state.items()},
        "failure_kinds": counts.failure_kinds,
        "runs": [RunEntry.model_validate(vars(run) | {"run": run.run_no}) for run in runs],
        "files": {name: _entry(files[name]) for name in (PAYMENTS.file, ATTEMPTS.file)},
    }
    return Manifest.model_validate(fields)


def read_manifest(path: Path) -> tuple[Manifest, bytes] | None:
    """A manifest and the SHA-256 of its bytes; None for what is none."""
    try:
        with path.open("rb") as stream:
            content = stream.read(BYTES_MAX)
        return Manifest.model_validate_json(content), sha256(content).digest()
    except (OSError, ValidationError):
        return None


_STATES = ("pending", "processing", "success", "failed")


def _entry(figures: FileFigures) -> FileEntry:
    return FileEntry(
        rows=figures.rows,
        amount=figures.amount,
        bytes=figures.size_bytes,
        sha256=figures.sha256.hex(),
        rows_sha256=figures.digest.hex(),
    )
