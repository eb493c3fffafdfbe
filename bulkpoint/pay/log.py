"""What a job and its executors say in their log."""

from bulkpoint import log
from bulkpoint.log import Level


def say(line: str, *, event: str, level: Level = Level.INFO) -> None:
    """One line for the log of the job, or of the executor; a log that is full or closed ends nothing."""
    log.say(line, event=event, level=level, text=f"bulkpoint: {line}")
