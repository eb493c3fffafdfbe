"""What a job and its executors say in their log."""

from bulkpoint.streams import say_on_stderr


def say(line: str) -> None:
    """One line for the log of the job, or of the executor; a log that is full or closed ends nothing."""
    say_on_stderr(f"bulkpoint: {line}")
