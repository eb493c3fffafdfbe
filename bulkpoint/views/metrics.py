"""The figures of monitoring in Prometheus' text format: their names, labels and help have their home here.

Only here is prometheus-client imported; it comes with the extra `web`.
"""

import itertools
import platform
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, TypeVar

from bulkpoint import __version__
from bulkpoint.extras import require_extra
from bulkpoint.rules.answers import CALL_OUTCOMES, LOOK_UP_OUTCOMES, Outcome, OutcomeRule
from bulkpoint.rules.durations import DURATION_BOUNDS_S
from bulkpoint.rules.lifecycle import CampaignState, FailureKind, PaymentState
from bulkpoint.rules.troubles import TroubleKind
from bulkpoint.store.call_tally import CallTally, add_up
from bulkpoint.store.limit import Limit
from bulkpoint.store.metrics import CounterSum, DriverLease, OutboxNow
from bulkpoint.store.trouble import LockTable

if TYPE_CHECKING:
    from prometheus_client.core import Metric as Family

Word = TypeVar("Word", bound=StrEnum)

# Outcomes of calls that never left, so they are no wire sends and never counted.
_NEVER_SENT = {Outcome.NOT_CONNECTED, Outcome.NOT_SENT}


class ShareCondition(StrEnum):
    """What a share of the limit does; each is in one of them."""

    FREE = "FREE"  # nobody has it
    WORKING = "WORKING"  # leased, and the money API takes what the limit gives
    SLOWED = "SLOWED"  # leased, and the money API takes less
    PROBING = "PROBING"  # leased, and the money API answers nothing usable


@dataclass(frozen=True)
class Metrics:
    """One scrape. limit: None where none was stored yet. outbox: None where no Kafka is set: nothing waits for it.

    effective_tps: calls a second that the money API lets through of the limit. counters: of the campaigns that figures
    name. troubles: what `check` says needs a person, by kind.
    """

    campaigns: dict[CampaignState, int]
    counters: list[CounterSum]
    leases: list[DriverLease]
    limit: Limit | None
    effective_tps: float
    shares: dict[ShareCondition, int]
    calls: list[CallTally]
    outbox: OutboxNow | None
    unknown: int
    troubles: dict[TroubleKind, int]
    partitions: int
    locks: LockTable


Samples = Iterable[tuple[tuple[str, ...], float]]


@dataclass(frozen=True)
class Metric:
    """One name. samples: values by the labels' values, in their order; of a histogram, the calls of each bucket alone
    in the order of their bounds, then the sum.
    """

    name: str
    kind: str
    labels: tuple[str, ...]
    help: str
    samples: Callable[[Metrics], Samples]


def _of_campaigns(metrics: Metrics, value: str) -> Samples:
    """Payments or points by state, each state of each campaign: a series never appears in the middle of a run."""
    sums = dict.fromkeys(
        itertools.product(dict.fromkeys(str(row.campaign_id) for row in metrics.counters), PaymentState), 0
    )
    for row in metrics.counters:
        sums[str(row.campaign_id), PaymentState(row.state)] += getattr(row, value)
    return sums.items()


def _failed(metrics: Metrics) -> Samples:
    kinds = dict.fromkeys([*FailureKind, *(row.failure_kind for row in metrics.counters if row.failure_kind)])
    sums = dict.fromkeys(itertools.product(dict.fromkeys(str(row.campaign_id) for row in metrics.counters), kinds), 0)
    for row in metrics.counters:
        if row.failure_kind is not None:
            sums[str(row.campaign_id), row.failure_kind] += row.payments
    return sums.items()


def _calls(metrics: Metrics) -> Samples:
    """Also those that never occurred: Prometheus does not see the step of a counter that appears with it."""
    found: dict[tuple[str, ...], int] = {(method, outcome): 0 for method, outcome, _ in counted_outcomes()}
    return (found | {(tally.method, tally.outcome): tally.calls for tally in metrics.calls}).items()


def _durations(metrics: Metrics) -> Samples:
    buckets = add_up(metrics.calls) or [0] * (len(DURATION_BOUNDS_S) + 1)
    bounds = [*map(str, DURATION_BOUNDS_S), "+Inf"]
    yield from (((bound,), calls) for bound, calls in zip(bounds, itertools.accumulate(buckets), strict=True))
    yield ("sum",), sum(tally.seconds_sum for tally in metrics.calls)


def _outbox(metrics: Metrics) -> Samples:
    if metrics.outbox is not None:
        yield ("waiting",), metrics.outbox.waiting
        yield ("parked",), metrics.outbox.parked


def _oldest(metrics: Metrics) -> Samples:
    if metrics.outbox is not None and metrics.outbox.oldest_waiting is not None:
        yield (), metrics.outbox.oldest_waiting.timestamp()


def _lock_ratio(metrics: Metrics) -> Samples:
    yield (), max(metrics.locks.used, metrics.locks.tables) / metrics.locks.room


def _each(names: Iterable[Word], found: Mapping[Word, int]) -> Samples:
    return [((name,), found.get(name, 0)) for name in names]


METRICS = (
    Metric(
        "bulkpoint_campaigns",
        "gauge",
        ("state",),
        "Campaigns by the state that each shows.",
        lambda found: _each(CampaignState, found.campaigns),
    ),
    Metric(
        "bulkpoint_campaign_payments",
        "gauge",
        ("campaign_id", "state"),
        "Payments of a campaign by state; the four states add up to its targets. FAILED includes UNKNOWN ones, which"
        " may have been credited: bulkpoint_campaign_failed_payments has them apart.",
        lambda found: _of_campaigns(found, "payments"),
    ),
    Metric(
        "bulkpoint_campaign_points",
        "gauge",
        ("campaign_id", "state"),
        "Points of these payments.",
        lambda found: _of_campaigns(found, "points"),
    ),
    Metric(
        "bulkpoint_campaign_failed_payments",
        "gauge",
        ("campaign_id", "kind"),
        "FAILED payments of a campaign by kind of failure; UNKNOWN: may have been credited.",
        _failed,
    ),
    Metric(
        "bulkpoint_limit_calls_per_second",
        "gauge",
        (),
        "The limit: calls a second to the money API at most, of all jobs together; 0: everything is on hold.",
        lambda found: [] if found.limit is None else [((), found.limit.tps)],
    ),
    Metric(
        "bulkpoint_limit_effective_calls_per_second",
        "gauge",
        (),
        "What the money API lets through of the limit; lower than it while 429s or failures slow shares down.",
        lambda found: [] if found.limit is None else [((), found.effective_tps)],
    ),
    Metric(
        "bulkpoint_shares",
        "gauge",
        ("condition",),
        "Shares of the limit: FREE, or leased and WORKING, SLOWED by the money API, or PROBING one that answers nothing"
        " usable.",
        lambda found: _each(ShareCondition, found.shares),
    ),
    Metric(
        "bulkpoint_money_calls_total",
        "counter",
        ("method", "outcome"),
        "Calls that left for the money API, over all time: POST pays, GET looks up. Never less, also when campaigns are"
        " archived.",
        _calls,
    ),
    Metric(
        "bulkpoint_money_call_duration_seconds",
        "histogram",
        (),
        "From the moment a call left to its answer; of calls that got an answer.",
        _durations,
    ),
    Metric(
        "bulkpoint_driver_lease_expiry_timestamp_seconds",
        "gauge",
        ("campaign_id",),
        "Until when the job of the campaign that says RUNNING is certainly alive; it renews that every few seconds.",
        lambda found: [((str(lease.campaign_id),), lease.driver_until.timestamp()) for lease in found.leases],
    ),
    Metric(
        "bulkpoint_outbox_events",
        "gauge",
        ("state",),
        "Events that have not reached Kafka: waiting, or parked because Kafka refuses them. Absent where no Kafka is"
        " set.",
        _outbox,
    ),
    Metric(
        "bulkpoint_outbox_oldest_waiting_timestamp_seconds",
        "gauge",
        (),
        "When the oldest waiting event occurred; absent where none waits.",
        _oldest,
    ),
    Metric(
        "bulkpoint_unknown_payments",
        "gauge",
        (),
        "Payments of all campaigns that may have been credited: the money API never answered, and nobody has looked"
        " them up.",
        lambda found: [((), found.unknown)],
    ),
    Metric(
        "bulkpoint_trouble",
        "gauge",
        ("kind",),
        "What needs a person, as `bulkpoint check` counts it.",
        lambda found: _each(TroubleKind, found.troubles),
    ),
    Metric(
        "bulkpoint_partitions",
        "gauge",
        (),
        "Tables of payments and attempts: two for each campaign that was started and is not archived.",
        lambda found: [((), found.partitions)],
    ),
    Metric(
        "bulkpoint_lock_table_ratio",
        "gauge",
        (),
        "How full PostgreSQL's lock table is, or would be during a dump, which locks every table; 1: statements fail.",
        _lock_ratio,
    ),
    Metric(
        "bulkpoint_build_info",
        "gauge",
        ("version", "python_version"),
        "Always 1; the version of the program that was asked.",
        lambda _: [((__version__, platform.python_version()), 1)],
    ),
)


def counted_outcomes() -> Iterator[tuple[str, Outcome, OutcomeRule]]:
    """Method, outcome and rule of every call that may be counted."""
    for method, outcomes in (("POST", CALL_OUTCOMES), ("GET", LOOK_UP_OUTCOMES)):
        yield from ((method, outcome, rule) for outcome, rule in outcomes.items() if outcome not in _NEVER_SENT)


def exposition(metrics: Metrics) -> bytes:
    """The text of a scrape, its media type is media_type(). Raises UsageError where prometheus-client is missing."""
    require_extra("web")
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.registry import Collector

    class OneScrape(Collector):
        def collect(self) -> Iterator["Family"]:
            return map(_family, METRICS, itertools.repeat(metrics))

    registry = CollectorRegistry(auto_describe=False)
    registry.register(OneScrape())
    return generate_latest(registry)


def media_type() -> str:
    """Of the text that `exposition` returns."""
    from prometheus_client import CONTENT_TYPE_LATEST

    return CONTENT_TYPE_LATEST


def _family(metric: Metric, metrics: Metrics) -> "Family":
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

    samples = metric.samples(metrics)
    if metric.kind == "histogram":
        *buckets, (_, total) = samples
        histogram = HistogramMetricFamily(metric.name, metric.help)
        histogram.add_metric([], [(bound, calls) for (bound,), calls in buckets], total)
        return histogram
    kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    family = kind(metric.name, metric.help, labels=metric.labels)
    for labels, value in samples:
        family.add_metric(labels, value)
    return family
