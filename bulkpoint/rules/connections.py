"""How many connections to PostgreSQL a run needs: counted in one place, for its check and for its sentences."""

# Of the whole run: the driver's own, its heartbeat, and the last step that publishes the run's events.
DRIVER_CONNECTIONS = 3
# Of the command that follows it, and of one that a person uses meanwhile: `campaign stop`, `tps set`.
COMMAND_CONNECTIONS = 3
# Of each partition that sends: claims, results, and the renewal of its share.
PARTITION_CONNECTIONS = 3
# Connections that Spark opens at the same time to read one wave; the next wave is read while one is paid.
READERS_MAX = 4


def readers(shares: int, rows: int) -> int:
    """Into how many ranges, read over one connection each, a wave of `rows` numbers is divided.

    Never more ranges than numbers: Spark would warn with a page.
    """
    return min(shares, READERS_MAX, rows)


def connections_needed(shares: int, slots: int | None = None) -> int:
    """At the same time, at most, for a run whose every share sends.

    slots: tasks that Spark runs at the same time, one more than shares by default. A task that waits for a share to be
    free has its connections already; there are never more tasks than those of two waves. While Spark reads, the slot
    of each reader pays nothing.
    """
    tasks = min(shares + 1 if slots is None else max(slots, shares), 2 * shares)
    return DRIVER_CONNECTIONS + COMMAND_CONNECTIONS + PARTITION_CONNECTIONS * tasks


def shares_possible(connections: int) -> int:
    """How many shares can send with so many connections; 0 where not even one can."""
    return max(0, (connections - DRIVER_CONNECTIONS - COMMAND_CONNECTIONS) // PARTITION_CONNECTIONS - 1)
