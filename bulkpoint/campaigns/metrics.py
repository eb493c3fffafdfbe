"""What monitoring collects: every figure of one scrape, from one snapshot."""

from collections import Counter
from datetime import UTC, datetime

from bulkpoint.campaigns.check import find_troubles
from bulkpoint.events.message import NOTIFIED_TYPES
from bulkpoint.rules.shares import permits
from bulkpoint.rules.troubles import TroubleKind
from bulkpoint.settings import Settings
from bulkpoint.store.alert import find_alerts
from bulkpoint.store.call_tally import calls_of_all
from bulkpoint.store.campaign import get_running_campaign
from bulkpoint.store.connect import Connection
from bulkpoint.store.limit import Limit, limit_in_force
from bulkpoint.store.metrics import (
    STATEMENT_S_MAX,
    ShareNow,
    count_campaigns,
    count_partitions,
    count_unknown,
    list_driver_leases,
    list_shares,
    list_shown_campaigns,
    read_outbox,
    sum_counters,
)
from bulkpoint.store.snapshot import reading
from bulkpoint.store.trouble import read_lock_table
from bulkpoint.views.alerts import CheckView
from bulkpoint.views.metrics import Metrics, ShareCondition


def read_metrics(connection: Connection, settings: Settings) -> Metrics:
    """All figures of one moment; reads no payment and no target, changes nothing, needs no right.

    Raises what the database does, also where a statement takes longer than store.metrics.STATEMENT_S_MAX.
    """
    with reading(connection, statement_s_max=STATEMENT_S_MAX):
        limit, shares = limit_in_force(connection), list_shares(connection)
        return Metrics(
            campaigns=count_campaigns(connection),
            counters=sum_counters(connection, list_shown_campaigns(connection)),
            leases=list_driver_leases(connection),
            limit=limit,
            effective_tps=0.0 if limit is None else _effective_tps(limit, shares),
            shares=Counter(_condition(share) for share in shares),
            calls=calls_of_all(connection),
            outbox=None if settings.kafka_bootstrap_servers is None else read_outbox(connection),
            unknown=count_unknown(connection),
            troubles=_troubles(connection, settings),
            partitions=count_partitions(connection),
            locks=read_lock_table(connection),
        )


def _effective_tps(limit: Limit, shares: list[ShareNow]) -> float:
    total = 0.0
    for share in shares:
        given = float(permits(limit.tps, limit.shares, share.share))
        match _condition(share):
            case ShareCondition.PROBING:
                given = 0.0
            case ShareCondition.SLOWED if share.rate is not None:
                given = min(given, share.rate)
        total += given
    return total if shares else float(limit.tps)


def _condition(share: ShareNow) -> ShareCondition:
    if not share.leased:
        return ShareCondition.FREE
    if share.open:
        return ShareCondition.PROBING
    return ShareCondition.WORKING if share.rate is None else ShareCondition.SLOWED


def _troubles(connection: Connection, settings: Settings) -> dict[TroubleKind, int]:
    """As `check` counts them, without a look at targets: while a campaign runs, one that cannot start is not said."""
    found = CheckView.of(
        find_alerts(connection),
        get_running_campaign(connection),
        settings.timezone,
        datetime.now(UTC),
        find_troubles(connection, settings, notified=NOTIFIED_TYPES, look_at_targets=False),
    )
    return Counter(finding.kind for finding in found.findings)
