"""Start a campaign: check that it may, run the job as a process of its own, know how both are.

The job makes the run, not this: it takes the campaign's row, freezes and goes. The checks here come first so that a
person hears of a problem at once instead of after Spark's start.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from bulkpoint import files
from bulkpoint.control.stop import stop_campaign
from bulkpoint.errors import BulkpointError, ExitCode, RefusedError, UnreachableError, UsageError
from bulkpoint.rules.lifecycle import CampaignState, Command, refusal
from bulkpoint.settings import Settings
from bulkpoint.store.audit import write_audit
from bulkpoint.store.campaign import (
    Campaign,
    QueuedCampaign,
    get_campaign,
    get_running_campaign,
    list_queue,
)
from bulkpoint.store.connect import Connection, connect
from bulkpoint.store.outbox import write_event
from bulkpoint.store.run import run_of_holder
from bulkpoint.store.target import digest_targets, total_targets

# Spark, the freeze of a hundred million targets, and the first lease.
RUN_APPEARS_S_MAX = 1_800.0
# After its run has ended, a job drains, tells Slack and closes Spark.
JOB_ENDS_S_MAX = 120.0
LOG_LINES_SHOWN = 12
# What the job says of its own end begins so; everything else in its log is for whoever looks into it.
SENTENCE = "bulkpoint: "


@dataclass(frozen=True)
class Plan:
    """What would be started, for the question to a person; points, calls a second, seconds."""

    campaign: Campaign
    tps: int

    @property
    def expected_s(self) -> float | None:
        """At the present limit; none while it holds."""
        return self.campaign.expected_count / self.tps if self.tps else None


@dataclass(frozen=True)
class Skipped:
    """A campaign that waits and is not ready, and why."""

    campaign_id: int
    name: str
    why: str


def find_next(connection: Connection) -> tuple[int | None, list[Skipped]]:
    """The oldest campaign that is ready, and the ones before it that are not."""
    skipped: list[Skipped] = []
    for waiting in list_queue(connection):
        why = _why_not_ready(connection, waiting)
        if why is None:
            return waiting.campaign_id, skipped
        skipped.append(Skipped(waiting.campaign_id, waiting.name, why))
    return None, skipped


def plan_start(
    connection: Connection, campaign_id: int, *, tps: int, digest: str | None = None, force: bool = False
) -> Plan:
    """Check that a campaign may start now. `force` passes by the queue's order and not_before, nothing else.

    Raises RefusedError with what stands in the way and what to do.
    """
    campaign = get_campaign(connection, campaign_id)
    wrong_state = refusal(Command.START, CampaignState(campaign.state), campaign_id)
    if wrong_state:
        raise RefusedError(wrong_state)
    running = get_running_campaign(connection)
    if running is not None:
        raise RefusedError(
            f"Campaign {campaign_id} cannot start while campaign {running[0]} ({running[1]}) is RUNNING: one runs at a"
            f" time. Follow it with `bulkpoint campaign watch {running[0]}` and start this one after it."
        )
    count, amount = total_targets(connection, campaign_id)
    if (count, amount) != (campaign.expected_count, campaign.expected_amount):
        raise RefusedError(
            f"Campaign {campaign_id} expects {campaign.expected_count:,} targets and {campaign.expected_amount:,}"
            f" points, but {count:,} and {amount:,} are loaded. Load the rest, or create it anew with the right totals."
        )
    if digest is not None:
        _refuse_another_digest(connection, campaign_id, digest)
    if not force:
        _refuse_out_of_order(connection, campaign_id)
    return Plan(campaign, tps)


def record_force(connection: Connection, plan: Plan, *, actor: str, reason: str) -> None:
    """Audit row and event of a start that jumps the order, in one transaction."""
    campaign_id = plan.campaign.campaign_id
    detail = {"reason": reason}
    with connection.transaction():
        write_audit(connection, action="force", campaign_id=campaign_id, run=None, actor=actor, detail=detail)
        write_event(connection, campaign_id=campaign_id, run=None, type="campaign.forced", actor=actor, data=detail)


def _why_not_ready(connection: Connection, waiting: QueuedCampaign) -> str | None:
    if not waiting.due:
        return "its time has not come"
    if total_targets(connection, waiting.campaign_id) != (waiting.expected_count, waiting.expected_amount):
        return "its targets do not add up to what is expected yet"
    return None


def _refuse_out_of_order(connection: Connection, campaign_id: int) -> None:
    first, skipped = find_next(connection)
    if first == campaign_id:
        return
    for one in skipped:
        if one.campaign_id == campaign_id:
            raise RefusedError(
                f"Campaign {campaign_id} cannot start: {one.why}. `--force --reason T` starts it anyway."
            )
    raise RefusedError(
        f"Campaign {campaign_id} cannot start: campaign {first} is older and ready, and the oldest goes first."
        f" Start that one (`bulkpoint campaign start next`), or jump the order with --force --reason T."
    )


def _refuse_another_digest(connection: Connection, campaign_id: int, digest: str) -> None:
    found = digest_targets(connection, campaign_id).hex()
    if digest.lower() != found:
        raise RefusedError(
            f"The targets of campaign {campaign_id} have the digest {found}, not the one given."
            " They changed since they were looked at: look again."
        )


class Job:
    """The job's process and its log. It is in a session of its own: a Ctrl-C at the terminal does not reach it."""

    def __init__(self, arguments: list[str], *, environ: Mapping[str, str], log: Path) -> None:
        self.log = log
        self.holder = uuid4()  # the run of this very job carries it: another start may make the same campaign's run
        try:
            log.parent.mkdir(parents=True, exist_ok=True)
            with log.open("ab") as stream:
                self._process = subprocess.Popen(
                    [str(files.path_of("scripts/submit.sh")), *arguments, "--holder", str(self.holder)],
                    stdin=subprocess.DEVNULL,
                    stdout=stream,
                    stderr=subprocess.STDOUT,
                    env=environ,
                    start_new_session=True,
                )
        except OSError as error:
            raise UnreachableError(f"The job cannot be started: {error}. Its log would be {log}.") from error

    def alive(self) -> bool:
        return self._process.poll() is None

    def has_run(self, connection: Connection) -> bool:
        """Whether the job has made its run."""
        return run_of_holder(connection, self.holder) is not None

    def wait_until_run(self, connection: Connection) -> None:
        """Return when the job has made its run.

        Raises the job's own sentence with its exit code when it ends before.
        """
        deadline = time.monotonic() + RUN_APPEARS_S_MAX
        while True:
            alive = self.alive()
            if self.has_run(connection):
                return
            if not alive:
                raise self.failure()
            if time.monotonic() > deadline:
                self.terminate()
                raise UnreachableError(
                    f"The job has made no run for {RUN_APPEARS_S_MAX / 60:.0f} minutes and was ended. See {self.log}."
                )
            time.sleep(0.2)

    def wait(self) -> None:
        """Return when the process has ended, or after two minutes: the run's row says how the run ended."""
        try:
            self._process.wait(JOB_ENDS_S_MAX)
        except subprocess.TimeoutExpired:
            print(f"bulkpoint: The job is still closing down; its log is {self.log}.", file=sys.stderr)

    def terminate(self) -> None:
        """Ask the job to end."""
        if self.alive():
            os.killpg(self._process.pid, signal.SIGTERM)

    def failure(self) -> BulkpointError:
        """What a job that ended without a run said of it, and its exit code."""
        sentences = [line.removeprefix(SENTENCE) for line in self._lines() if line.startswith(SENTENCE)]
        if sentences:
            error = BulkpointError(sentences[-1])
        else:
            error = UnreachableError(f"The job ended before it began its run. Its log:\n{self.end_of_log()}")
        if self._process.returncode in set(ExitCode) - {ExitCode.DONE}:
            error.exit_code = ExitCode(self._process.returncode)
        return error

    def end_of_log(self) -> str:
        """The last lines, for a person to see what happened, and where there is more."""
        last = "\n".join(f"  {line}" for line in self._lines()[-LOG_LINES_SHOWN:])
        return f"{last}\n  (all of it: {self.log})"

    def _lines(self) -> list[str]:
        return self.log.read_text(errors="replace").splitlines()


def start_job(
    settings: Settings,
    plan: Plan,
    *,
    actor: str,
    reason: str | None = None,
    environ: Mapping[str, str] = os.environ,
) -> tuple[Job, int]:
    """Run scripts/submit.sh for a planned start; returns the job and the number its run will have.

    The job reads its settings from `environ` as this process did, and looks after an embedded database by itself.
    """
    campaign_id = plan.campaign.campaign_id
    run = (plan.campaign.run or 0) + 1
    arguments = [str(campaign_id), "--actor", actor]
    if reason is not None:
        arguments += ["--reason", reason]
    python = environ.get("PYSPARK_PYTHON", sys.executable)  # the one that has bulkpoint
    started = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    log = settings.data_dir / "logs" / f"campaign-{campaign_id}-run-{run}-{started}-{os.getpid()}.log"
    return Job(arguments, environ={**environ, "PYSPARK_PYTHON": python}, log=log), run


def end_job(job: Job, database_url: str, campaign_id: int, *, actor: str, reason: str) -> bool:
    """Stop the job's run where it has made one, else end the job; return when its process is gone.

    Returns whether there is a run. A run is stopped in the database, with who and why; the job then records its answers
    and ends by itself.
    """
    with connect(database_url) as connection:

        def stopped() -> bool:
            if not job.has_run(connection):
                return False
            with suppress(RefusedError):  # it ended by itself just now
                stop_campaign(connection, campaign_id, actor=actor, reason=reason)
            return True

        if stopped():
            job.wait()
            return True
        job.terminate()
        job.wait()
        return stopped()  # it made its run at the last moment


def check_force(*, force: bool, reason: str | None) -> None:
    """Raises UsageError for a forced start without a reason, and for a reason without need."""
    if force and not (reason and reason.strip()):
        raise UsageError("--force needs --reason: it is kept in the audit log.")
