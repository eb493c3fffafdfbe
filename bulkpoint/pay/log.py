"""What a job and its executors say in their log."""

import sys


def say(line: str) -> None:
    """One line for the log of the job, or of the executor."""
    sys.stderr.write(f"bulkpoint: {line}\n")
