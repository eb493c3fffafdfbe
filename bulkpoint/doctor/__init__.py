"""Is this installation able to pay? What can be known before Spark starts, in about a second, changing nothing."""
