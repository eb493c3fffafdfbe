"""`bulkpoint tps`: the limit."""

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from bulkpoint.cli.session import open_session
from bulkpoint.cli.times import parse_time

if TYPE_CHECKING:
    from bulkpoint.store.limit import Limit


@click.group(short_help="The limit: calls a second to money, at most.")
def tps() -> None:
    """Calls a second to money, at most: show it, change it, also while a campaign runs."""


@tps.command(short_help="Show the limit, who set it, and what of it is in use.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def show(*, as_json: bool) -> None:
    """Show the limit, who set it and how much of it is in use.

    \b
    Example:
      bulkpoint tps show
    """
    from bulkpoint.campaigns.tps import show_limit

    with open_session() as session:
        limit = show_limit(session.connection, session.settings, actor=session.actor)
    _print(limit, session.settings.timezone, as_json=as_json)


@tps.command(
    "set", short_help="Set the limit; in force within a second.", context_settings={"ignore_unknown_options": True}
)  # -1 is a figure, if a wrong one
@click.argument("tps", type=int)
@click.option("--reason", metavar="T", help="Why; shown to whoever watches, kept in the audit log.")
@click.option("--until", metavar="TIME", help="When the figure of before comes back: 2026-01-31T18:00, or 18:00.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def set_(*, tps: int, reason: str | None, until: str | None, as_json: bool) -> None:
    """Set the limit to TPS calls a second; 0 holds everything. In force within a second, all partitions together.

    \b
    Examples:
      bulkpoint tps set 500 --until 18:00 --reason "settlement batch"
      bulkpoint tps set 0 --reason "money asked us to pause"
    """
    from bulkpoint.campaigns.tps import change_limit

    with open_session() as session:
        zone = session.settings.timezone
        moment = None if until is None else parse_time(until, option="--until", timezone=zone, now=datetime.now(UTC))
        limit = change_limit(
            session.connection, session.settings, tps=tps, actor=session.actor, reason=reason, until=moment
        )
    _print(limit, zone, as_json=as_json)


def _print(limit: "Limit", timezone: str, *, as_json: bool) -> None:
    from bulkpoint.views.format import local_time, utc_time

    if as_json:
        fields = {
            "tps": limit.tps,
            "shares": limit.shares,
            "in_use": limit.in_use,
            "reason": limit.reason,
            "until": utc_time(limit.until),
            "set_by": limit.set_by,
        }
        click.echo(json.dumps(fields, ensure_ascii=False))
        return
    hold = "  (on hold)" if limit.tps == 0 else ""
    click.echo(f"limit    {limit.tps:,} TPS{hold}, in {limit.shares} {'share' if limit.shares == 1 else 'shares'}")
    click.echo(f"in use   {limit.in_use:,} TPS")
    click.echo(f"set by   {limit.set_by}, {local_time(limit.set_at, timezone)}")
    if limit.reason:
        click.echo(f"reason   {limit.reason}")
    if limit.until is not None:
        click.echo(f"until    {local_time(limit.until, timezone)}, then {limit.tps_afterwards:,} TPS")
