"""Slack and Kafka: paying never waits for them, so what is missing is a warning, before the run and not at its end."""

from collections.abc import Iterator
from pathlib import Path

from bulkpoint.doctor.questions import Question
from bulkpoint.errors import BulkpointError
from bulkpoint.extras import require_extra
from bulkpoint.files import NotAFileError, read_bounded
from bulkpoint.rules.checks import Check, ok, warning
from bulkpoint.rules.refusals import Refusal
from bulkpoint.settings import Settings, read_secret


def questions(settings: Settings) -> list[Question]:
    """Slack, and Kafka."""
    return [Question("slack", lambda: _slack(settings)), Question("kafka", lambda: _kafka(settings))]


def _slack(settings: Settings) -> Iterator[Check]:
    channel, file = settings.slack_channel, settings.slack_token_file
    if channel is None and file is None:
        yield ok("slack", Refusal("SLACK_NOT_SET"))
    elif channel is None:
        yield warning("slack", Refusal("SLACK_WITHOUT_CHANNEL", {}, ("set_both_of_slack",)))
    elif file is None:
        yield warning("slack", Refusal("SLACK_WITHOUT_TOKEN", {}, ("set_both_of_slack",)))
    else:
        try:
            require_extra("slack")
            read_secret(file, "BULKPOINT_SLACK_TOKEN_FILE")
        except BulkpointError as error:
            yield warning("slack", error.refusal)
        else:
            yield ok("slack", Refusal("SLACK_SET", {"channel": channel}))


def _kafka(settings: Settings) -> Iterator[Check]:
    servers = settings.kafka_bootstrap_servers
    if servers is None:
        yield ok("kafka", Refusal("KAFKA_NOT_SET"))
        return
    try:
        require_extra("kafka")
        if settings.kafka_password_file is not None:
            read_secret(settings.kafka_password_file, "BULKPOINT_KAFKA_PASSWORD_FILE")
    except BulkpointError as error:
        yield warning("kafka", error.refusal)
        return
    unreadable = list(_unreadable(settings))
    for found in unreadable:
        yield warning("kafka", found)
    if not unreadable:
        yield ok("kafka", Refusal("KAFKA_SET", {"servers": servers}))


def _unreadable(settings: Settings) -> Iterator[Refusal]:
    for name in ("kafka_ca_file", "kafka_certificate_file", "kafka_key_file"):
        file: Path | None = getattr(settings, name)
        if file is None:
            continue
        try:
            read_bounded(file, 1)
        except OSError as error:
            why = Refusal(error.kind) if isinstance(error, NotAFileError) else error.strerror
            facts = {"setting": f"BULKPOINT_{name.upper()}", "file": str(file), "why": why}
            yield Refusal("FILE_OF_SETTING_UNREADABLE", facts)
