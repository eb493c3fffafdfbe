"""A result that becomes known after the end of its run was announced: people are told again, with all figures.

An end is announced when no result can come in any more. Two things still change its figures: a worker that was frozen
or cut off for longer than its lease records what the money API answered, because no answer is lost; and a
reconciliation.
"""

from bulkpoint.campaigns.end_figures import AUDITED_OF_AN_END, figures_of_end, with_codes
from bulkpoint.store.audit import write_audit
from bulkpoint.store.campaign import lock_campaign
from bulkpoint.store.connect import Connection
from bulkpoint.store.outbox import write_event
from bulkpoint.store.progress import summarize_run
from bulkpoint.store.run import was_announced_otherwise

# Of a worker's late result: a program did it, not a person.
ACTOR = "bulkpoint"


def correct_end(connection: Connection, campaign_id: int, run_id: int, *, actor: str = ACTOR) -> bool:
    """Announce the present figures of a run that has ended, where they are not those of its last announcement.

    Event and audit row in one transaction; returns whether there was something to correct.
    """
    if not was_announced_otherwise(connection, run_id):
        return False
    with connection.transaction():
        lock_campaign(connection, campaign_id)
        if not was_announced_otherwise(connection, run_id):
            return False
        summary = with_codes(connection, summarize_run(connection, run_id))
        figures = figures_of_end(summary)
        audited = {name: figures[name] for name in AUDITED_OF_AN_END}
        write_event(
            connection,
            campaign_id=campaign_id,
            run_no=summary.run_no,
            type="campaign.corrected",
            actor=actor,
            data=figures | {"state": summary.state},
        )
        write_audit(
            connection,
            action="correct",
            campaign_id=campaign_id,
            run_no=summary.run_no,
            actor=actor,
            detail=audited,
        )
    return True
