"""Everything that `bulkpoint doctor` looks at, and that is looked at before each job's Spark starts."""

from contextlib import suppress

from bulkpoint.campaigns.run_request import RunRequest
from bulkpoint.doctor import database, delivery, money
from bulkpoint.doctor.questions import Question, ask_all, error_of_problems, problem
from bulkpoint.errors import BulkpointError, UsageError
from bulkpoint.launch import spark_checks
from bulkpoint.launch.spark_cluster import expected_shares
from bulkpoint.rules.checks import Check, Verdict, ok, warning
from bulkpoint.rules.refusals import Refusal
from bulkpoint.settings import Settings, SettingWithheldError, load_settings, usable_settings
from bulkpoint.store.campaign import list_queue
from bulkpoint.store.connect import connect, reachable
from bulkpoint.store.run_request import next_left_request
from bulkpoint.store.version import refuse_other_version
from bulkpoint.streams import say_on_stderr
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
    """As check_installation; where settings are wrong, what needs none of these is looked at besides."""
    try:
        settings = load_settings()
    except BulkpointError as error:
        found = error.refusal.facts.get("problems", (error.refusal,))  # SETTINGS_WRONG has several
        return [
            *(problem("settings", UsageError(each)) for each in found),
            *_check_what_can_be(),
        ]
    return [ok("settings", Refusal("SETTINGS_READ")), *check_installation(settings)]


def _check_what_can_be() -> list[Check]:
    try:
        settings = usable_settings()
    except UsageError:  # not one of the settings is known
        return ask_all(spark_checks.WITHOUT_SETTINGS)
    return check_installation(settings)


def check_before_spark(settings: Settings, *, for_others: bool = False) -> None:
    """Print the warnings. Raises UsageError or UnreachableError with every problem at once; nothing is changed then.

    for_others: the job runs what another login has asked for, whose right to start counts instead of ours.
    """
    checks = [each for each in check_installation(settings) if not (for_others and each.name == "right")]
    for check in checks:
        if check.verdict is Verdict.WARNING:
            say_on_stderr(f"bulkpoint: warning: {sentence(check.found)}")
    error = error_of_problems(checks)
    if error is not None:
        raise error


def runs_for_others(request: RunRequest, settings: Settings) -> bool:
    """Whether a job of this request would take what another login has asked for, as far as a glance says."""
    if request.asked is not None:
        return True
    if not request.takes_others or settings.database_url is None:
        return False
    with suppress(BulkpointError), connect(settings.database_url) as connection, reachable(settings.database_url):
        return next_left_request(connection) is not None
    return False


def may_pay(request: RunRequest, settings: Settings) -> bool:
    """Whether a job of this request would pay anything, as far as a glance says: a scheduler's `next` mostly finds no
    campaign, and then it does not matter what is out of reach. True where the database cannot say.
    """
    if request.campaign != "next" or settings.database_url is None:
        return True
    try:
        with connect(settings.database_url) as connection, reachable(settings.database_url):
            refuse_other_version(connection)
            left = request.takes_others and next_left_request(connection) is not None
            return left or any(waiting.due for waiting in list_queue(connection))
    except BulkpointError:
        return True  # the checks say why


def _database(settings: Settings) -> list[Question]:
    try:
        url, shares = settings.database_url, expected_shares(settings)
    except SettingWithheldError as error:
        left_out = warning("database", error.refusal)
        return [Question("database", lambda: [left_out])]
    if url is None:  # made, migrated and started by each command; nothing of it can be wrong before
        embedded = ok("database", Refusal("DATABASE_EMBEDDED", {"folder": str(settings.data_dir)}))
        return [Question("database", lambda: [embedded])]
    return database.questions(url, shares)
