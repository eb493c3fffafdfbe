"""What needs a person: what `check` says, since when, and the button that mends it, or the command to type."""

from datetime import UTC, datetime
from typing import NamedTuple

from starlette.responses import Response

from bulkpoint.campaigns.check import acknowledge_end, find_troubles
from bulkpoint.campaigns.stop import call_back_starts
from bulkpoint.errors import BulkpointError, RefusedError, UnreachableError, UsageError
from bulkpoint.events.message import NOTIFIED_TYPES
from bulkpoint.rules.numbers import BIGINT_MAX
from bulkpoint.rules.refusals import Refusal
from bulkpoint.rules.rights import Right
from bulkpoint.rules.troubles import DEPLOYMENT, TroubleKind
from bulkpoint.store.alert import find_alerts
from bulkpoint.store.campaign import get_running_campaign
from bulkpoint.store.connect import DatabaseAwayError, connect, reachable
from bulkpoint.store.snapshot import reading
from bulkpoint.text import one_line
from bulkpoint.views.troubles import Found, Told, shareable, tell
from bulkpoint.web.asked import Asked
from bulkpoint.web.confirm import REASON_CHARACTERS_MAX, confirmed
from bulkpoint.web.door import NAME
from bulkpoint.web.routes import get, post, render, see_other, status_of
from bulkpoint.web.words import web_sentence

# Some of it is a scan of an overdue campaign's targets: one question for all pages, and not each second.
FOUND_S_MAX = 15.0


class Mending(NamedTuple):
    """What helps. page: where the button is, `{campaign_id}` in it; act: a form on this page."""

    page: str | None = None
    act: str | None = None


_CAMPAIGN = "/campaigns/{campaign_id}"
_STAYS = Mending(_CAMPAIGN, "acknowledge")
MENDINGS = {
    TroubleKind.DRIVER_GONE: Mending(_CAMPAIGN),
    TroubleKind.ON_HOLD: Mending("/limit"),
    TroubleKind.STANDSTILL: Mending(_CAMPAIGN),
    TroubleKind.WAITING: Mending(_CAMPAIGN),
    TroubleKind.RUN_FAILED: _STAYS,
    TroubleKind.RUN_STOPPED: _STAYS,
    TroubleKind.UNKNOWN_LEFT: _STAYS,
    TroubleKind.OVERDUE: Mending(_CAMPAIGN),
    TroubleKind.APPROVAL_WAITING: Mending("/approvals"),
    TroubleKind.FINDINGS_WAITING: Mending(_CAMPAIGN),
    TroubleKind.START_NOT_TAKEN: Mending(_CAMPAIGN, "call_back"),
    TroubleKind.NO_AGENT: Mending(_CAMPAIGN, "call_back"),
    TroubleKind.LIMIT_ZERO: Mending("/limit"),
    TroubleKind.PARKED: Mending(act="publish_parked"),
    TroubleKind.EVENTS_WAITING: Mending(act="publish"),
    # Others need a program that is not here, or the one who runs the database: their sentences have the command.
    TroubleKind.MESSAGES_WAITING: Mending(),
    TroubleKind.LOCK_TABLE: Mending(),
    TroubleKind.LOCK_TABLE_SMALL: Mending(),
    TroubleKind.EMBEDDED_DATABASE: Mending(),
}


def show(asked: Asked) -> Response:
    """The page."""
    return _page(asked)


def count_of(asked: Asked) -> int:
    """How many things need a person now, for the badge in the navigation of every page; 0 also where it cannot be found
    out: no other page is lost by that.
    """

    def find() -> Found | None:
        try:
            return _found(asked)
        except BulkpointError:
            return None

    found = asked.shared.get(("troubles, if any",), FOUND_S_MAX, find)
    return 0 if found is None else sum(one.needs_person for one in _tell(asked, found))


def told(asked: Asked, *, since: datetime | None = None) -> list[Told]:
    """All that `check` says, in the person's language: what needs a person first. since: asked after that moment."""
    return _tell(asked, _found(asked, since))


def back(asked: Asked) -> Response:
    """Whoever reloads the address of an act that was refused is back on the page."""
    return see_other(asked, "/trouble")


def acknowledge(asked: Asked) -> Response:
    """What a run left stays as it is, a person says."""
    form = asked.form
    campaign_id = form.number("campaign", least=1, most=BIGINT_MAX)
    try:
        reason = one_line(confirmed(form, campaign_id), REASON_CHARACTERS_MAX)
        run_no, said_before = acknowledge_end(asked.connection, campaign_id, actor=asked.actor, reason=reason)
    except (RefusedError, UsageError) as error:
        return _page(asked, refusal=error.refusal, status=status_of(error), opened=campaign_id)
    said = "acknowledged_before" if said_before else "acknowledged"
    return see_other(asked, "/trouble", said, campaign_id=campaign_id, run=run_no)


def call_back(asked: Asked) -> Response:
    """A start that no job takes is not wanted any more."""
    campaign_id = asked.form.number("campaign", least=1, most=BIGINT_MAX)
    try:
        reason = one_line(asked.form.text("reason", most=REASON_CHARACTERS_MAX, least=1), REASON_CHARACTERS_MAX)
        _, called_back = call_back_starts(asked.connection, campaign_id, actor=asked.actor, reason=reason)
    except (RefusedError, UsageError) as error:
        return _page(asked, refusal=error.refusal, status=status_of(error), opened=campaign_id)
    said = "called_back" if called_back else "nothing_called_back"
    return see_other(asked, "/trouble", said, campaign_id=campaign_id)


def publish(asked: Asked) -> Response:
    """What waits for Kafka, or was set aside, goes out now: as `outbox relay` does it."""
    from bulkpoint.events.relay import relay_once  # Kafka's client is a package that a page's host need not have

    try:
        _check_kafka(asked)
        relayed = relay_once(asked.connection, asked.settings, parked=asked.form.checked("parked"))
    except DatabaseAwayError:
        raise
    except (RefusedError, UsageError, UnreachableError) as error:
        return _page(asked, refusal=error.refusal, status=status_of(error))
    said = "some_set_aside" if relayed.parked else "published"
    return see_other(asked, "/trouble", said, published=f"{relayed.published:,}", set_aside=f"{relayed.parked:,}")


def _check_kafka(asked: Asked) -> None:
    if asked.settings.kafka_bootstrap_servers is None:
        raise UsageError("NO_KAFKA", "name_brokers")


def _page(asked: Asked, *, refusal: Refusal | None = None, status: int = 200, opened: int | None = None) -> Response:
    found = told(asked)
    return render(
        asked,
        "trouble.html.j2",
        refusal=refusal,
        typed=asked.form if refusal else None,
        status=status,
        needing=[_shown(one) for one in found if one.needs_person],
        noted=[_shown(one) for one in found if not one.needs_person],
        may_start=asked.may(Right.START),
        opened=opened,
        reason_max=REASON_CHARACTERS_MAX,
        deployment=DEPLOYMENT,
    )


def _shown(one: Told) -> tuple[Told, Mending, str | None]:
    """One thing, what helps, and where that is."""
    mending = MENDINGS[one.kind]
    return one, mending, mending.page and mending.page.format(campaign_id=one.campaign_id)


def _tell(asked: Asked, found: Found) -> list[Told]:
    settings = asked.settings
    return tell(
        found,
        now=datetime.now(UTC),
        patience_s=settings.breaker_patience_s,
        timezone=settings.timezone,
        language=asked.session.language,
        forms=asked.words["alerts"],
        say=web_sentence,
    )


def _found(asked: Asked, since: datetime | None = None) -> Found:
    age_s_max = FOUND_S_MAX
    if since is not None:
        age_s_max = min(FOUND_S_MAX, max(0.0, (datetime.now(UTC) - since).total_seconds()))
    return asked.shared.get(("troubles",), age_s_max, lambda: _find(asked))


def _find(asked: Asked) -> Found:
    """As `bulkpoint check` does; without the members that reasons name, because everybody sees it.

    On a connection of its own: what fails here ends no transaction in which a page is being made.
    """
    conninfo, timeout_s = asked.conninfo, asked.settings.web_statement_timeout_s
    with (
        connect(conninfo, name=NAME) as connection,
        reachable(conninfo),
        reading(connection, statement_s_max=timeout_s),
    ):
        alerts, running = find_alerts(connection), get_running_campaign(connection)
        return shareable(alerts, find_troubles(connection, asked.settings, notified=NOTIFIED_TYPES), running)


routes = [
    get("/trouble", show),
    *(get(f"/trouble/{act}", back) for act in ("acknowledge", "call-back", "publish")),
    post("/trouble/acknowledge", acknowledge),
    post("/trouble/call-back", call_back),
    post("/trouble/publish", publish, is_long=True),
]
