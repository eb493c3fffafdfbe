"""`bulkpoint metrics`: the figures of monitoring, on stdout or into a file for node_exporter's textfile collector."""

import sys
from pathlib import Path

import click

from bulkpoint.cli.session import open_session, say

# Everyone may read it: node_exporter runs under an account of its own.
MODE = 0o644


@click.command(short_help="Figures for Prometheus.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The file, written completely or not at all; an existing file is replaced. Default: stdout.",
)
def metrics(*, out: Path | None) -> None:
    """Print the figures of monitoring in Prometheus' text format: names and labels are in docs/metrics.md.

    With --out for the textfile collector of node_exporter, by a scheduler, where no page (`bulkpoint web`) is there to
    be scraped. Where the database cannot be reached, the command ends with code 6 and the old file stays: its age
    shows that. Has no member, login or reason in it; changes nothing. Needs the extra `web`.

    \b
    Examples:
      bulkpoint metrics
      * * * * *  bulkpoint metrics --out /var/lib/node_exporter/bulkpoint.prom
    """
    from bulkpoint.campaigns.metrics import read_metrics
    from bulkpoint.extras import require_extra
    from bulkpoint.views.export import replacing
    from bulkpoint.views.metrics import exposition

    require_extra("web")
    with open_session() as session:
        text = exposition(read_metrics(session.connection, session.settings))
    if out is None:
        sys.stdout.buffer.write(text)
        sys.stdout.buffer.flush()
        return
    with replacing(out, mode=MODE) as stream:
        stream.write(text)
    say(f"wrote {out}")
