"""How long calls took: the bounds of every histogram of ours, as Prometheus has them (latency.py reads one)."""

# Upper bounds in seconds; calls that took longer are in one more bucket. Close together where a money API usually
# answers, up to the longest timeout that a call may have. call_tally has histograms with these very bounds: who changes
# them writes a migration that empties their buckets.
DURATION_BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
