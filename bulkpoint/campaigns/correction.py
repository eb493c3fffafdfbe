"""A result that comes in after the end of its run was announced: people are told again, with the figures as they are.

An end is announced when no result can come in any more. The exception is a worker that was frozen or cut off for longer
than its lease: it still records what the money API answered, because no answer is lost.
"""

from bulkpoint.campaigns.end_figures import AUDITED_OF_AN_END, figures_of_end
from bulkpoint.store.audit import write_audit
from bulkpoint.store.campaign import lock_campaign
from bulkpoint.store.connect import Connection
from bulkpoint.store.outbox import write_event
from bulkpoint.store.progress import summarize_run
from bulkpoint.store.run import was_announced_otherwise
from bulkpoint.store.share import RunToken

# A program did it, not a person.
ACTOR = "bulkpoint"


def correct_end(connection: Connection, run: RunToken) -> bool:
    """Announce the present figures of a run that has ended, where they are not those of its last announcement.

    Event and audit row in one transaction; returns whether there was something to correct. For the worker that recorded
    the late result. A reconciliation has an audit row of its own.
    """
    if not was_announced_otherwise(connection, run.run_id):
        return False
    with connection.transaction():
        lock_campaign(connection, run.campaign_id)
        if not was_announced_otherwise(connection, run.run_id):
            return False
        summary = summarize_run(connection, run.run_id)
        figures = figures_of_end(summary)
        audited = {name: figures[name] for name in AUDITED_OF_AN_END}
        write_event(
            connection,
            campaign_id=run.campaign_id,
            run_no=summary.run_no,
            type="campaign.corrected",
            actor=ACTOR,
            data=figures | {"state": summary.state},
        )
        write_audit(
            connection,
            action="correct",
            campaign_id=run.campaign_id,
            run_no=summary.run_no,
            actor=ACTOR,
            detail=audited,
        )
    return True
