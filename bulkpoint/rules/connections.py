"""How many connections to PostgreSQL a run needs: counted in one place, for its check and for its sentences."""

# Of the whole run: the driver's own, its heartbeat, and the last step that publishes the run's events.
DRIVER_CONNECTIONS = 3
# Of the command that follows it, and of one that a person uses meanwhile: `campaign stop`, `tps set`.
COMMAND_CONNECTIONS = 3
# Of each partition that sends: claims, results, and the renewal of its share.
PARTITION_CONNECTIONS = 3
# Connections that Spark opens at the same time to read one wave; the next wave is read while one is paid.
READERS_MAX = 4
# Sending with fewer shares works: partitions without connections wait for one another's.
SHARES_MIN = 1


def readers(shares: int) -> int:
    """Into how many ranges, read over one connection each, a wave is divided."""
    return min(shares, READERS_MAX)


def connections_needed(shares: int) -> int:
    """At the same time, at most, for a run whose every share sends.

    A partition that has no share yet keeps one connection: there is one such slot more than shares, or it reads.
    """
    return DRIVER_CONNECTIONS + COMMAND_CONNECTIONS + PARTITION_CONNECTIONS * shares + max(1, readers(shares))


def shares_possible(connections: int) -> int:
    """How many shares can send with so many connections; 0 where not even one can."""
    shares = 0
    while connections_needed(shares + 1) <= connections:
        shares += 1
    return shares
