"""The spark-submit entry: pay one campaign. scripts/submit.sh calls it; everything else is in bulkpoint.pay.driver."""

import sys

from bulkpoint.cli.job_main import main

if __name__ == "__main__":
    sys.exit(main())
