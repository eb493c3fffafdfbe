"""The limit: what it is, who uses it, how it was; set it, hold it, release it. Who may not change it only looks."""

from datetime import UTC, datetime, timedelta

from starlette.responses import Response

from bulkpoint.campaigns.tps import (
    REASON_CHARACTERS_MAX,
    TPS_MAX,
    change_limit,
    figure_before_hold,
    show_limit,
)
from bulkpoint.errors import RefusedError, UsageError
from bulkpoint.rules.refusals import Refusal
from bulkpoint.rules.rights import Right
from bulkpoint.store.limit import Limit, LimitChange, list_limit_changes
from bulkpoint.text import one_line
from bulkpoint.views.limit_drawing import CHANGES_DRAWN, DAYS_DRAWN, LimitDrawing, draw_limit
from bulkpoint.web.asked import Asked
from bulkpoint.web.moments import later, moment
from bulkpoint.web.routes import get, post, render, see_other, status_of

CHANGES_SHOWN = 20
# A change of the limit reaches every partition within a second; a page asks every few seconds.
LIMIT_S_MAX = 1.0
DRAWING_S_MAX = 10.0


def show(asked: Asked) -> Response:
    """The page."""
    return _page(asked)


def back(asked: Asked) -> Response:
    """Whoever reloads the address of an act that was refused is back on the page."""
    return see_other(asked, "/limit")


def change(asked: Asked) -> Response:
    """Set it, if it still is what the person has before the eyes."""
    form = asked.form
    try:
        tps = form.number("tps", least=0, most=TPS_MAX)
        _set(asked, tps, until=moment(form, "until", timezone=asked.settings.timezone), seen=_seen(asked))
    except (RefusedError, UsageError) as error:
        return _page(asked, refusal=error.refusal, status=status_of(error))
    return see_other(asked, "/limit", "limit_set", tps=f"{tps:,}")


def hold(asked: Asked) -> Response:
    """Nothing is sent any more, whatever it was a moment ago."""
    try:
        _set(asked, 0)
    except (RefusedError, UsageError) as error:
        return _page(asked, refusal=error.refusal, status=status_of(error))
    return see_other(asked, "/limit", "limit_held")


def release(asked: Asked) -> Response:
    """From 0 to the figure that stands in the form: the one of before, where the person has not changed it."""
    try:
        tps = asked.form.number("tps", least=1, most=TPS_MAX)
        _set(asked, tps, seen=0)
    except (RefusedError, UsageError) as error:
        return _page(asked, refusal=error.refusal, status=status_of(error))
    return see_other(asked, "/limit", "limit_released", tps=f"{tps:,}")


def _set(asked: Asked, tps: int, *, until: datetime | None = None, seen: int | None = None) -> None:
    reason = one_line(asked.form.text("reason", most=REASON_CHARACTERS_MAX, least=1), REASON_CHARACTERS_MAX)
    change_limit(
        asked.connection, asked.settings, tps=tps, actor=asked.actor, reason=reason, until=until, seen_tps=seen
    )


def _seen(asked: Asked) -> int:
    return asked.form.number("seen", least=0, most=TPS_MAX)


def _page(asked: Asked, *, refusal: Refusal | None = None, status: int = 200) -> Response:
    before_no = later(asked.query("before"))
    changes = list_limit_changes(asked.connection, rows_max=CHANGES_SHOWN + 1, before_no=before_no)
    limit = _limit(asked)
    return render(
        asked,
        "limit.html.j2",
        refusal=refusal,
        typed=asked.form if refusal else None,
        status=status,
        limit=limit,
        drawing=None if before_no else _drawing(asked, limit),
        days=DAYS_DRAWN,
        changes=[_shown(change) for change in changes[:CHANGES_SHOWN]],
        older=changes[CHANGES_SHOWN - 1].audit_no if len(changes) > CHANGES_SHOWN else None,
        first_page=before_no is None,
        back_to=figure_before_hold(limit, changes) if before_no is None else None,
        may_change=asked.may(Right.THROTTLE),
        tps_max=TPS_MAX,
        reason_max=REASON_CHARACTERS_MAX,
    )


def _limit(asked: Asked) -> Limit:
    """One for all who look, at most a second old; after an act that was refused, as it is now."""

    def ask() -> Limit:
        return show_limit(asked.connection, asked.settings, actor="-")

    return ask() if asked.is_act else asked.shared.get(("limit",), LIMIT_S_MAX, ask)


def _drawing(asked: Asked, limit: Limit) -> LimitDrawing:
    """One for all who look; no member and no reason is in it."""
    now = datetime.now(UTC)

    def draw() -> LimitDrawing:
        since = now - timedelta(days=DAYS_DRAWN)
        changes = list_limit_changes(asked.connection, rows_max=CHANGES_DRAWN, since=since)
        return draw_limit(limit, changes, now=now, timezone=asked.settings.timezone)

    return asked.shared.get(("limit drawing", limit.set_at, limit.tps), DRAWING_S_MAX, draw)


def _shown(change: LimitChange) -> tuple[LimitChange, datetime | None]:
    """A change, and until when it was to last."""
    try:
        return change, None if change.until is None else datetime.fromisoformat(change.until)
    except ValueError:
        return change, None


routes = [
    get("/limit", show),
    post("/limit", change),
    get("/limit/hold", back),
    post("/limit/hold", hold),
    get("/limit/release", back),
    post("/limit/release", release),
]
