"""What a person reads before saying yes to a run: how long it takes, and which money API it pays at."""

import math
from datetime import datetime, timedelta

from bulkpoint.addresses import shown
from bulkpoint.views.format import duration, local_time

# From the start to the first call, whatever the size of the campaign.
SPARK_STARTS_S = (10, 30)


def before_paying(count: int, *, tps: int, money_url: str, now: datetime, timezone: str) -> list[str]:
    """The lines below the figures of a campaign with `count` payments to make. tps: the limit, 0 while it is on hold.

    The address is shown without what may be a secret.
    """
    return [f"money API: {shown(money_url)}", _how_long(count, tps, now, timezone)]


def _how_long(count: int, tps: int, now: datetime, timezone: str) -> str:
    if not tps:
        return "on hold: the limit is 0 TPS, nothing is paid until `bulkpoint tps set N`"
    shortest_s, longest_s = SPARK_STARTS_S
    pays_s = max(1, math.ceil(count / tps))
    end = local_time(now + timedelta(seconds=pays_s + longest_s), timezone)
    return (
        f"about {duration(pays_s)} at {tps:,} TPS, after Spark's start of {shortest_s} to {longest_s} s:"
        f" until about {end}, if it starts now"
    )
