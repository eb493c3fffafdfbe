"""The spark-submit entry: pay one campaign. scripts/submit.sh calls it; all else is in bulkpoint/launch/job.py."""

import sys

from bulkpoint.launch.job import main

if __name__ == "__main__":
    sys.exit(main())
