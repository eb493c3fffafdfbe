"""Everything that `bulkpoint doctor` looks at, and that is looked at before each job's Spark starts."""

import sys

from bulkpoint.doctor import database, delivery, money
from bulkpoint.doctor.questions import Question, ask_all, error_of_problems, problem
from bulkpoint.errors import BulkpointError, UsageError
from bulkpoint.launch import spark_checks
from bulkpoint.launch.spark_cluster import expected_shares
from bulkpoint.rules.checks import Check, Verdict, ok
from bulkpoint.rules.refusals import Refusal
from bulkpoint.settings import Settings, load_settings
from bulkpoint.views.sentences import sentence


def check_installation(settings: Settings) -> list[Check]:
    """Every check, in the order in which they are shown; all are made at the same time, and nothing is changed."""
    return ask_all(
        [
            *spark_checks.questions(settings),
            *_database(settings),
            *money.questions(settings),
            *delivery.questions(settings),
        ]
    )


def check_everything() -> list[Check]:
    """As check_installation; where the settings are wrong, only what needs none is looked at besides."""
    try:
        settings = load_settings()
    except BulkpointError as error:
        found = error.refusal.facts.get("problems", (error.refusal,))  # SETTINGS_WRONG has several
        return [
            *(problem("settings", UsageError(each)) for each in found),
            *ask_all(spark_checks.WITHOUT_SETTINGS),
        ]
    return [ok("settings", Refusal("SETTINGS_READ")), *check_installation(settings)]


def check_before_spark(settings: Settings) -> None:
    """Print the warnings. Raises UsageError or UnreachableError with every problem at once; nothing is changed then."""
    checks = check_installation(settings)
    for check in checks:
        if check.verdict is Verdict.WARNING:
            sys.stderr.write(f"bulkpoint: warning: {sentence(check.found)}\n")
    error = error_of_problems(checks)
    if error is not None:
        raise error


def _database(settings: Settings) -> list[Question]:
    url = settings.database_url
    if url is None:  # made, migrated and started by each command; nothing of it can be wrong before
        embedded = ok("database", Refusal("DATABASE_EMBEDDED", {"folder": str(settings.data_dir)}))
        return [Question("database", lambda: [embedded])]
    return database.questions(url, expected_shares(settings))
