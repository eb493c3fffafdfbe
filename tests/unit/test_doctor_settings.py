"""The doctor where a setting is wrong: it is named, what needs it is left out, and all else is looked at."""

from pathlib import Path

import pytest

from bulkpoint.launch.before_spark import check_everything
from bulkpoint.rules.checks import Check
from bulkpoint.settings import SettingWithheldError, usable_settings

NOWHERE = "postgresql://bulkpoint@127.0.0.1:9/bulkpoint"  # the port of discard
ALL = {
    "spark-master", "spark-partitions", "jdbc-driver", "spark-local-dir", "data-folder", "database", "money-secrets",
    "money-ca", "money-adapter", "money", "slack", "kafka",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def checks_with(monkeypatch: pytest.MonkeyPatch, **settings: str) -> dict[str, Check]:
    for name, value in settings.items():
        monkeypatch.setenv(f"BULKPOINT_{name}", value)
    return {check.name: check for check in check_everything()}


@pytest.mark.parametrize(
    ("settings", "left_out"),
    [
        ({"TPS": "abc"}, set()),
        ({"DATABASE_URL": "http://x"}, {"database"}),
        ({"DATABASE_ULR": NOWHERE}, {"database"}),
        ({"MONEY_URL": "ftp://x"}, {"money"}),
        ({"SLACK_BASE_URL": "x"}, set()),
        (
            {"SPARK_MASTER": "x", "DATABASE_URL": NOWHERE},
            {"spark-master", "spark-partitions", "database"},
        ),
        ({"KAFKA_SECURITY_PROTOCOL": "sasl_ssl"}, {"kafka"}),
        ({"MONEY_CONNECT_TIMEOUT_S": "50", "MONEY_TIMEOUT_S": "5"}, {"money"}),
    ],
)
def test_only_what_needs_the_wrong_setting_is_left_out(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], left_out: set[str]
) -> None:
    checks = checks_with(monkeypatch, **settings)
    assert checks["settings"].verdict == "problem"
    assert {name for name, check in checks.items() if check.found.code == "CHECK_LEFT_OUT"} == left_out
    assert set(checks) >= ALL


def test_a_wrong_limit_keeps_no_one_from_learning_that_the_database_is_out_of_reach(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    checks = checks_with(monkeypatch, TPS="abc", DATABASE_URL=NOWHERE)
    assert (checks["settings"].found.facts["setting"], checks["database"].verdict) == ("BULKPOINT_TPS", "problem")


def test_a_wrong_setting_never_has_its_default(tmp_path: Path) -> None:
    (tmp_path / "my.toml").write_text('tps = "many"\nretries = 2\nbackof_s = 9\n')
    settings = usable_settings({"BULKPOINT_CONF": str(tmp_path / "my.toml"), "BULKPOINT_DATABASE_URL": "hello"})
    assert settings.retries == 2
    for name in ("tps", "database_url", "backoff_s"):
        with pytest.raises(SettingWithheldError):
            getattr(settings, name)
