"""`bulkpoint right`: which database login may do what."""

import click

from bulkpoint.cli.output import emit, json_option
from bulkpoint.cli.session import open_session
from bulkpoint.rules.rights import Right

RIGHTS = click.Choice([right.value for right in Right])


@click.group(short_help="Which database login may do what.")
def right() -> None:
    """Rights of database logins. Stopping a campaign needs none.

    \b
    start     start, resume, retry, reconcile or withdraw campaigns
    force     start a campaign before its turn
    approve   approve campaigns that another login created
    throttle  change the limit
    reconcile settle a payment by hand (`payment settle`)
    archive   move old campaigns into files (with `members`), remove old calls
    members   see member ids, which are masked for everyone else
    """


@right.command("list")
@json_option()
def list_() -> None:
    """List the logins that have rights.

    \b
    Example:
      bulkpoint right list
    """
    from bulkpoint.store.right import list_rights
    from bulkpoint.views.deployment import RightsView

    with open_session() as session:
        granted = list_rights(session.connection)
    emit(RightsView.of(granted), timezone=session.settings.timezone)


@right.command()
@click.argument("login")
@click.argument("rights", type=RIGHTS, nargs=-1, required=True, metavar="RIGHT...")
@json_option()
def grant(*, login: str, rights: tuple[str, ...]) -> None:
    """Grant rights to a database login. Only the owner of the database's tables can.

    \b
    Example:
      bulkpoint right grant kim start throttle
    """
    _change(login, rights, granted=True)


@right.command()
@click.argument("login")
@click.argument("rights", type=RIGHTS, nargs=-1, required=True, metavar="RIGHT...")
@json_option()
def revoke(*, login: str, rights: tuple[str, ...]) -> None:
    """Revoke rights of a database login. What it has started continues.

    \b
    Example:
      bulkpoint right revoke kim force
    """
    _change(login, rights, granted=False)


def _change(login: str, rights: tuple[str, ...], *, granted: bool) -> None:
    from bulkpoint.campaigns.rights import change_rights
    from bulkpoint.views.changes import RightsChanged

    wanted = [Right(name) for name in dict.fromkeys(rights)]
    with open_session() as session:
        changed = change_rights(session.connection, login, wanted, granted=granted, actor=session.actor)
    emit(RightsChanged(login=login, rights=wanted, granted=granted, changed=changed))
