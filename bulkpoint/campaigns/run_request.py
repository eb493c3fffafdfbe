"""One run that is asked for: a frozen value from the command line to the run's first transaction.

Between processes it travels as one JSON document: `campaign start` and scripts/submit.sh make it, the job reads it. It
contains no secret and no member data. An option of a first start is one field here, and the code that acts on it.
"""

from dataclasses import dataclass
from typing import Annotated, Literal, Self
from uuid import UUID, uuid4, uuid5

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from bulkpoint.campaigns.digest import check_digest
from bulkpoint.campaigns.findings import check_names
from bulkpoint.errors import UsageError
from bulkpoint.rules.findings import FindingName
from bulkpoint.rules.invariants import DefectError
from bulkpoint.rules.lifecycle import RunKind
from bulkpoint.settings import Settings
from bulkpoint.store.audit import os_user
from bulkpoint.store.progress import RetrySelection


@dataclass(frozen=True, slots=True)
class StartOption:
    """Marks a field that is an option of `campaign start` and scripts/submit.sh, its description being its help."""

    metavar: str | None = None


class RunRequest(BaseModel):
    """One run, as it was requested.

    campaign: its id, or `next`: the oldest one that is ready. holder: the driver's name for itself, by which the caller
    recognises its run. followed: a command has checked the request and follows the job, which therefore need not plan
    again; the run itself checks everything. asked: the request in the database that this takes, written by another
    program and perhaps by another login. follows: of an automatic retry, the request of the run before it, where that
    one was taken. selection: of a RETRY. same_as: an earlier campaign's id.

    Making one raises UsageError for an impossible value, or an impossible combination.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    campaign: int | Literal["next"]
    actor: str
    kind: RunKind = RunKind.INITIAL
    holder: UUID = Field(default_factory=uuid4)
    asked: UUID | None = None
    follows: UUID | None = None
    followed: bool = False
    selection: RetrySelection = RetrySelection()

    digest: Annotated[str | None, StartOption("D")] = Field(
        default=None, description="Refuse if the targets have another digest."
    )
    force: Annotated[bool, StartOption()] = Field(
        default=False, description="Start before its turn in the queue; needs --reason and the right `force`."
    )
    accept: Annotated[tuple[str, ...], StartOption("FINDING")] = Field(
        default=(), description="Start although the list has this finding; repeatable. `preview` names them."
    )
    same_as: Annotated[int | None, StartOption("ID")] = Field(
        default=None, description="The list repeats that campaign's on purpose; needs --reason."
    )
    reason: Annotated[str | None, StartOption("T")] = Field(default=None, description="Why; kept in the audit log.")

    @property
    def campaign_id(self) -> int:
        """The campaign's id, once it is known."""
        if self.campaign == "next":
            raise DefectError("a run of the next campaign, before it was found")
        return self.campaign

    @property
    def takes_others(self) -> bool:
        """Whether this is `next` and may be a run that another has asked for: not where it has options of its own."""
        if self.campaign != "next":
            return False
        plain = RunRequest(campaign="next", actor=self.actor)
        return self.model_dump(include=_OPTIONS) == plain.model_dump(include=_OPTIONS)

    @property
    def accepted(self) -> tuple[FindingName, ...]:
        """The findings that the person accepts."""
        return check_names(self.accept)

    @property
    def request_id(self) -> UUID:
        """Of its row in run_request: one driver may ask for several runs, its automatic retries."""
        return self.asked or uuid5(self.holder, f"{self.kind} {self.reason}")

    def to_json(self) -> str:
        """One line of ASCII, which passes unchanged through every shell, JVM and locale."""
        return self.model_dump_json(ensure_ascii=True)

    @classmethod
    def from_json(cls, document: str) -> Self:
        """Raises UsageError for what is not the document of a request."""
        try:
            return cls.model_validate_json(document)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(map(str, first["loc"])) or "JSON"
            raise UsageError("RUN_REQUEST_UNREADABLE", field=field, why=first["msg"]) from None

    @model_validator(mode="after")
    def _can_be(self) -> Self:
        if self.digest is not None:
            check_digest(self.digest)
        if check_names(self.accept) and self.campaign == "next":
            raise UsageError("ACCEPT_FOR_NEXT", "give_the_id")
        for option, given in (
            ("force", self.force),
            ("same-as", self.same_as is not None),
            ("beyond-limit", self.selection.beyond_limit),
        ):
            if given and not (self.reason and self.reason.strip()):
                raise UsageError("REASON_MISSING", option=option)
        return self


_OPTIONS = {
    name
    for name, field in RunRequest.model_fields.items()
    if any(isinstance(mark, StartOption) for mark in field.metadata)
}


def asker(settings: Settings) -> str:
    """The actor of a request that names none: BULKPOINT_ACTOR, else the operating system's user."""
    return settings.actor or os_user()
