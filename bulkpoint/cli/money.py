"""`bulkpoint money`: what the money API promises this deployment."""

import click

from bulkpoint.cli.output import emit, json_option
from bulkpoint.cli.session import Session, open_session, say


@click.group(short_help="What the money API promises: show and change it.")
def money() -> None:
    """What the money API promises this deployment, and how long a call to it may take.

    Whether a payment may be sent again rests on these values, so they are stored in the database. The first run stores
    those of its settings (BULKPOINT_MONEY_KEY_RETENTION_H, ..._SETTLE_S, ..._CONNECT_TIMEOUT_S, ..._TIMEOUT_S). A shell
    that is set to another value says so, and uses the safer one of the two.
    """


@money.command(short_help="Show what is stored, what is set here, and what counts.")
@json_option()
def show() -> None:
    """Show what is stored, what this shell is set to, and which of them counts here. Changes nothing.

    \b
    Example:
      bulkpoint money show
    """
    from bulkpoint.campaigns.promises import show_promises
    from bulkpoint.views.promises import PromisesView

    with open_session() as session:
        found = show_promises(session.connection, session.settings)
    emit(PromisesView.of(found), timezone=session.settings.timezone)


@money.command("set", short_help="Change what is stored, for every process.")
@click.option("--key-retention-h", type=float, metavar="H", help="Hours that the money API remembers a key.")
@click.option("--settle-s", type=float, metavar="S", help='Seconds after a call until "not found" is proof.')
@click.option("--connect-timeout-s", type=float, metavar="S", help="Timeout of a connection, in seconds.")
@click.option("--timeout-s", type=float, metavar="S", help="Timeout of a whole call, in seconds.")
@click.option("--reason", metavar="T", required=True, help="Why; kept in the audit log.")
@json_option()
def set_(
    *,
    key_retention_h: float | None,
    settle_s: float | None,
    connect_timeout_s: float | None,
    timeout_s: float | None,
    reason: str,
) -> None:
    """Change what is stored, for every process. Needs the right `throttle`.

    A running campaign takes a shorter memory or a longer settle time within a second, everything else with the next
    run. Make the memory longer, or the settle time shorter, only when the owner of the money API says so: payments are
    sent again on the strength of it.

    \b
    Example:
      bulkpoint money set --key-retention-h 24 --settle-s 60 --reason "contract 2026, section 4"
    """
    from bulkpoint.campaigns.promises import change_promises
    from bulkpoint.errors import UsageError
    from bulkpoint.views.promises import PromisesView

    values = {
        "key_retention_h": key_retention_h,
        "settle_s": settle_s,
        "connect_timeout_s": connect_timeout_s,
        "timeout_s": timeout_s,
    }
    if not any(value is not None for value in values.values()):
        raise UsageError("NO_PROMISE_GIVEN")
    with open_session() as session:
        found = change_promises(session.connection, session.settings, values, actor=session.actor, reason=reason)
        say_promises(session)
    emit(PromisesView.of(found), timezone=session.settings.timezone)


def say_promises(session: Session) -> None:
    """One line on stderr for each promise that is set here and is not the stored one."""
    from bulkpoint.campaigns.promises import show_promises
    from bulkpoint.views.sentences import sentence

    for remark in show_promises(session.connection, session.settings).remarks:
        say(sentence(remark, timezone=session.settings.timezone))
