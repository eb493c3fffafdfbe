#!/usr/bin/env bash
# Runs one campaign as a Spark job and ends with its exit code:
#
#   scripts/submit.sh ID|next [options of `bulkpoint campaign start`]
#
# For schedulers, and for `bulkpoint campaign start` itself. SIGINT and SIGTERM stop the run in order (exit code 4).
# Everything else is in bulkpoint/launch/spark_submit.py; this file finds the Python that has bulkpoint installed:
# PYSPARK_PYTHON, else the checkout's .venv, else the environment this file is installed in, else python3 on PATH.
set -euo pipefail

here="$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)"
python="${PYSPARK_PYTHON:-}"
for candidate in "$here/../.venv/bin/python" "$here/../../../../../../bin/python" "$(command -v python3 || true)"; do
  if [[ -z "$python" && -x "$candidate" ]]; then
    python="$candidate"
  fi
done
if [[ -z "$python" ]]; then
  echo "No Python found to run bulkpoint with. Run make setup, or set PYSPARK_PYTHON." >&2
  exit 6
fi
exec "$python" -m bulkpoint.launch.spark_submit "$@"
