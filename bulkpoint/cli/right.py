"""`bulkpoint right`: which database login may do what."""

import json

import click

from bulkpoint.cli.session import open_session, say
from bulkpoint.rules.rights import ALLOWS, Right

RIGHTS = click.Choice([right.value for right in Right])


@click.group(short_help="Which database login may do what.")
def right() -> None:
    """Rights, by database login: start, force, approve, throttle. Stopping a campaign needs none.

    \b
    start     start, resume, retry, reconcile or withdraw campaigns
    force     jump the order of the queue
    approve   approve campaigns that another login created
    throttle  change the limit
    """


@right.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def list_(*, as_json: bool) -> None:
    """List the logins that have rights.

    \b
    Example:
      bulkpoint right list
    """
    from bulkpoint.store.right import list_rights
    from bulkpoint.views.format import aligned, local_time, utc_time

    with open_session() as session:
        granted = list_rights(session.connection)
    if as_json:
        fields = [
            {"login": one.login, "right": one.permission, "granted_at": utc_time(one.granted_at)} for one in granted
        ]
        click.echo(json.dumps({"rights": fields}, ensure_ascii=False))
        return
    rows = [("LOGIN", "RIGHT", "SINCE", "MAY")]
    rows += [
        (
            one.login,
            one.permission,
            local_time(one.granted_at, session.settings.timezone),
            ALLOWS[Right(one.permission)],
        )
        for one in granted
    ]
    for line in aligned(rows, left=rows[0]):
        click.echo(line)


@right.command()
@click.argument("login")
@click.argument("rights", type=RIGHTS, nargs=-1, required=True, metavar="RIGHT...")
def grant(*, login: str, rights: tuple[str, ...]) -> None:
    """Give rights to a database login. Only whoever owns the database's tables can.

    \b
    Example:
      bulkpoint right grant kim start throttle
    """
    _change(login, rights, granted=True)


@right.command()
@click.argument("login")
@click.argument("rights", type=RIGHTS, nargs=-1, required=True, metavar="RIGHT...")
def revoke(*, login: str, rights: tuple[str, ...]) -> None:
    """Take rights from a database login. What it has started goes on.

    \b
    Example:
      bulkpoint right revoke kim force
    """
    _change(login, rights, granted=False)


def _change(login: str, rights: tuple[str, ...], *, granted: bool) -> None:
    from bulkpoint.campaigns.rights import change_rights

    with open_session() as session:
        wanted = [Right(one) for one in dict.fromkeys(rights)]
        changed = change_rights(session.connection, login, wanted, granted=granted, actor=session.actor)
    if not changed:
        say(f"{login} {'had' if granted else 'did not have'} {'them' if len(wanted) > 1 else 'it'} already.")
    click.echo(f"{login} {'may now' if granted else 'may no longer'}: {', '.join(wanted)}")
