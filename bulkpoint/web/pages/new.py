"""A new campaign: a list is sent and looked at, and exactly that list is created on a second click."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from zoneinfo import ZoneInfo

from starlette.responses import Response

from bulkpoint.campaigns.create import NAME_CHARACTERS_MAX, NOTE_CHARACTERS_MAX, NewCampaign, as_decided, other_totals
from bulkpoint.campaigns.findings import check_names
from bulkpoint.campaigns.preview import compare_read, present_pace
from bulkpoint.campaigns.readiness import limits_of
from bulkpoint.campaigns.reading import note_preview, writes_apart
from bulkpoint.errors import BulkpointError, RefusedError, UsageError
from bulkpoint.intake.form import CP949, UTF_8, UTF_16, ListForm
from bulkpoint.intake.target_file import COLUMNS
from bulkpoint.rules.findings import Finding, FindingName
from bulkpoint.rules.member_names import Eyes
from bulkpoint.rules.numbers import BIGINT_MAX
from bulkpoint.rules.preview import look_ahead
from bulkpoint.rules.refusals import Refusal
from bulkpoint.rules.rights import Right
from bulkpoint.views.drawing import draw_buckets
from bulkpoint.views.empty_lists import empty_csv, empty_workbook
from bulkpoint.views.row_rules import row_problem
from bulkpoint.web.asked import Asked
from bulkpoint.web.confirm import REASON_CHARACTERS_MAX
from bulkpoint.web.form import Form
from bulkpoint.web.list_work import Load, Read
from bulkpoint.web.moments import moment
from bulkpoint.web.report import MEDIA_TYPES
from bulkpoint.web.routes import get, post, render, see_other, status_of
from bulkpoint.web.stop_bar import may_stop
from bulkpoint.web.waiting_list import LISTS_OF_A_SESSION_MAX, Phase, WaitingList, refuse_too_many
from bulkpoint.web.words import web_sentence

# What a short list needs is awaited; a longer one has a page that says how far it is.
SHORT_S = 2.0
OPTION_CHARACTERS_MAX = 500
ENCODINGS = (UTF_8, CP949, UTF_16)
# Fields beside the file that are kept with it, and shown again where it is refused.
FIELDS = (
    "name", "note", "expect_count", "expect_amount", "not_before", "encoding", "delimiter", "columns", "sheet",
)  # fmt: skip
_TEMPLATES = {
    "csv": empty_csv,
    "xlsx": empty_workbook,
}


@dataclass(frozen=True)
class Wanted:
    """The form beside the file, understood."""

    new: NewCampaign
    form: ListForm


def show(asked: Asked) -> Response:
    """The form, with the lists that wait."""
    return _form_page(asked)


def send(asked: Asked) -> Response:
    """First click: keep the file and read it. Nothing is created."""
    form = asked.form
    waiting = _list_of(asked, form.raw("waiting"))
    if "file" in form.files:
        if waiting is not None and not waiting.is_at_work:
            _give_up(asked, form.raw("waiting"))
        _forget_loaded(asked)
        _forget_refused(asked)
        try:
            refuse_too_many(asked.site.host.uploads, [each for _, each in _lists(asked)])
        except RefusedError as error:  # with the lists, one of which has to go, and what was typed
            return _form_page(asked, status=status_of(error), refusal=error.refusal, typed=form)
        waiting = WaitingList(asked.site.host.uploads, form.file("file"), {})
        asked.keep(waiting)
    try:
        if waiting is None:
            form.file("file")
            raise AssertionError("without a file the form has said so")
        waiting.typed = {name: form.raw(name)[: 2 * NOTE_CHARACTERS_MAX] for name in FIELDS}
        wanted = _wanted(asked, waiting.typed)
    except BulkpointError as error:
        return _form_page(asked, status=422, refusal=error.refusal, typed=form, waiting=waiting)
    if waiting.is_at_work:
        raise RefusedError("LIST_IS_AT_WORK", file=waiting.name)
    waiting.begin_reading(Read(waiting.path, wanted.form, limits_of(asked.settings)))
    waiting.wait(SHORT_S)
    return see_other(asked, f"/new/{_name_of(asked, waiting)}")


def look(asked: Asked) -> Response:
    """A list that was sent: how far it is read, why it is refused, or all that is to be seen before it is created."""
    waiting = _known_list(asked)
    if waiting.phase is Phase.LOADED:
        assert waiting.campaign_id is not None, "it was created"
        if asked.is_refresh:
            return render(asked, "new_list.html.j2", phase=waiting.phase, waiting=waiting)
        said = None if waiting.is_announced else _what_next(asked)
        waiting.is_announced = True
        return see_other(asked, f"/campaigns/{waiting.campaign_id}", said, campaign_id=waiting.campaign_id)
    if waiting.phase is Phase.KEPT:
        return _form_page(asked, waiting=waiting)
    if waiting.phase is Phase.REFUSED:
        return _refused_page(asked, waiting)
    if waiting.phase is not Phase.READ:
        return render(asked, "new_list.html.j2", phase=waiting.phase, waiting=waiting, name=asked.path("name"))
    return _preview_page(asked, waiting)


def create(asked: Asked) -> Response:
    """Second click: the campaign, with exactly the list that was looked at."""
    waiting = _known_list(asked)
    name, form = asked.path("name"), asked.form
    if waiting.phase in (Phase.LOADING, Phase.LOADED):  # the same click once more
        return see_other(asked, f"/new/{name}")
    if waiting.phase is not Phase.READ or waiting.read is None:
        raise RefusedError("LIST_IS_AT_WORK", file=waiting.name)
    seen = waiting.read.file.seen
    digest = None if seen.digest is None else seen.digest.hex()
    if form.raw("digest") != (digest or ""):
        raise RefusedError("LIST_READ_AGAIN", "look_at_list_again", file=waiting.name)
    try:
        new = replace(
            _wanted(asked, waiting.typed).new,
            same_as=form.optional_number("same_as", least=1, most=BIGINT_MAX),
            reason=form.optional_text("reason", most=REASON_CHARACTERS_MAX),
            accept=check_names(form.all("accept")),
            digest=digest,
        )
        if new.same_as is not None and new.reason is None:
            form.text("reason", least=1, most=REASON_CHARACTERS_MAX)
    except UsageError as error:
        waiting.refusal = error.refusal
        return see_other(asked, f"/new/{name}")
    waiting.typed |= {"same_as": form.raw("same_as"), "reason": form.raw("reason")}
    waiting.begin_loading(
        Load(
            waiting.path, waiting.read.sha256, waiting.form, limits_of(asked.settings), new, asked.actor, asked.conninfo
        )
    )
    waiting.wait(SHORT_S)
    return see_other(asked, f"/new/{name}")


def give_up(asked: Asked) -> Response:
    """The list is forgotten; one that is being loaded is loaded."""
    waiting = _list_of(asked, asked.path("name"))
    if waiting is not None and waiting.phase is Phase.LOADING:
        raise RefusedError("LIST_IS_AT_WORK", file=waiting.name)
    if waiting is not None:
        _give_up(asked, asked.path("name"))
    return see_other(asked, "/new", "list_given_up")


def template(asked: Asked, ending: str) -> Response:
    """A list to be filled in, with a header of the person's language."""
    file = f'attachment; filename="bulkpoint-{asked.session.language}.{ending}"'
    return Response(
        _TEMPLATES[ending](asked.session.language),
        media_type=MEDIA_TYPES[ending],
        headers={"Content-Disposition": file},
    )


routes = [
    get("/new", show),
    post("/new", send, takes_file=True),
    get("/new/template.csv", partial(template, ending="csv")),
    get("/new/template.xlsx", partial(template, ending="xlsx")),
    get("/new/{name}", look),
    post("/new/{name}/create", create),
    post("/new/{name}/give-up", give_up),
]


def _form_page(
    asked: Asked,
    *,
    status: int = 200,
    refusal: Refusal | None = None,
    typed: Form | None = None,
    waiting: WaitingList | None = None,
    proposed: dict[str, str] | None = None,
) -> Response:
    given = {name: typed.raw(name) for name in FIELDS} if typed else dict(waiting.typed) if waiting else {}
    return render(
        asked,
        "new.html.j2",
        status=status,
        why=refusal,
        typed=typed,
        given=dict.fromkeys(FIELDS, "") | given | (proposed or {}),
        proposed=[asked.words["fields"][name] for name in proposed or ()],
        encodings=ENCODINGS,
        waiting=waiting,
        waiting_name=None if waiting is None else _name_of(asked, waiting),
        others=[(name, each) for name, each in _lists(asked) if each is not waiting],
        may_create=may_stop(asked),
        limits=limits_of(asked.settings),
        words_max=(NAME_CHARACTERS_MAX, NOTE_CHARACTERS_MAX),
        now=datetime.now(ZoneInfo(asked.settings.timezone)),
    )


def _refused_page(asked: Asked, waiting: WaitingList) -> Response:
    """Why the file cannot be read, above the form with what was typed: it is read again, or another one is sent.

    What the refusal proposes for the options of the form stands in them already.
    """
    assert waiting.refusal is not None, "it was refused"
    facts = waiting.refusal.facts
    proposed = {
        field: str(facts[fact])
        for field, fact, code in (
            ("encoding", "option", "name_encoding"),
            ("columns", "proposed", "columns"),
            ("delimiter", "delimiter", "name_delimiter"),
        )
        if fact in facts and any(remedy.startswith(code) for remedy in waiting.refusal.remedies)
    }
    if "name_encoding_and_columns" in waiting.refusal.remedies:
        proposed |= {"encoding": str(facts["option"]), "columns": str(facts["proposed"])}
    proposed = {name: value.strip("'") for name, value in proposed.items()}
    return _form_page(asked, refusal=waiting.refusal, waiting=waiting, proposed=proposed)


def _preview_page(asked: Asked, waiting: WaitingList) -> Response:
    assert waiting.read is not None, "it was read"
    limits = limits_of(asked.settings)
    if waiting.seen is None:
        seen = compare_read(asked.connection, waiting.read.file, limits)
        note_preview(writes_apart(asked.conninfo, actor=asked.actor), seen)
        waiting.seen = seen  # not before its trace is written
    wanted = _wanted(asked, waiting.typed)
    totals = other_totals(wanted.new, waiting.seen.figures.count, waiting.seen.figures.amount, waiting.name)
    decided = as_decided(waiting.seen.noticed, wanted.new, asked.actor)
    seen = replace(waiting.seen, noticed=decided).shown_to(Eyes(asked.may(Right.MEMBERS)))
    outlook = look_ahead(seen.open_count, present_pace(asked.connection, asked.settings), now=datetime.now(UTC))
    obstacles = [*seen.findings, *([totals] if totals else [])]
    copies = [finding for finding in seen.noticed if finding.name is FindingName.NEAR_COPY and finding.refuses]
    same = next((each for each in seen.findings if each.code == "SAME_LIST"), None)
    repeats = same.facts["seen_in"] if same else copies[0].facts["first_id"] if copies else None
    return render(
        asked,
        "new_list.html.j2",
        why=waiting.refusal,
        status=200 if waiting.refusal is None else 409,
        phase=waiting.phase,
        name=asked.path("name"),
        waiting=waiting,
        new=wanted.new,
        given={"same_as": "", "reason": ""} | waiting.typed,
        form=waiting.form.given(),
        seen=seen,
        figures=seen.figures,
        outlook=outlook,
        histogram=draw_buckets(seen.figures.buckets) if seen.figures.count else None,
        obstacles=[plain(asked, each) for each in obstacles if each is not same],
        same=None if same is None else plain(asked, same),
        findings=[(each, plain(asked, each.as_refusal()), examples_of(asked, each)) for each in seen.noticed],
        problems=[row_problem(line, asked.session.language) for line in seen.problems],
        remarks=[plain(asked, each) for each in waiting.read.file.remarks],
        repeats=repeats,
        kept_fields=FIELDS,
        can_be_created=seen.digest is not None and all(each is same for each in obstacles),
        approval_required=asked.settings.require_approval,
    )


def plain(asked: Asked, refusal: Refusal) -> str:
    """What is found, without what to do about it: that stands beside it on the page."""
    found = replace(refusal, remedies=())
    return web_sentence(found, language=asked.session.language, timezone=asked.settings.timezone)


def examples_of(asked: Asked, finding: Finding) -> list[str]:
    """The places after the first, which the sentence has."""
    places = finding.shown_examples[1:]
    return [
        plain(
            asked,
            Refusal(
                "VALUE_FOUND" if each.row is None else "ROW_FOUND",
                {"row": each.row, "value": each.value, "why": each.why},
            ),
        )
        for each in places
    ]


def _wanted(asked: Asked, typed: dict[str, str]) -> Wanted:
    """Raises UsageError for what a field cannot be."""
    form = Form(asked.session.language, {name: [value] for name, value in typed.items()})
    name = form.text("name", least=1, most=NAME_CHARACTERS_MAX)
    if not name.isprintable():
        raise UsageError("NAME_IMPOSSIBLE", characters_max=NAME_CHARACTERS_MAX)
    new = NewCampaign(
        name,
        form.text("note", most=NOTE_CHARACTERS_MAX),
        form.optional_number("expect_count", least=1, most=BIGINT_MAX),
        form.optional_number("expect_amount", least=1, most=BIGINT_MAX),
        moment(form, "not_before", timezone=asked.settings.timezone),
    )
    options = {name: form.optional_text(name, most=OPTION_CHARACTERS_MAX) for name in ("encoding", "columns", "sheet")}
    delimiter = form.raw("delimiter").strip(" ") or None  # a tab is one
    return Wanted(new, ListForm.of_options(ours=COLUMNS, delimiter=delimiter, **options))


def _what_next(asked: Asked) -> str:
    return "created_approve" if asked.settings.require_approval else "created_start"


def _lists(asked: Asked) -> list[tuple[str, WaitingList]]:
    """The session's, without those that are gone or loaded."""
    kept = asked.session.kept
    for name, each in list(kept.items()):
        if isinstance(each, WaitingList) and each.is_gone:
            kept.pop(name, None)
    return [
        (name, each) for name, each in kept.items() if isinstance(each, WaitingList) and each.phase is not Phase.LOADED
    ]


def _forget_loaded(asked: Asked) -> None:
    """Lists that became campaigns lead to them until the next one is sent."""
    for name, each in list(asked.session.kept.items()):
        if isinstance(each, WaitingList) and each.phase is Phase.LOADED:
            _give_up(asked, name)


def _forget_refused(asked: Asked) -> None:
    """What could not be read makes way where there is no more room: a person who tries one file after another need not
    tidy up.
    """
    lists = _lists(asked)
    refused = [name for name, each in lists if each.phase is Phase.REFUSED]
    for name in refused[: max(0, len(lists) + 1 - LISTS_OF_A_SESSION_MAX)]:
        _give_up(asked, name)


def _list_of(asked: Asked, name: str) -> WaitingList | None:
    found = asked.kept(name)
    return found if isinstance(found, WaitingList) and not found.is_gone else None


def _known_list(asked: Asked) -> WaitingList:
    found = _list_of(asked, asked.path("name"))
    if found is None:
        raise RefusedError("WAITING_LIST_UNKNOWN", "send_list_again")
    return found


def _name_of(asked: Asked, waiting: WaitingList) -> str:
    return next(name for name, each in asked.session.kept.items() if each is waiting)


def _give_up(asked: Asked, name: str) -> None:
    asked.session.kept.pop(name).remove()
