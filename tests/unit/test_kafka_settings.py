"""How Kafka is reached, by the settings: in the open, by TLS, with a user; a secret is read from its file only."""

from pathlib import Path

import pytest

from bulkpoint.errors import UnreachableError, UsageError
from bulkpoint.events.kafka import Publisher, client_config
from bulkpoint.settings import describe, load_settings
from tests.world.refusals import refused

BROKERS = {"BULKPOINT_KAFKA_BOOTSTRAP_SERVERS": "kafka-1:9093,kafka-2:9093"}


@pytest.fixture
def password(tmp_path: Path) -> Path:
    file = tmp_path / "password"
    file.write_text("canary-7\n")
    return file


def test_in_the_open_there_is_no_secret() -> None:
    config = client_config(load_settings(BROKERS))
    assert config["bootstrap.servers"] == "kafka-1:9093,kafka-2:9093"
    assert config["security.protocol"] == "plaintext"
    assert not [name for name in config if name.startswith(("sasl", "ssl"))]


def test_by_tls_with_a_user_and_a_certificate(password: Path, tmp_path: Path) -> None:
    settings = load_settings(
        BROKERS
        | {
            "BULKPOINT_KAFKA_SECURITY_PROTOCOL": "sasl_ssl",
            "BULKPOINT_KAFKA_CA_FILE": str(tmp_path / "ca.pem"),
            "BULKPOINT_KAFKA_CERTIFICATE_FILE": str(tmp_path / "our.pem"),
            "BULKPOINT_KAFKA_KEY_FILE": str(tmp_path / "our.key"),
            "BULKPOINT_KAFKA_SASL_MECHANISM": "SCRAM-SHA-256",
            "BULKPOINT_KAFKA_USERNAME": "bulkpoint",
            "BULKPOINT_KAFKA_PASSWORD_FILE": str(password),
        }
    )
    config = client_config(settings)
    assert {name: value for name, value in config.items() if name.startswith(("sasl", "ssl", "security"))} == {
        "security.protocol": "sasl_ssl",
        "ssl.ca.location": str(tmp_path / "ca.pem"),
        "ssl.certificate.location": str(tmp_path / "our.pem"),
        "ssl.key.location": str(tmp_path / "our.key"),
        "sasl.mechanism": "SCRAM-SHA-256",
        "sasl.username": "bulkpoint",
        "sasl.password": "canary-7",
    }
    assert "canary" not in "".join(f"{one.value}{one.source}" for one in describe(settings))
    assert "canary" not in repr(settings)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"SECURITY_PROTOCOL": "sasl_ssl"}, "needs BULKPOINT_KAFKA_USERNAME and BULKPOINT_KAFKA_PASSWORD_FILE"),
        ({"SECURITY_PROTOCOL": "sasl_plaintext"}, "must be plaintext, ssl or sasl_ssl"),
        ({"CERTIFICATE_FILE": "/x"}, "go together"),
        ({"SASL_MECHANISM": "GSSAPI"}, "must be PLAIN"),
        ({"BOOTSTRAP_SERVERS": "kafka"}, "does not have the right form"),
    ],
    ids=["no user", "a password in the open", "no key", "mechanism", "no port"],
)
def test_what_cannot_be_is_refused_at_once(changes: dict[str, str], sentence: str) -> None:
    with refused(sentence, UsageError):
        load_settings(BROKERS | {f"BULKPOINT_KAFKA_{name}": value for name, value in changes.items()})


def test_a_password_in_the_place_of_its_file_is_not_shown() -> None:
    settings = load_settings(BROKERS | {"BULKPOINT_KAFKA_PASSWORD_FILE": "canary-7"})
    assert "canary" not in "".join(one.value for one in describe(settings))


def test_a_file_of_certificates_that_is_none_is_said(tmp_path: Path) -> None:
    named = {"SECURITY_PROTOCOL": "ssl", "CA_FILE": str(tmp_path / "none.pem")}
    settings = load_settings(BROKERS | {f"BULKPOINT_KAFKA_{name}": value for name, value in named.items()})
    with refused(r"Kafka at kafka-1:9093,.* cannot be used .*ssl.ca.location failed", UnreachableError):
        Publisher(settings)


def test_a_missing_password_file_is_said(tmp_path: Path) -> None:
    named = {"SECURITY_PROTOCOL": "sasl_ssl", "USERNAME": "u", "PASSWORD_FILE": str(tmp_path / "none")}
    settings = load_settings(BROKERS | {f"BULKPOINT_KAFKA_{name}": value for name, value in named.items()})
    with refused("BULKPOINT_KAFKA_PASSWORD_FILE names a file that is not there", UsageError):
        client_config(settings)
