"""Prometheus' own program reads the alert rules, and finds that they fire when they should, and only then."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from bulkpoint import files

FOLDER = Path(__file__).parents[2] / "conf/examples/prometheus"


@pytest.fixture(scope="module")
def promtool() -> str:
    cached = files.cache_folder()
    program = shutil.which("promtool", path=f"{os.environ['PATH']}:{cached}")
    assert program, (
        f"this test needs promtool, of Prometheus, on PATH or in {cached}"
        " (root on Debian or Ubuntu: make setup does it)"
    )
    return program


@pytest.mark.parametrize(("what", "file"), [("check", "alerts.yaml"), ("test", "alerts_test.yaml")])
def test_promtool_accepts_the_rules_and_what_they_are_expected_to_do(promtool: str, what: str, file: str) -> None:
    done = subprocess.run([promtool, what, "rules", file], cwd=FOLDER, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SUCCESS" in done.stdout


def test_each_alert_is_tried() -> None:
    alerts = {line.split()[-1] for line in (FOLDER / "alerts.yaml").read_text().splitlines() if "- alert:" in line}
    tried = {
        line.split("alertname:")[1].split(",")[0].strip(" }")
        for line in (FOLDER / "alerts_test.yaml").read_text().splitlines()
        if "alertname:" in line
    }
    assert tried == alerts
