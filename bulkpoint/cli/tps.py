"""`bulkpoint tps`: the limit."""

from datetime import UTC, datetime

import click

from bulkpoint.cli.output import emit, json_option
from bulkpoint.cli.session import Session, open_session, say
from bulkpoint.views.times import parse_time


@click.group(short_help="The limit: calls a second to money, at most.")
def tps() -> None:
    """The limit, calls a second to the money API: show it, change it, also during a run."""


@tps.command(short_help="Show the limit, who set it, and how much is in use.")
@json_option()
def show() -> None:
    """Show the limit, who set it and how much of it is in use.

    \b
    Example:
      bulkpoint tps show
    """
    from bulkpoint.campaigns.tps import show_limit
    from bulkpoint.views.limit import LimitView

    with open_session() as session:
        limit = show_limit(session.connection, session.settings, actor=session.actor)
        say_other_setting(session)
    emit(LimitView.model_validate(limit), timezone=session.settings.timezone)


@tps.command(
    "set", short_help="Set the limit; it applies within a second.", context_settings={"ignore_unknown_options": True}
)  # so that -1 is refused as a figure, not as an option
@click.argument("tps", type=int)
@click.option("--reason", metavar="T", help="Why; shown to people who watch, kept in the audit log.")
@click.option("--until", metavar="TIME", help="When the limit of before returns: 2026-01-31T18:00, or 18:00.")
@json_option()
def set_(*, tps: int, reason: str | None, until: str | None) -> None:
    """Set the limit to TPS calls a second; 0 pauses. It applies to all partitions together, within a second.

    \b
    Examples:
      bulkpoint tps set 500 --until 18:00 --reason "settlement batch"
      bulkpoint tps set 0 --reason "money asked us to pause"
    """
    from bulkpoint.campaigns.tps import change_limit
    from bulkpoint.views.limit import LimitView

    with open_session() as session:
        zone = session.settings.timezone
        moment = None if until is None else parse_time(until, option="--until", timezone=zone, now=datetime.now(UTC))
        limit = change_limit(
            session.connection, session.settings, tps=tps, actor=session.actor, reason=reason, until=moment
        )
    emit(LimitView.model_validate(limit), timezone=zone)


def say_other_setting(session: Session) -> None:
    """One line where BULKPOINT_TPS here is another limit than the one in force."""
    from bulkpoint.campaigns.tps import differing_setting, show_limit
    from bulkpoint.views.sentences import sentence

    limit = show_limit(session.connection, session.settings, actor=session.actor)
    remark = differing_setting(limit, session.settings)
    if remark is not None:
        say(sentence(remark, timezone=session.settings.timezone))
