"""Create a campaign, with its targets from a file or only with the figures that its targets must add up to."""

from array import array
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from bulkpoint.campaigns.copies import FileCompared, compare_file
from bulkpoint.campaigns.findings import names_of_accepted
from bulkpoint.campaigns.transition import recorded
from bulkpoint.errors import RefusedError, UsageError
from bulkpoint.files import name_of
from bulkpoint.intake.form import PLAIN_FORM, ListForm
from bulkpoint.intake.list_sketch import SketchMaker
from bulkpoint.intake.problems import Problems
from bulkpoint.intake.target_digest import TargetDigest
from bulkpoint.intake.target_file import TargetFile, check_rows, report_duplicates
from bulkpoint.rules.copies import confirm, repeated_by
from bulkpoint.rules.findings import FileFindings, Finding, FindingName, accept, refusing, why_refused
from bulkpoint.rules.invariants import DefectError
from bulkpoint.rules.lifecycle import Command
from bulkpoint.rules.numbers import BIGINT_MAX
from bulkpoint.rules.readiness import PaymentLimits, refuse_new_list
from bulkpoint.rules.refusals import Refusal
from bulkpoint.rules.targets import AMOUNT_MAX
from bulkpoint.store.campaign import get_campaign, insert_campaign, remember_created_digest
from bulkpoint.store.connect import Connection
from bulkpoint.store.duplicate_list import (
    allow_repetition,
    find_same_list,
    may_be_seen_before,
    remember_list,
)
from bulkpoint.store.finding import keep_judgement
from bulkpoint.store.near_copy import keep_list_sample
from bulkpoint.store.target import digest_targets, load_targets
from bulkpoint.views.sentences import sentence

NAME_CHARACTERS_MAX = 200
NOTE_CHARACTERS_MAX = 2_000


@dataclass(frozen=True)
class NewCampaign:
    """What a person gives for a new campaign; the expected figures may be left out if a file has the targets.

    same_as: the earlier campaign whose list this one repeats on purpose, with the reason for it. accept: findings
    that the person accepts. digest: of the list that the person has looked at, hexadecimal; None: whatever it is.
    """

    name: str
    note: str = ""
    expected_count: int | None = None
    expected_amount: int | None = None
    not_before: datetime | None = None
    same_as: int | None = None
    reason: str | None = None
    accept: tuple[FindingName, ...] = ()
    digest: str | None = None


@dataclass(frozen=True)
class Totals:
    """Targets, and the sum of their points."""

    count: int
    amount: int


def check_targets(
    file: TargetFile,
    limits: PaymentLimits,
    errors_file: Path | None = None,
    findings: FileFindings | None = None,
    *,
    maker: SketchMaker | None = None,
) -> Totals:
    """Check every row of a file of targets and return what they add up to; touches no database.

    Raises RefusedError naming the first 20 problems; all of them go to `errors_file`. `findings` gets what
    makes the list look wrong although no row breaks a rule, `maker` every row.
    """
    amount_max = AMOUNT_MAX if limits.per_row is None else min(AMOUNT_MAX, limits.per_row)
    hashes = array("q")
    noticed = FileFindings() if findings is None else findings
    with Problems(errors_file) as problems:
        amount = 0
        for _, member_id, points, _ in check_rows(file, problems, noticed, hashes, amount_max=amount_max):
            amount += points
            if maker is not None:
                maker.add(member_id, points)
        report_duplicates(file, hashes, problems)
        if problems.count:
            raise RefusedError(problems.refusal(file.path))
    return Totals(len(hashes), amount)


def create_campaign(
    connection: Connection,
    new: NewCampaign,
    *,
    actor: str,
    limits: PaymentLimits,
    targets: Path | None = None,
    form: ListForm = PLAIN_FORM,
    errors_file: Path | None = None,
    say: Callable[[str], None] = lambda _: None,
    show: Callable[[Iterable[Finding]], None] = lambda _: None,
) -> int:
    """Store a campaign, with the targets of a file if one is given, and return its id. All or nothing.

    `form`: what a person said about the file's form. `say` gets a line before long work, and what is unusual in the
    file, `show` the findings in a file that may be loaded.

    Raises UsageError for an impossible value, RefusedError for a bad file.
    """
    _check_words(new)
    if new.same_as is not None:
        _check_repetition(new, targets)
        get_campaign(connection, new.same_as)
    checked = None
    if targets is not None:
        say(f"Checking {targets.name} ...")
        file = TargetFile(targets, form, lambda read: say(sentence(read)))
        checked = _check_file(connection, file, new, limits, errors_file, actor=actor)
        show(checked.findings)
    totals = _expected(new) if checked is None else checked.totals
    _refuse_too_much(totals, limits)
    with recorded(connection, Command.CREATE, actor=actor) as change:
        campaign_id = change.campaign_id = insert_campaign(
            connection,
            name=new.name.strip(),
            note=new.note.strip(),
            expected_count=totals.count,
            expected_amount=totals.amount,
            creator=actor,
            not_before=new.not_before,
        )
        change.detail = {
            "name": new.name.strip(),
            "expected_count": totals.count,
            "expected_amount": totals.amount,
            "not_before": None if new.not_before is None else new.not_before.isoformat(),
        }
        change.audit_only["targets"] = None if targets is None else name_of(targets)
        if checked is not None:
            say(f"Loading {totals.count:,} targets, {totals.amount:,} points in all ...")
            _load(connection, campaign_id, new, checked)
            if said := form.given():
                change.audit_only["read_with"] = said
            if accepted := names_of_accepted(checked.findings, new.accept):
                change.audit_only["accepted"] = accepted
        if new.same_as is not None:
            change.audit_only |= {"same_as": new.same_as, "reason": new.reason}
    return campaign_id


@dataclass(frozen=True)
class _CheckedFile:
    """A file that may be loaded: its totals, its findings as a person took them, and its likeness to recent lists."""

    file: TargetFile
    totals: Totals
    findings: tuple[Finding, ...]
    copies: FileCompared

    @property
    def repeated(self) -> Collection[int]:
        """The campaigns whose lists it repeats on purpose."""
        return repeated_by(self.findings)


def _check_file(
    connection: Connection,
    file: TargetFile,
    new: NewCampaign,
    limits: PaymentLimits,
    errors_file: Path | None,
    *,
    actor: str,
) -> _CheckedFile:
    """Everything that can be known before anything is stored; raises what speaks against loading it."""
    noticed, maker = FileFindings(), SketchMaker()
    totals = check_targets(file, limits, errors_file, noticed, maker=maker)
    if others := other_totals(new, totals.count, totals.amount, file.path.name):
        raise RefusedError(others)
    copies = compare_file(connection, maker.sketch())
    findings = as_decided((*noticed.found(), *copies.findings(limits.copy_share)), new, actor)
    checked = _CheckedFile(file, totals, findings, copies)
    if may_be_seen_before(connection, count=totals.count, amount=totals.amount):
        _refuse_seen_before(connection, checked, new)
    _refuse_findings(findings, file.path)
    return checked


def _load(connection: Connection, campaign_id: int, new: NewCampaign, checked: _CheckedFile) -> None:
    """Load a checked file, and keep what was found in it; raises RefusedError where it changed meanwhile."""
    loaded = _Counted(checked.file)
    load_targets(connection, campaign_id, loaded)
    if loaded.totals() != checked.totals:
        raise RefusedError("TARGETS_FILE_CHANGED", "try_again", file=checked.file.name)
    digest = _remember(connection, campaign_id, new, checked.repeated)
    if new.digest is not None and digest.hex() != new.digest:
        raise RefusedError("TARGETS_FILE_CHANGED", "try_again", file=checked.file.name)
    keep_judgement(connection, campaign_id, digest, checked.findings)
    keep_list_sample(connection, campaign_id, checked.copies.sample(digest))


def as_decided(found: tuple[Finding, ...], new: NewCampaign, actor: str) -> tuple[Finding, ...]:
    """The findings, with those accepted that the person accepts, and the near copy that the person confirms."""
    if new.expected_amount is not None:  # a line that was cut would have another sum
        found = tuple(finding for finding in found if finding.name != FindingName.LAST_LINE_CUT)
    return confirm(accept(found, new.accept, actor), new.same_as, actor)


def _refuse_seen_before(connection: Connection, checked: _CheckedFile, new: NewCampaign) -> None:
    """Before the campaign's row takes an id, and before anything is loaded; _remember sees what was created since."""
    with TargetDigest() as sorted_rows:
        for _, member_id, amount, reason in checked.file.rows(Problems()):
            sorted_rows.add(member_id, int(amount), reason)
        digest = sorted_rows.digest()
    if digest is None:  # no room to sort: the database does it
        return
    refused = refuse_new_list(find_same_list(connection, BIGINT_MAX, digest), new.same_as, checked.repeated)
    if refused is not None:
        raise RefusedError(refused)


def _refuse_findings(findings: Iterable[Finding], targets: Path) -> None:
    if refused := refusing(findings):
        facts = {"file": name_of(targets), "finding_count": len(refused), **why_refused(refused)}
        raise RefusedError("FINDINGS_NOT_ACCEPTED", **facts)


def _remember(connection: Connection, campaign_id: int, new: NewCampaign, repeated: Collection[int]) -> bytes:
    """Remember the list, and return its digest; refuse one that an earlier campaign had, unless that is on purpose."""
    digest = digest_targets(connection, campaign_id)
    refused = refuse_new_list(find_same_list(connection, campaign_id, digest), new.same_as, repeated)
    if refused is not None:
        raise RefusedError(refused)
    remember_list(connection, campaign_id, digest)
    remember_created_digest(connection, campaign_id, digest)
    if new.same_as is not None:
        if not new.reason:
            raise DefectError("a list may repeat another one's, and nothing says why")
        allow_repetition(connection, campaign_id, same_as=new.same_as, reason=new.reason)
    return digest


class _Counted:
    """The rows of a checked file, counted again while they are loaded."""

    def __init__(self, file: TargetFile) -> None:
        self._file = file
        self._count = 0
        self._amount = 0

    def __iter__(self) -> Iterator[tuple[str, int, str]]:
        for _, member_id, amount, reason in self._file.rows(Problems()):
            points = int(amount)
            self._count += 1
            self._amount += points
            yield member_id, points, reason

    def totals(self) -> Totals:
        return Totals(self._count, self._amount)


def _check_words(new: NewCampaign) -> None:
    name = new.name.strip()
    if not 1 <= len(name) <= NAME_CHARACTERS_MAX or not name.isprintable():
        raise UsageError("NAME_IMPOSSIBLE", characters_max=NAME_CHARACTERS_MAX)
    if len(new.note) > NOTE_CHARACTERS_MAX or "\0" in new.note:
        raise UsageError("NOTE_TOO_LONG", characters_max=NOTE_CHARACTERS_MAX)


def _check_repetition(new: NewCampaign, targets: Path | None) -> None:
    if targets is None:
        raise UsageError("SAME_AS_WITHOUT_FILE", "same_as_at_start")
    if not (new.reason and new.reason.strip()):
        raise UsageError("REASON_MISSING", option="same-as")


def _expected(new: NewCampaign) -> Totals:
    if new.expected_count is None or new.expected_amount is None:
        raise UsageError("TOTALS_NOT_GIVEN")
    return Totals(new.expected_count, new.expected_amount)


def other_totals(new: NewCampaign, count: int, amount: int, file: str) -> Refusal | None:
    """Why a file's targets and points are not the expected ones; None where they are, or none are expected."""
    for code, expected, found in (
        ("EXPECTED_COUNT_DIFFERS", new.expected_count, count),
        ("EXPECTED_AMOUNT_DIFFERS", new.expected_amount, amount),
    ):
        if expected is not None and expected != found:
            return Refusal(code, {"file": file, "expected": expected, "found": found})
    return None


def _refuse_too_much(totals: Totals, limits: PaymentLimits) -> None:
    if too_much := excess(totals.amount, limits):
        raise RefusedError(replace(too_much, remedies=("nothing_loaded_split_or_raise_limit",)))


def excess(amount: int, limits: PaymentLimits) -> Refusal | None:
    """Why a campaign of `amount` points is too large: above the settings' maximum or BIGINT; None if it is not."""
    if limits.per_campaign is not None and amount > limits.per_campaign:
        return Refusal("CAMPAIGN_CAP", {"points": amount, "limit": limits.per_campaign})
    return Refusal("CAMPAIGN_UNCOUNTABLE", {"points": amount, "limit": BIGINT_MAX}) if amount > BIGINT_MAX else None
