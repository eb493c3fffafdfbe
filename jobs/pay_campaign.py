"""The spark-submit entry: pay one campaign. scripts/submit.sh calls it; all else is in bulkpoint/launch/job.py."""

import sys

from bulkpoint.python_path import prefer_installed_spark

if __name__ == "__main__":
    prefer_installed_spark()
    from bulkpoint.launch.job import main

    sys.exit(main())
