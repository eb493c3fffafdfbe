"""Why Spark gave a job up, found in its pages of Java: what a person can act on, or nothing.

Spark hands over the failure of a task as text, so text is all there is to look at.
"""

import re

from bulkpoint.rules.refusals import Refusal

# A file of Spark's block manager or session: its parent is the folder that spark.local.dir, or a cluster, chose.
_LOCAL_FILE = re.compile(r"(/[^\s:'\"]*?)/(?:blockmgr|spark|executor|pyspark)-[0-9a-f-]{8,}")
_GONE = re.compile(
    r"No such file or directory|NoSuchFileException|FileNotFoundException|FileNotFoundError"
    r"|Failed to create (?:local|a temp) dir|Not a directory|Permission denied"
)
_FULL = re.compile(r"No space left on device|Disk quota exceeded|not enough space", re.IGNORECASE)
_JDBC = re.compile(
    r"org\.postgresql\.util\.PSQLException: ([^\n]+)|FAILED_JDBC\.[^\n]*?(Couldn't [^\n.]+?)(?= SQLSTATE|[\n.]|$)"
)


def trouble_of_spark(text: str) -> Refusal | None:
    """A part of a sentence: the folder for Spark's own files, or the database that its reader could not use.

    None where the text says neither; the job's log then has the cause.
    """
    found = _LOCAL_FILE.search(text)
    full = _FULL.search(text)
    if full or (found and _GONE.search(text)):
        folder = found[1] if found else "spark.local.dir"
        return Refusal("SPARK_FOLDER_FULL" if full else "SPARK_FOLDER_GONE", {"folder": folder})
    if said := _JDBC.search(text):
        return Refusal("SPARK_CANNOT_READ_DATABASE", {"why": (said[1] or said[2]).strip().rstrip(".")})
    return None


def is_of_database(trouble: Refusal | None) -> bool:
    """Whether waiting may help: the database is waited for everywhere with the same patience."""
    return trouble is not None and trouble.code == "SPARK_CANNOT_READ_DATABASE"
