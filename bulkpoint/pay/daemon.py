"""Spark's Python daemon with a partition's modules already imported: its workers are forked from it.

Used where the master is local. Without it each worker imports them itself, one second of CPU each, before it can pay.
"""

import pandas  # noqa: F401 (Spark's Arrow functions import it in every worker)
import pyarrow  # noqa: F401
from pyspark.daemon import manager

import bulkpoint.pay.partition  # noqa: F401

if __name__ == "__main__":
    manager()
