"""Where the PostgreSQL JDBC driver for Spark's reader is: conf/spark-defaults.conf names its version."""

import re
from pathlib import Path

from bulkpoint import files


def cached_jar() -> Path:
    """The JDBC driver in the user's cache; set_up.py fetches it."""
    coordinates = re.search(
        r"^spark\.jars\.packages\s+(\S+):(\S+):(\S+)$", files.read_text("conf/spark-defaults.conf"), re.M
    )
    assert coordinates, "conf/spark-defaults.conf names the JDBC driver"
    group, artifact, version = coordinates.groups()
    return ivy_folder() / "jars" / f"{group}_{artifact}-{version}.jar"


def ivy_folder() -> Path:
    """Where Spark's resolver keeps what it fetches for us."""
    return files.cache_folder() / "ivy"
