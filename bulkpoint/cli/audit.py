"""`bulkpoint audit`: who did what and when, and whether the log was changed."""

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from bulkpoint.cli.numbers import FromOne
from bulkpoint.cli.output import emit, json_option, wants_json
from bulkpoint.cli.session import open_session, say
from bulkpoint.errors import RefusedError, UsageError
from bulkpoint.text import escaped
from bulkpoint.views.times import parse_time

if TYPE_CHECKING:
    from bulkpoint.store.audit import KeptHash
    from bulkpoint.store.connect import Connection

# Rows are in memory while they are shown; --since and --until give access to more.
ROWS_MAX = 100_000


@click.group()
def audit() -> None:
    """The audit log: read it, and prove that it was not changed."""


@audit.command(short_help="Show who did what, latest last.")
@click.option("--campaign", "campaign_id", type=FromOne(), metavar="ID", help="Only of this campaign.")
@click.option("--action", metavar="A", help="Only of this kind: create, start, stop, tps.set, export, ...")
@click.option("--actor", metavar="T", help="Only by this actor (claimed).")
@click.option("--login", metavar="T", help="Only by this database login.")
@click.option("--since", metavar="TIME", help="Only from then on: 2026-01-31T18:00, or 18:00 (the latest one).")
@click.option("--until", metavar="TIME", help="Only before then; as for --since.")
@click.option(
    "--last", type=click.IntRange(1, ROWS_MAX), default=50, show_default=True, metavar="N", help="At most so many rows."
)
@json_option()
def log(
    *,
    campaign_id: int | None,
    action: str | None,
    actor: str | None,
    login: str | None,
    since: str | None,
    until: str | None,
    last: int,
) -> None:
    """Show who did what, latest last.

    LOGIN is known to the database itself. ACTOR is claimed; if they differ, the operating system's user and the machine
    stand next to it.

    \b
    Examples:
      bulkpoint audit log --campaign 3
      bulkpoint audit log --action tps.set --since 2026-01-31 --last 200 --json
      bulkpoint audit log --action export --since 2026-11-01 --until 2026-12-01
    """
    from bulkpoint.store.audit import AuditChoice, list_audit
    from bulkpoint.store.campaign import get_campaign
    from bulkpoint.views.audit import AuditLogView

    with open_session() as session:
        zone = session.settings.timezone
        choice = AuditChoice(
            campaign_id, action, actor, login, _last_time("--since", since, zone), _last_time("--until", until, zone)
        )
        if campaign_id is not None:
            get_campaign(session.connection, campaign_id)
        events = list_audit(session.connection, choice, rows_max=last + 1)
        if not events and action is not None:
            _refuse_unknown_action(session.connection, action)
    if len(events) > last:
        events = events[-last:]
        say(f"More rows match; these are the last {last:,}. --last N shows more, --since and --until others.")
    emit(AuditLogView.of(events), timezone=zone)


@audit.command(short_help="Sum up who looked at members, by login.")
@click.option("--login", metavar="T", help="Only by this database login.")
@click.option("--since", metavar="TIME", help="Only from then on: 2026-01-01, or 18:00 (the latest one).")
@click.option("--until", metavar="TIME", help="Only before then; as for --since.")
@json_option()
def readings(*, login: str | None, since: str | None, until: str | None) -> None:
    """Sum up who looked at members or took them out: a line for each login and action. For the monthly review.

    export: a report with a row for each payment; find: one member; list: a campaign's payments on the page; preview: a
    list before it is paid. ROWS: members that were shown; NO REASON: how often no reason was given; MASKED: how often
    the login saw no id whole. `audit log --action export` shows each.

    \b
    Example:
      bulkpoint audit readings --since 2026-11-01 --until 2026-12-01
    """
    from bulkpoint.store.audit import sum_readings
    from bulkpoint.views.audit import ReadingsView

    with open_session() as session:
        zone = session.settings.timezone
        times = {"since": _last_time("--since", since, zone), "until": _last_time("--until", until, zone)}
        found = sum_readings(session.connection, login=login, **times)
    emit(ReadingsView.of(found), timezone=zone)


def _last_time(option: str, text: str | None, timezone: str) -> datetime | None:
    """A time as people type it; a bare clock time means the latest one, because the log is about the past."""
    if text is None:
        return None
    try:
        return parse_time(text, option=option, timezone=timezone, now=datetime.now(UTC) - timedelta(days=1))
    except (UsageError, OverflowError) as error:
        raise UsageError("NOT_A_TIME", "write_past_time", option=option, given=text) from error


def _refuse_unknown_action(connection: "Connection", action: str) -> None:
    from bulkpoint.store.audit import list_audit_actions
    from bulkpoint.views.audit_words import ACTIONS

    known = ACTIONS.union(list_audit_actions(connection))
    if action not in known:
        actions = tuple(escaped(each) for each in sorted(known))
        raise UsageError("AUDIT_ACTION_UNKNOWN", given=escaped(action), actions=actions)


@audit.command(short_help="Prove that no row was changed, removed or inserted.")
@click.option("--expect-no", type=FromOne(), metavar="N", help="The number of a row whose hash you kept.")
@click.option("--expect-hash", metavar="HEX", help="Its hash: 64 hexadecimal digits.")
@json_option()
def verify(*, expect_no: int | None, expect_hash: str | None) -> None:
    """Prove that no row of the audit log was changed, removed or inserted. Exit code 3 if one was.

    Each row has a hash over itself and the hash of the row before (a hash chain). Keep the last row's number and hash
    outside the database: with --expect-no and --expect-hash, a completely rewritten log is found too.

    \b
    Examples:
      bulkpoint audit verify
      bulkpoint audit verify --expect-no 1204 --expect-hash 5f0c...
    """
    from bulkpoint.store.audit import verify_audit
    from bulkpoint.views.audit import VerificationView, break_refusal

    kept = _kept(expect_no, expect_hash)
    with open_session() as session:
        found = verify_audit(session.connection, kept)
    zone = session.settings.timezone
    verified = VerificationView.of(found, zone)
    if found.broken is not None:
        error = RefusedError(break_refusal(found.broken, found))
        if wants_json():
            emit(verified, error=error)
        raise error
    emit(verified, timezone=zone)
    if wants_json():
        return
    if kept is not None:
        say(f"Row {kept.audit_no} has the hash that you have kept: nothing up to there was rewritten since.")
    elif found.rows:
        say(
            "Keep number and hash elsewhere; --expect-no and --expect-hash then prove that nothing was rewritten since."
        )


def _kept(audit_no: int | None, text: str | None) -> "KeptHash | None":
    from bulkpoint.store.audit import KeptHash

    if audit_no is None and text is None:
        return None
    if audit_no is None or text is None:
        raise UsageError("EXPECTED_ROW_INCOMPLETE")
    if re.fullmatch("[0-9a-fA-F]{64}", text) is None:
        raise UsageError("EXPECTED_HASH_WRONG")
    return KeptHash(audit_no, bytes.fromhex(text))
