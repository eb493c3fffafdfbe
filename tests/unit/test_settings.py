"""Where a setting comes from, what a bad one is answered with, and that no secret is shown."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from bulkpoint import files
from bulkpoint.errors import UsageError
from bulkpoint.settings import Settings, describe, example_toml, load_settings, read_secret
from bulkpoint.views.sentences import error_fields, sentence
from tests.world.refusals import refused

CANARY = "canary-5up3r-s3cret"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def bind(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)


def refusal(environ: dict[str, str]) -> str:
    with refused("", UsageError) as caught:
        load_settings(environ)
    return sentence(caught.value)


def toml(tmp_path: Path, text: str) -> dict[str, str]:
    (tmp_path / "my.toml").write_text(text)
    return {"BULKPOINT_CONF": str(tmp_path / "my.toml")}


def test_nothing_set_gives_the_defaults(tmp_path: Path) -> None:
    settings = load_settings({})
    assert (settings.tps, settings.retries, settings.backoff_s, settings.partitions) == (1000, 3, 3.0, None)
    assert settings.money_url == "http://127.0.0.1:9090"
    assert settings.data_dir == tmp_path / ".bulkpoint"


def test_the_environment_wins_over_the_file_and_the_file_over_the_default(tmp_path: Path) -> None:
    environ = toml(tmp_path, "tps = 200\nretries = 1\n") | {"BULKPOINT_TPS": "300"}
    settings = load_settings(environ)
    assert (settings.tps, settings.retries, settings.backoff_s) == (300, 1, 3.0)
    assert settings.source_of("tps") == "environment"
    assert settings.source_of("retries") == str(tmp_path / "my.toml")
    assert settings.source_of("backoff_s") == "default"


def test_the_file_of_the_working_directory_is_read_when_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "bulkpoint.toml").write_text("tps = 7\n")
    assert load_settings({}).tps == 7


def test_an_empty_variable_counts_as_unset() -> None:
    assert load_settings({"BULKPOINT_TPS": ""}).tps == 1000


def test_every_bad_value_gets_its_own_sentence() -> None:
    lines = refusal({"BULKPOINT_TPS": "-5", "BULKPOINT_RETRIES": "many"}).splitlines()
    assert lines == [
        "BULKPOINT_TPS is -5: it must be 0 or more. Change it, or remove it to have the default, 1000.",
        "BULKPOINT_RETRIES is many: it must be a whole number. Change it, or remove it to have the default, 3.",
    ]


def test_one_bad_value_has_the_code_of_its_rule_and_several_are_listed() -> None:
    with refused("whole number", UsageError, code="SETTING_NOT_A_WHOLE_NUMBER") as caught:
        load_settings({"BULKPOINT_RETRIES": "many"})
    facts = {"setting": "BULKPOINT_RETRIES", "value": "many", "default": "3"}
    assert error_fields(caught.value)["error"]["facts"] == facts
    with refused("0 or more", UsageError, code="SETTINGS_WRONG") as caught:
        load_settings({"BULKPOINT_TPS": "-5", "BULKPOINT_RETRIES": "many"})
    codes = [problem["code"] for problem in error_fields(caught.value)["error"]["facts"]["problems"]]
    assert codes == ["SETTING_TOO_SMALL", "SETTING_NOT_A_WHOLE_NUMBER"]


def test_a_bad_value_in_the_file_is_answered_with_the_file(tmp_path: Path) -> None:
    assert refusal(toml(tmp_path, "tps = true")).startswith(f"tps in {tmp_path}/my.toml is true: it must be a number")


def test_unknown_names_are_refused_with_the_nearest_one(tmp_path: Path) -> None:
    assert refusal({"BULKPOINT_TSP": "5"}) == (
        "BULKPOINT_TSP in the environment is no setting. Did you mean BULKPOINT_TPS?"
    )
    assert f"moneyurl in {tmp_path}/my.toml is no setting. Did you mean money_url?" in refusal(
        toml(tmp_path, 'moneyurl = "http://127.0.0.1"')
    )


def test_a_file_that_is_missing_or_no_toml_is_refused(tmp_path: Path) -> None:
    assert "which is no file" in refusal({"BULKPOINT_CONF": str(tmp_path / "none.toml")})
    assert "is not TOML" in refusal(toml(tmp_path, "tps = = 1"))


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("TPS", "NaN", "must be a whole number"),
        ("TPS", "1e3", "must be a whole number"),
        ("TPS", "2000000", "must be 1000000 or less"),
        ("RETRIES", "11", "must be 10 or less"),
        ("BACKOFF_S", "-1", "must be 0 or more"),
        ("BACKOFF_S", "nan", "must be a number"),
        ("BACKOFF_S", "inf", "must be a number"),
        ("MONEY_TIMEOUT_S", "0", "must be more than 0"),
        ("MAX_FAILED_RATIO", "1.1", "must be 1 or less"),
        ("LANGUAGE", "jp", "must be ko or en"),
        ("LIMIT_COUNTS_FROM", "start", "must be send or answer"),
        ("REQUIRE_APPROVAL", "perhaps", "must be true or false"),
        ("TIMEZONE", "Seoul", "must be a time zone"),
        ("TIMEZONE", "../../etc/passwd", "must be a time zone"),
        ("MONEY_ADAPTER", "os.system('x')", "right form"),
        ("SPARK_MASTER", "lokal", "right form"),
        ("KAFKA_BOOTSTRAP_SERVERS", "broker", "right form"),
        ("MONEY_URL", "file:///etc/passwd", "must be an address such as https"),
        ("MONEY_URL", "money.example.com", "must be an address such as https"),
        ("MONEY_URL", "http://money.example.com", "must be https"),
        ("MONEY_URL", "http://127.0.0.1.example.com", "must be https"),
        ("MONEY_URL", "https://user:pass@h", "user or password"),
        ("MONEY_URL", "https://h?a=b", "query"),
        ("MONEY_URL", "https://h#", "fragment"),
        ("MONEY_URL", "https://h:99999", "port"),
        ("MONEY_URL", "http://127.0.0.1\\.example.com", "must be made of"),
        ("SLACK_BASE_URL", "https://hooks.slack.com/services/T/B/x", "not a webhook"),
        ("DATABASE_URL", "mysql://h/d", "postgresql://"),
        ("DATABASE_URL", "postgresql://h/d\n", "control characters"),
    ],
)
def test_values_that_break_their_rule_are_refused(name: str, value: str, rule: str) -> None:
    assert rule in refusal({f"BULKPOINT_{name}": value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MONEY_URL", "http://localhost:9090"),
        ("MONEY_URL", "http://[::1]:9090"),
        ("MONEY_URL", "https://money.example.com/base"),
        ("DATABASE_URL", "postgresql://bulkpoint@a:5432,b:5432/bulkpoint?sslmode=verify-full"),
        ("SPARK_MASTER", "local[4,2]"),
        ("SPARK_MASTER", "local-cluster[2,3,1024]"),
        ("SPARK_MASTER", "k8s://https://10.0.0.1:6443"),
        ("TPS", "0"),
    ],
)
def test_values_that_keep_their_rule_are_taken(name: str, value: str) -> None:
    assert str(getattr(load_settings({f"BULKPOINT_{name}": value}), name.lower())) == value


def test_connecting_may_not_take_longer_than_the_call() -> None:
    assert "MONEY_CONNECT_TIMEOUT_S (1) must not be more" in refusal({"BULKPOINT_MONEY_TIMEOUT_S": "0.5"})


@pytest.mark.parametrize(
    "environ",
    [
        {"BULKPOINT_MONEY_URL": f"https://user:{CANARY}@money.example.com"},
        {"BULKPOINT_MONEY_URL": f"https://money.example.com?token={CANARY}"},
        {"BULKPOINT_DATABASE_URL": f"postgresql://u:{CANARY}@h/d"},
        {"BULKPOINT_DATABASE_URL": f"postgresql://u@h/d?password={CANARY}"},
        {"BULKPOINT_SLACK_BASE_URL": f"https://hooks.slack.com/services/{CANARY}"},
    ],
)
def test_a_secret_in_an_address_is_refused_and_not_shown(environ: dict[str, str]) -> None:
    with refused("must", UsageError) as caught:
        load_settings(environ)
    assert CANARY not in str(error_fields(caught.value))


def test_a_token_in_the_place_of_its_file_is_not_shown(tmp_path: Path) -> None:
    settings = load_settings({"BULKPOINT_MONEY_TOKEN_FILE": CANARY})
    assert CANARY not in str(describe(settings))
    with refused("names a file that is not there", UsageError) as caught:
        read_secret(settings.money_token_file or tmp_path, "BULKPOINT_MONEY_TOKEN_FILE")
    assert CANARY not in str(error_fields(caught.value))


def test_describe_names_every_setting_once_with_value_and_source() -> None:
    shown = {setting.name: setting for setting in describe(load_settings({"BULKPOINT_GUARD_MS": "20"}))}
    assert len(shown) == len(Settings.model_fields)
    assert shown["BULKPOINT_GUARD_MS"] == ("BULKPOINT_GUARD_MS", "20", "environment")
    assert shown["BULKPOINT_BACKOFF_S"] == ("BULKPOINT_BACKOFF_S", "3", "default")


def test_the_shipped_file_explains_every_setting() -> None:
    assert files.read_text("conf/bulkpoint.toml") == example_toml(), (
        "make it anew: python -m bulkpoint.settings > conf/bulkpoint.toml"
    )


def test_a_secret_is_read_without_its_line_end(tmp_path: Path) -> None:
    for content in ("t0ken", "t0ken\n", "t0ken\r\n"):
        (tmp_path / "token").write_bytes(content.encode())
        assert read_secret(tmp_path / "token", "NAME") == "t0ken"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b" \r\n\n", "is empty"),
        (b"a\nb\n", "has 2 lines"),
        (b"abc\n\n", "has 2 lines, empty ones included"),
        (b"\xef\xbb\xbfabc\n", "byte order mark of UTF-8"),
        ("\ufeffabc".encode("utf-16-le"), "byte order mark of UTF-16"),
        (b"a\x00b", "byte 2 is 0x00"),
        (b"a b", "byte 2 is 0x20"),
        (b"abc \n", "byte 4 is 0x20"),
        ("비밀".encode(), "byte 1 is 0xEB"),
        (b"x" * 20_000, "more than 16,384 bytes"),
    ],
)
def test_a_file_that_has_no_secret_is_refused_with_why_and_without_showing_it(
    tmp_path: Path, content: bytes, why: str
) -> None:
    (tmp_path / "token").write_bytes(content)
    with refused(f"NAME names .*token, .*{why}", UsageError) as caught:
        read_secret(tmp_path / "token", "NAME")
    assert not content.strip() or content.decode(errors="replace") not in str(error_fields(caught.value))


@pytest.mark.parametrize(("kind", "make"), [("a folder", os.mkdir), ("a named pipe", os.mkfifo), ("a socket", bind)])
def test_what_is_no_file_in_the_place_of_a_secret_is_refused_without_waiting(
    tmp_path: Path, kind: str, make: Callable[[str], object]
) -> None:
    make(str(tmp_path / "token"))
    with refused(f"{kind} and no file", UsageError):
        read_secret(tmp_path / "token", "NAME")


@pytest.mark.parametrize("token", [CANARY + "x" * 300, f"/dev/null/{CANARY}", CANARY + "\0"])
def test_a_token_that_can_be_no_path_is_not_shown(token: str) -> None:
    with refused("names a file that is not there", UsageError) as caught:
        read_secret(Path(token), "NAME")
    assert CANARY not in str(error_fields(caught.value))
    assert CANARY not in str(describe(load_settings({"BULKPOINT_MONEY_TOKEN_FILE": token})))


@pytest.mark.parametrize(
    "address",
    ["u:hunter2@h/d", "host=h password=hunter2", "hunter2 @h", "postgresq://u:hunter2@h/d", "//u:hunter2@h/d"],
)
def test_an_address_of_another_form_may_have_a_password_and_is_not_shown(address: str) -> None:
    with refused("BULKPOINT_DATABASE_URL", UsageError) as caught:
        load_settings({"BULKPOINT_DATABASE_URL": address})
    assert "hunter2" not in sentence(caught.value)


def test_a_word_in_place_of_an_address_is_shown_as_it_is() -> None:
    with refused("BULKPOINT_DATABASE_URL is hello:", UsageError):
        load_settings({"BULKPOINT_DATABASE_URL": "hello"})
