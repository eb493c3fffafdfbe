"""The audit log: who did what, newest first; whether a row was changed; and a copy to take away, which leaves a row."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import NamedTuple
from urllib.parse import urlencode

from starlette.responses import Response

from bulkpoint.errors import RefusedError, UsageError
from bulkpoint.rules.causes import Cause
from bulkpoint.rules.numbers import BIGINT_MAX
from bulkpoint.rules.refusals import Refusal
from bulkpoint.store.audit import (
    AuditChoice,
    AuditEvent,
    KeptHash,
    Reading,
    Verification,
    list_audit,
    note_reading,
    verify_audit,
)
from bulkpoint.store.connect import DatabaseAwayError, reachable
from bulkpoint.store.snapshot import reading
from bulkpoint.text import one_line
from bulkpoint.views.audit import break_refusal
from bulkpoint.views.audit_file import audit_csv
from bulkpoint.views.audit_words import ACTIONS, action_words, what
from bulkpoint.web.asked import Asked
from bulkpoint.web.confirm import REASON_CHARACTERS_MAX
from bulkpoint.web.moments import later, moment_of
from bulkpoint.web.routes import get, post, render, see_other, status_of

ROWS_SHOWN = 50
# Rows of an export are in memory; more of them are several exports.
EXPORTED_MAX = 100_000
NAME_MAX = 200
# 200,000 rows take 2.4 s on two busy cores; a log of many millions is verified on the command line.
VERIFY_S_MAX = 50.0
HASH_CHARACTERS = 64


class Row(NamedTuple):
    """One row as the page shows it; detail: as it was written, as JSON."""

    event: AuditEvent
    action: str
    what: str
    detail: str

    @classmethod
    def of(cls, event: AuditEvent, language: str, timezone: str) -> "Row":
        """The row in words of the language."""
        detail = json.dumps(event.detail, ensure_ascii=False, indent=2)
        return cls(event, action_words(event.action, language), what(event, timezone, language), detail)


class Filters(NamedTuple):
    """What a person has chosen, as it was typed; empty: all."""

    action: str = ""
    campaign: str = ""
    who: str = ""
    since: str = ""
    until: str = ""
    search: str = ""


def show(asked: Asked) -> Response:
    """The page."""
    typed = Filters(*(asked.query(name) or "" for name in Filters._fields))
    choice, refusal = _choice(typed, asked.settings.timezone)
    choice = replace(choice, before_no=later(asked.query("before")))
    return _page(asked, typed, choice, refusal=refusal, status=422 if refusal else 200)


def _choice(typed: Filters, timezone: str) -> tuple[AuditChoice, Refusal | None]:
    """What is to be listed; a filter that cannot be meant is left out, and named."""
    moments = {name: moment_of(getattr(typed, name), timezone) for name in ("since", "until")}
    wrong = [name for name, found in moments.items() if getattr(typed, name) and found is None]
    campaign_id = int(typed.campaign) if re.fullmatch("[0-9]{1,18}", typed.campaign) else None
    if typed.campaign and campaign_id is None:
        wrong.append("campaign")
    choice = AuditChoice(
        campaign_id=campaign_id,
        action=typed.action or None,
        who=typed.who or None,
        search=typed.search or None,
        since=moments["since"],
        until=moments["until"],
    )
    return choice, Refusal("AUDIT_FILTER_WRONG", {"given": getattr(typed, wrong[0])[:40]}) if wrong else None


def _page(
    asked: Asked, typed: Filters, choice: AuditChoice, *, refusal: Refusal | None = None, status: int = 200
) -> Response:
    events = list_audit(asked.connection, choice, rows_max=ROWS_SHOWN + 1)[::-1]
    language, timezone = asked.session.language, asked.settings.timezone
    shown = events[:ROWS_SHOWN]
    chosen = {name: value for name, value in typed._asdict().items() if value}
    return render(
        asked,
        "audit.html.j2",
        refusal=refusal,
        typed=asked.form if refusal and asked.is_act else None,
        status=status,
        rows=[Row.of(each, language, timezone) for each in shown],
        filters=typed,
        actions=sorted(((each, action_words(each, language)) for each in ACTIONS), key=lambda pair: pair[1]),
        newest=f"?{urlencode(chosen)}" if chosen else "",
        older=f"?{urlencode({**chosen, 'before': shown[-1].audit_no})}" if len(events) > ROWS_SHOWN else None,
        first_page=choice.before_no is None,
        exported_max=EXPORTED_MAX,
        reason_max=REASON_CHARACTERS_MAX,
    )


def back(asked: Asked) -> Response:
    """Whoever reloads the address of an export that was refused is back on the page."""
    return see_other(asked, "/audit")


def export(asked: Asked) -> Response:
    """What the filters choose, as CSV; who takes it out is a row of the log itself."""
    form = asked.form
    typed = Filters(*(form.raw(name)[:NAME_MAX] for name in Filters._fields))
    choice, wrong = _choice(typed, asked.settings.timezone)
    if wrong is not None:
        return _page(asked, typed, choice, refusal=wrong, status=422)
    try:
        reason = one_line(form.text("reason", most=REASON_CHARACTERS_MAX, least=1), REASON_CHARACTERS_MAX)
        events = _chosen(asked, choice)
    except (RefusedError, UsageError) as error:
        return _page(asked, typed, choice, refusal=error.refusal, status=status_of(error))
    chosen = {name: value for name, value in typed._asdict().items() if value}
    detail = {"audit_log": True, "rows": len(events), "format": "csv", **chosen, "reason": reason}
    note_reading(asked.connection, action=Reading.EXPORT, campaign_id=None, actor=asked.actor, detail=detail)
    content = audit_csv(events, timezone=asked.settings.timezone, language=asked.session.language)
    name = f"audit-{datetime.now(UTC):%Y%m%d-%H%M%S}.csv"
    return Response(content, media_type="text/csv", headers={"Content-Disposition": f'attachment; filename="{name}"'})


def _chosen(asked: Asked, choice: AuditChoice) -> list[AuditEvent]:
    events = list_audit(asked.connection, choice, rows_max=EXPORTED_MAX + 1)
    if len(events) > EXPORTED_MAX:
        raise RefusedError("AUDIT_EXPORT_TOO_LONG", "choose_less_time", rows_max=EXPORTED_MAX)
    return events


def show_verification(asked: Asked) -> Response:
    """The form, before anything is verified."""
    return _verification(asked, None)


def verify(asked: Asked) -> Response:
    """Compute every seal again; also compare with a hash that a person has kept."""
    try:
        kept = _kept(asked)
        # A person who asks while it is computed for another one gets the same answer; it ends in any case.
        found = asked.shared.get(("audit", kept), 0.0, lambda: _verify(asked, kept))
    except DatabaseAwayError as error:
        if error.ruling.cause is not Cause.STATEMENT_TIMEOUT:
            raise
        refusal = Refusal("AUDIT_VERIFY_TOO_LONG", {"seconds": VERIFY_S_MAX}, ("verify_on_command_line",))
        return _verification(asked, None, refusal=refusal, status=409)
    except (RefusedError, UsageError) as error:
        return _verification(asked, None, refusal=error.refusal, status=status_of(error))
    return _verification(asked, found)


def _verify(asked: Asked, kept: KeptHash | None) -> Verification:
    with reachable(asked.conninfo), reading(asked.connection, statement_s_max=VERIFY_S_MAX):
        return verify_audit(asked.connection, kept)


def _kept(asked: Asked) -> KeptHash | None:
    number = asked.form.optional_number("kept_no", least=1, most=BIGINT_MAX)
    text = asked.form.text("kept_hash", most=HASH_CHARACTERS)
    if number is None and not text:
        return None
    if number is None or not text:
        raise UsageError("KEPT_ROW_INCOMPLETE")
    if re.fullmatch("[0-9a-fA-F]{64}", text) is None:
        raise UsageError("KEPT_HASH_WRONG")
    return KeptHash(number, bytes.fromhex(text))


def _verification(
    asked: Asked, found: Verification | None, *, refusal: Refusal | None = None, status: int = 200
) -> Response:
    return render(
        asked,
        "audit_verify.html.j2",
        refusal=refusal,
        typed=asked.form,
        status=status,
        found=found,
        broken=None if found is None or found.broken is None else break_refusal(found.broken, found),
    )


routes = [
    get("/audit", show),
    get("/audit/export", back),
    post("/audit/export", export, is_long=True),
    get("/audit/verify", show_verification),
    post("/audit/verify", verify, is_long=True),
]
