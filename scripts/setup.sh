#!/usr/bin/env bash
# Makes the checkout ready: .venv with the locked packages, bulkpoint itself (editable), the PostgreSQL JDBC driver, and
# the PostgreSQL and Kafka of the demo and the tests.
# Needed on the machine: Python 3.11 or later, Java 17 or later, and PgBouncer, HAProxy, promtool and Chromium (with
# letters for Korean) for the tests; root on Debian or Ubuntu gets all but Python by itself.
# `make setup` runs it when something it depends on has changed; running it twice does no harm.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

say() { echo "setup: $*" >&2; }
give_up() {
  say "$*"
  exit 1
}

is_root_on_debian() { [[ "$(id -u)" == 0 ]] && command -v apt-get >/dev/null; }
apt_install() {
  say "installing $*"
  { DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@" >/dev/null 2>&1 ||
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@" >/dev/null; }; }
}

# --- Python ---------------------------------------------------------------------------------------------------------

is_new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }
find_python() {
  local candidate
  for candidate in "${PYTHON:-python3}" python3.13 python3.12 python3.11; do
    if is_new_enough "$candidate"; then
      command -v "$candidate"
      return
    fi
  done
}

if ! [[ -x .venv/bin/python ]] || ! is_new_enough .venv/bin/python; then # none, or its Python has moved away
  python="$(find_python)"
  [[ -n "$python" ]] || give_up "Python 3.11 or later is needed and none is on PATH. Install it, or name it: make setup PYTHON=/path/to/python3"
  if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    if is_root_on_debian; then
      apt_install python3-venv
    fi
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
      give_up "$python cannot make a virtual environment. Install its venv module (Debian, Ubuntu: apt-get install python3-venv)."
  fi
  say "making .venv with $("$python" --version)"
  rm -rf .venv
  "$python" -m venv .venv
fi

# --- Java -----------------------------------------------------------------------------------------------------------

java_version() { "$1" -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p' | head -n 1; }
has_java() {
  local version
  version="$(java_version "${JAVA_HOME:+$JAVA_HOME/bin/}java" || true)"
  [[ "${version:-0}" -ge 17 ]]
}

if ! has_java; then
  [[ -z "${JAVA_HOME:-}" ]] || give_up "JAVA_HOME names $JAVA_HOME, which is no Java 17 or later. Correct it, or unset it to use the java on PATH."
  if is_root_on_debian; then
    apt_install openjdk-17-jre-headless || apt_install default-jre-headless
  fi
  has_java || give_up "Java 17 or later is needed by Spark and none is on PATH. Install it (Debian, Ubuntu: apt-get install default-jre-headless), or set JAVA_HOME."
fi

# --- PgBouncer, HAProxy, Chromium and promtool, for the tests ---------------------------------------------------------

has() { PATH="$PATH:/usr/sbin" command -v "$1" >/dev/null; }
for_test() { # program, test, more packages: the first package has the program's name
  if ! has "$1" && is_root_on_debian; then
    apt_install "$1" "${@:3}" || true
  fi
  has "$1" || say "$1 is not installed: $2 will fail (Debian, Ubuntu: apt-get install $1 ${*:3})."
}
for_test pgbouncer tests/acceptance/test_pooler.py
for_test haproxy tests/acceptance/test_standby.py
for_test chromium tests/browser fonts-noto-cjk

# Debian's package of promtool would start Prometheus as a service, so only its program is taken out of it.
cache="${XDG_CACHE_HOME:-$HOME/.cache}/bulkpoint"
has_promtool() { PATH="$PATH:$cache" command -v promtool >/dev/null; }
fetch_promtool() (
  set -e
  mkdir -p "$cache"
  folder="$(mktemp -d "$cache/promtool.XXXXXX")"
  trap 'rm -rf "$folder"' EXIT
  cd "$folder"
  timeout 120 apt-get download -qq prometheus || { timeout 120 apt-get update -qq && timeout 120 apt-get download -qq prometheus; }
  dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x ./usr/bin/promtool
  usr/bin/promtool --version >/dev/null
  mv usr/bin/promtool "$cache/promtool"
)
if ! has_promtool && is_root_on_debian; then
  say "fetching promtool"
  fetch_promtool >/dev/null 2>&1 || true
fi
has_promtool || say "promtool, of Prometheus, is not on PATH nor in $cache: tests/unit/test_alert_rules.py will fail."

# --- Packages -------------------------------------------------------------------------------------------------------

pip() { .venv/bin/python -m pip --disable-pip-version-check --quiet "$@"; }

uv() { .venv/bin/uv --quiet "$@"; }

export VIRTUAL_ENV="$PWD/.venv"
if [[ -n "${PIP_INDEX_URL:-}" ]]; then
  export UV_DEFAULT_INDEX="${UV_DEFAULT_INDEX:-$PIP_INDEX_URL}"
fi
say "installing packages"
pip install --require-hashes -r requirements-bootstrap.lock
# uv installs the lock in a third of pip's time; where it cannot (a proxy that only pip knows), pip does it. Compiled now, or
# else each of a job's processes would compile for itself where Python may not keep what it compiled.
if ! uv pip install --compile-bytecode --require-hashes -r requirements.lock; then
  say "uv could not install them; trying pip, which takes longer"
  pip install --require-hashes -r requirements.lock
fi
uv pip install --no-deps --no-build-isolation --editable .

# --- The JDBC driver, an archive of the classes a job loads; PostgreSQL and Kafka, for the demo and the tests ------------

.venv/bin/python -m bulkpoint.launch.set_up
touch .venv/.set-up
say "ready"
