"""Spark's Python daemon with a partition's modules already imported: its workers are forked from it.

Used where the master is local. Without it each worker imports them itself, one second of CPU each, before it can pay.
"""

# ruff: noqa: E402, F401 (the path comes first; what is imported here is imported for the workers)
from bulkpoint.python_path import prefer_installed_spark

prefer_installed_spark()

import pandas  # Spark's Arrow functions import it in every worker
import pyarrow
import pyspark.worker
from pyspark.daemon import manager

import bulkpoint.pay.partition

if __name__ == "__main__":
    manager()
