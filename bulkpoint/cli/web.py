"""`bulkpoint web`: the page for the people who make, approve, watch and explain campaigns."""

import click

from bulkpoint.extras import require_extra


@click.command(short_help="The page: campaigns in a browser.")
@click.option("--host", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="Where it listens.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8484, show_default=True, help="The port; 0 takes a free one."
)
@click.option("--behind-proxy", is_flag=True, help="A reverse proxy before it speaks TLS; see docs/page.md.")
@click.option("--exit-with-parent", is_flag=True, help="End when the process that started this one ends.")
def web(*, host: str, port: int, behind_proxy: bool, exit_with_parent: bool) -> None:
    """Serve the page until Ctrl-C. Prints its address when it is ready.

    People sign in with their own database login. With the embedded database the printed address lets one browser in,
    once; then the page is for this machine only. Beyond this machine it needs TLS: BULKPOINT_WEB_CERT_FILE and
    BULKPOINT_WEB_KEY_FILE, or a proxy.

    \b
    Example:
      bulkpoint web
    """
    require_extra("web")
    from bulkpoint import log
    from bulkpoint.database import connection_target
    from bulkpoint.launch.signals import end_with_parent
    from bulkpoint.settings import load_settings
    from bulkpoint.store.migrate import migrate
    from bulkpoint.web.server import refuse_open_door, serve

    if exit_with_parent:
        end_with_parent()
    settings = load_settings()
    log.use(settings.log_format)
    refuse_open_door(settings, host, behind_proxy=behind_proxy)
    with connection_target(settings) as database:
        if settings.database_url is None:
            migrate(database.url)
        serve(
            settings,
            database.url,
            host=host,
            port=port,
            behind_proxy=behind_proxy,
            say=click.echo,
            log=log.say,
        )
