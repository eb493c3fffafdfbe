"""Spark's Python daemon with a partition's modules already imported: its workers are forked from it.

Used where the master is local. Without it each worker imports them itself, one second of CPU each, before it can pay.
"""

# ruff: noqa: E402, F401 (the path comes first; what is imported here is imported for the workers)
import gc
import sys
import zipimport

from bulkpoint.python_path import prefer_installed_spark

prefer_installed_spark()

import pyarrow
import pyspark.worker
from pyspark.daemon import manager

import bulkpoint.money.curl_calls
import bulkpoint.pay.partition


def forget_zips() -> None:
    """Each worker has Python look again where modules are, which reads each zip that was looked into: 0.05 s of CPU."""
    for path, finder in list(sys.path_importer_cache.items()):
        if isinstance(finder, zipimport.zipimporter):
            del sys.path_importer_cache[path]


if __name__ == "__main__":
    forget_zips()
    # The collector leaves alone what is there now: workers do not walk through 100,000 objects that never die, nor copy
    # their pages by that.
    gc.collect()
    gc.freeze()
    manager()
