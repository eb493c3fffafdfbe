"""`bulkpoint db`, `bulkpoint settings`, `bulkpoint demo`: what this installation is, and a first look at it."""

from typing import TYPE_CHECKING

import click

from bulkpoint.cli.asking import go_on, need_terminal, which_campaigns
from bulkpoint.cli.output import emit, json_option
from bulkpoint.cli.session import open_session, say
from bulkpoint.errors import BulkpointError

if TYPE_CHECKING:
    from bulkpoint.settings import Settings
    from bulkpoint.store.promise import PromisesInForce


@click.group("db", short_help="The database's tables and roles.")
def database() -> None:
    """The database."""


@database.command("migrate", short_help="Bring the database to this version's tables.")
@json_option()
@click.option("--before", is_flag=True, help="Only what the version before can live with: it may still be running.")
def migrate_(*, before: bool) -> None:
    """Bring the database to this version's tables. Safe to repeat; the embedded database does not need it.

    To bring in a new version without a pause: --before, then the new version everywhere, then again without it.

    \b
    Example:
      BULKPOINT_DATABASE_URL=postgresql://owner@db.example.com/bulkpoint bulkpoint db migrate
    """
    from bulkpoint.database import connection_target
    from bulkpoint.settings import load_settings
    from bulkpoint.store.migrate import migrate
    from bulkpoint.views.changes import DatabaseMigrated

    with connection_target(load_settings()) as target:
        applied = migrate(target.url, before_only=before)
    emit(DatabaseMigrated(applied=applied))


@database.command(short_help="Create the group roles (least privilege).")
@json_option()
def roles() -> None:
    """Create the database's group roles (least privilege): reader, loader, operator, relay. Safe to repeat.

    The owner of the tables runs it after each migration, and makes the logins of people and programs members of these
    roles (docs/access.md).

    \b
    Example:
      BULKPOINT_DATABASE_URL=postgresql://owner@db.example.com/bulkpoint bulkpoint db roles
    """
    from bulkpoint.database import connection_target
    from bulkpoint.settings import load_settings
    from bulkpoint.store.migrate import make_roles
    from bulkpoint.views.changes import RolesMade

    with connection_target(load_settings()) as target:
        make_roles(target.url)
    emit(RolesMade(roles=[f"bulkpoint_{name}" for name in ("reader", "loader", "operator", "relay")]))


@database.command(short_help="Remove calls that are older than they are to be kept.")
@click.option("--yes", is_flag=True, help="Do not ask. Required without a terminal.")
@json_option()
def trim(*, yes: bool) -> None:
    """Remove the calls of campaigns that ended longer ago than BULKPOINT_KEEP_ATTEMPTS_DAYS; payments stay.

    Never of those whose keys the money API may remember, nor of one that has UNKNOWN payments or some that are not
    processed. Needs the right `archive`; the audit log has how many of which campaign. Safe to repeat, as from cron.

    \b
    Example:
      BULKPOINT_KEEP_ATTEMPTS_DAYS=400 bulkpoint db trim --yes
    """
    from bulkpoint.campaigns.keep_attempts import list_old_attempts, remove_old_attempts
    from bulkpoint.views.archive import AttemptsRemoved, TrimView

    with open_session() as session:
        chosen = None
        if not yes:
            old = list_old_attempts(session.connection, session.settings)
            ask_to_trim(old)
            chosen = {campaign_id for campaign_id, _ in old}
        removed = remove_old_attempts(session.connection, session.settings, actor=session.actor, chosen=chosen)
    emit(TrimView(removed=[AttemptsRemoved(campaign_id=one, attempts=attempts) for one, attempts in removed]))


def ask_to_trim(old: list[tuple[int, int]]) -> None:
    """Say how many calls of which campaigns would be removed, and go on only after a yes.

    Raises UsageError without a terminal, RefusedError after a no.
    """
    need_terminal()
    if not old:
        return
    which = which_campaigns([campaign_id for campaign_id, _ in old])
    calls = sum(attempts for _, attempts in old)
    say(f"{len(old):,} campaign{'' if len(old) == 1 else 's'}, {calls:,} call{'' if calls == 1 else 's'}: {which}")
    say("  The calls are removed permanently; payments stay.")
    go_on("Remove them?", refused="NOT_REMOVED")


@click.command()
@json_option()
def settings() -> None:
    """Show every setting, its value and where it comes from. Never shows secrets.

    What the money API promises is stored in the database, where it can be reached: the value that counts here is shown,
    the safer one of the two (`bulkpoint money show`).

    \b
    Example:
      BULKPOINT_TPS=500 bulkpoint settings
    """
    from bulkpoint.settings import describe, load_settings
    from bulkpoint.views.deployment import SettingsView
    from bulkpoint.views.promises import with_promises

    loaded = load_settings()
    emit(SettingsView.of(with_promises(describe(loaded), _promises_of(loaded))))


def _promises_of(loaded: "Settings") -> "PromisesInForce | None":
    """What the database has of it; None, with a word to people, where it cannot be asked."""
    from bulkpoint.campaigns.promises import show_promises
    from bulkpoint.views.sentences import sentence

    if loaded.database_url is None and not (loaded.data_dir / "postgres").exists():
        return None  # a look makes no database
    try:
        with open_session() as session:
            return show_promises(session.connection, session.settings)
    except BulkpointError as error:
        say(f"What the database has of these is not known: {sentence(error, timezone=loaded.timezone)}")
        return None


@click.command(short_help="Pay a made-up campaign on this machine, and prove it.")
@click.option("--targets", type=click.IntRange(100, 1_000_000), default=20_000, show_default=True, metavar="N")
@click.option("--tps", type=click.IntRange(10, 10_000), default=1_000, show_default=True, metavar="N")
def demo(*, targets: int, tps: int) -> None:
    """Pay a campaign on this machine, with a stand-in for the money API, and prove what was paid (a minute).

    Nothing outside this machine is called. Everything is in a separate folder, and is made again each time.

    \b
    Example:
      bulkpoint demo
    """
    from bulkpoint.demo import run_demo

    run_demo(targets=targets, tps=tps)
