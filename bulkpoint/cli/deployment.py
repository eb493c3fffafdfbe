"""`bulkpoint db`, `bulkpoint settings`, `bulkpoint demo`: what this installation is, and a first look at it."""

import json

import click


@click.group("db", short_help="The database's tables and roles.")
def database() -> None:
    """The database."""


@database.command("migrate", short_help="Bring the database to this version's tables.")
def migrate_() -> None:
    """Bring the database to this version's tables. Safe to repeat; an embedded database needs none of it.

    \b
    Example:
      BULKPOINT_DATABASE_URL=postgresql://owner@db.example.com/bulkpoint bulkpoint db migrate
    """
    from bulkpoint.database import connection_target
    from bulkpoint.settings import load_settings
    from bulkpoint.store.migrate import migrate

    with connection_target(load_settings()) as target:
        applied = migrate(target.url)
    for name in applied:
        click.echo(f"applied {name}")
    if not applied:
        click.echo("up to date")


@database.command(short_help="Make the group roles of least privilege.")
def roles() -> None:
    """Make the database's group roles of least privilege: reader, loader, operator, relay. Safe to repeat.

    To be run by the owner of the tables after each migration; the logins of people and programs are made members of
    them (docs/access.md).

    \b
    Example:
      BULKPOINT_DATABASE_URL=postgresql://owner@db.example.com/bulkpoint bulkpoint db roles
    """
    from bulkpoint.database import connection_target
    from bulkpoint.settings import load_settings
    from bulkpoint.store.migrate import make_roles

    with connection_target(load_settings()) as target:
        make_roles(target.url)
    click.echo("bulkpoint_reader, bulkpoint_loader, bulkpoint_operator and bulkpoint_relay are up to date")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def settings(*, as_json: bool) -> None:
    """Show every setting with its value and where that is from. Secrets are never shown.

    \b
    Example:
      BULKPOINT_TPS=500 bulkpoint settings
    """
    from bulkpoint.settings import describe, load_settings

    shown = describe(load_settings())
    if as_json:
        fields = {one.name: {"value": one.value, "source": one.source} for one in shown}
        click.echo(json.dumps(fields, ensure_ascii=False))
        return
    names, values = (max(len(one[column]) for one in shown) for column in (0, 1))
    for one in shown:
        click.echo(f"{one.name:<{names}}  {one.value:<{values}}  {one.source}")


@click.command(short_help="Pay a made-up campaign on this machine, and prove it.")
@click.option("--targets", type=click.IntRange(100, 1_000_000), default=20_000, show_default=True, metavar="N")
@click.option("--tps", type=click.IntRange(10, 10_000), default=1_000, show_default=True, metavar="N")
def demo(*, targets: int, tps: int) -> None:
    """Pay a campaign on this machine, with a stand-in for money, and prove what was paid. About a minute.

    Nothing outside is called. Everything is kept in a folder of its own, and made anew each time.

    \b
    Example:
      bulkpoint demo
    """
    from bulkpoint.demo import run_demo

    run_demo(targets=targets, tps=tps)
