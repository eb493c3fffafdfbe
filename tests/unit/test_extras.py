"""What a host without the optional packages can do, and what it says about the rest."""

import importlib.metadata
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bulkpoint import files

PROJECT = Path(__file__).parents[2]
OPTIONAL = (
    "confluent_kafka", "slack_sdk", "ratelimit", "tenacity", "uvloop", "httptools",
    "starlette", "uvicorn", "python_multipart", "prometheus_client",
)  # fmt: skip

# Runs as sitecustomize would: the modules named in REFUSED_MODULES cannot be imported, as if not installed.
REFUSE = """
import os, sys

class Refusing:
    refused = os.environ["REFUSED_MODULES"].split(",")

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.refused:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Refusing())
"""
MAIN = "from bulkpoint.cli.main import main; main()"


def run_without(refused: tuple[str, ...], program: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BULKPOINT_")}
    environment |= {"REFUSED_MODULES": ",".join(refused), "PYTHONPATH": str(PROJECT)}
    return subprocess.run(
        [sys.executable, "-c", REFUSE + program, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("missing", ["uvloop", "httptools"])
def test_the_sandbox_without_its_server_names_the_extra_and_ends_with_2(missing: str) -> None:
    done = run_without((missing,), MAIN, "sandbox", "serve", "--port", "0")
    assert done.returncode == 2
    assert missing in done.stderr
    assert "pip install 'bulkpoint[demo]'" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_the_demo_without_kafka_names_its_extra_before_it_starts_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run_without(("confluent_kafka",), MAIN, "demo")
    assert (done.returncode, done.stdout) == (2, "")
    assert "confluent_kafka" in done.stderr
    assert "pip install 'bulkpoint[demo]'" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("extra", "call"),
    [
        ("kafka", "from bulkpoint.events.kafka import Publisher; Publisher(settings)"),
        ("kafka", "from bulkpoint.events.kafka import ensure_topic; ensure_topic(settings)"),
        ("kafka", "from bulkpoint.events.kafka import read_topic; read_topic(settings, key=1)"),
        ("slack", "from bulkpoint.events.notify import Notifier; Notifier(settings, None, print)"),
    ],
)
def test_whoever_uses_a_missing_extra_gets_its_code(extra: str, call: str) -> None:
    program = f"""
import json
from bulkpoint.errors import UsageError
from bulkpoint.settings import load_settings
settings = load_settings({{"BULKPOINT_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1", "BULKPOINT_SLACK_CHANNEL": "#c",
    "BULKPOINT_SLACK_TOKEN_FILE": "/dev/null"}})
try:
    {call}
except UsageError as error:
    print(json.dumps([error.refusal.code, error.refusal.facts["extra"]]))
"""
    done = run_without(OPTIONAL, program)
    assert done.stderr == ""
    assert json.loads(done.stdout) == ["EXTRA_MISSING", extra]


def test_the_page_without_its_packages_names_the_extra_and_ends_with_2() -> None:
    done = run_without(("starlette",), MAIN, "web")
    assert (done.returncode, done.stdout) == (2, "")
    assert "pip install 'bulkpoint[web]'" in done.stderr


def test_all_but_sandbox_and_page_can_be_imported_without_the_extras() -> None:
    program = """
import importlib, pkgutil
import bulkpoint
for module in pkgutil.walk_packages(bulkpoint.__path__, "bulkpoint."):
    if not module.name.startswith(("bulkpoint.sandbox.", "bulkpoint.web")):
        importlib.import_module(module.name)
"""
    done = run_without(OPTIONAL, program)
    assert (done.returncode, done.stderr) == (0, "")


def test_executors_are_packed_what_they_import_and_nothing_of_the_extras() -> None:
    program = """
import json, sys
import bulkpoint.pay.daemon, bulkpoint.pay.partition, bulkpoint.money.clients
import bulkpoint.money.curl_transport, bulkpoint.money.requests_transport
packages = {name.partition(".")[0] for name, module in list(sys.modules.items())
            if "site-packages" in (getattr(module, "__file__", None) or "")}
print(json.dumps(sorted(packages)))
"""
    done = run_without(OPTIONAL, program)
    assert done.returncode == 0, done.stderr
    imported = {
        distribution.lower().replace("_", "-")
        for package in json.loads(done.stdout)
        for distribution in importlib.metadata.packages_distributions().get(package, ())
    }
    named = subprocess.run(
        [sys.executable, str(files.path_of("scripts/package_environment.py")), "--list"],
        capture_output=True,
        text=True,
        check=True,
    )
    packed = set(named.stdout.split())
    of_spark = {"pyspark", "py4j"}  # a worker has them with its Spark
    of_python = {"setuptools", "pip"}
    assert imported - of_spark - of_python <= packed
    assert not packed & {"confluent-kafka", "slack-sdk", "ratelimit", "tenacity", "uvloop", "httptools", "pyspark"}
