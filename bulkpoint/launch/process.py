"""The job as a separate process, and its log: started here, watched until it has made its run, ended in order."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from bulkpoint import files
from bulkpoint.campaigns.asked_run import ask_for_run, end_request
from bulkpoint.campaigns.run_request import RunRequest
from bulkpoint.campaigns.stop import ask_to_stop, end_if_settled
from bulkpoint.errors import BulkpointError, ExitCode, RefusedError, UnreachableError
from bulkpoint.launch.ends import handed_over
from bulkpoint.rules.refusals import Refusal
from bulkpoint.settings import Settings
from bulkpoint.store.campaign import Campaign
from bulkpoint.store.connect import Connection, connect, reachable
from bulkpoint.store.run import run_of_holder
from bulkpoint.streams import say_on_stderr

# Spark, the freeze of a hundred million targets, and the first lease.
RUN_APPEARS_S_MAX = 1_800.0
# After its run has ended, a job drains, notifies Slack and closes Spark.
JOB_ENDS_S_MAX = 120.0
LOG_LINES_SHOWN = 12


class Job:
    """The job's process and its log. It is in its own session: a Ctrl-C at the terminal does not reach it."""

    def __init__(self, request: RunRequest, *, run_no: int, environ: Mapping[str, str], log: Path) -> None:
        self.run_no = run_no  # the number that its run will have
        self.log = log
        self._request = request
        self._holder = request.holder  # by which its run is known: another start may make the same campaign's run
        try:
            log.parent.mkdir(parents=True, exist_ok=True)
            with log.open("ab") as stream:
                self._process = subprocess.Popen(
                    [str(files.path_of("scripts/submit.sh")), "--request", request.to_json()],
                    stdin=subprocess.DEVNULL,
                    stdout=stream,
                    stderr=subprocess.STDOUT,
                    env=environ,
                    start_new_session=True,
                )
        except OSError as error:
            raise UnreachableError("JOB_CANNOT_BE_STARTED", why=str(error), log=str(log)) from error

    def alive(self) -> bool:
        return self._process.poll() is None

    def exit_code(self) -> int | None:
        """The process's own, or 128 plus the signal's number; None while it is alive."""
        code = self._process.poll()
        return 128 - code if code is not None and code < 0 else code

    def has_run(self, connection: Connection) -> bool:
        """Whether the job has made its run."""
        return run_of_holder(connection, self._holder) is not None

    def wait_until_run(self, connection: Connection) -> None:
        """Return when the job has made its run.

        Raises the job's own refusal with its exit code when it ends before.
        """
        deadline = time.monotonic() + RUN_APPEARS_S_MAX
        while True:
            alive = self.alive()
            if self.has_run(connection):
                return
            if not alive:
                failure = self.failure()
                self.call_back(connection, failure.refusal)
                raise failure
            if time.monotonic() > deadline:
                self.terminate()
                raise self.too_late()
            time.sleep(0.2)

    def wait(self) -> None:
        """Return when the process has ended, or after two minutes: the run's row says how the run ended."""
        try:
            self._process.wait(JOB_ENDS_S_MAX)
        except subprocess.TimeoutExpired:
            say_on_stderr(f"bulkpoint: The job is still closing down; its log is {self.log}.")

    def next_run(self, database_url: str, run: int, *, backoff_s: float) -> int | None:
        """The number of the automatic retry that the job began after its `run`; None when the job has ended.

        Waits for one or the other: for the backoff and two minutes at most.
        """
        deadline = time.monotonic() + backoff_s + JOB_ENDS_S_MAX
        with connect(database_url) as connection, reachable(database_url):
            while self.alive() and time.monotonic() < deadline:
                latest = run_of_holder(connection, self._holder)
                if latest is not None and latest > run:
                    return latest
                time.sleep(0.2)
        return None

    def call_back(self, connection: Connection, why: Refusal) -> None:
        """End the job's request: it makes no run, unless it has made one already."""
        end_request(connection, self._request, why)

    def terminate(self) -> None:
        """Ask the job to end."""
        if self.alive():
            os.killpg(self._process.pid, signal.SIGTERM)

    def kill(self) -> None:
        """End the job, which did not end when it was asked to."""
        if self.alive():
            os.killpg(self._process.pid, signal.SIGKILL)

    def too_late(self) -> UnreachableError:
        """The error of a job that is alive, and has made no run within RUN_APPEARS_S_MAX."""
        minutes = round(RUN_APPEARS_S_MAX / 60)
        return UnreachableError("JOB_MADE_NO_RUN", "see_log", minutes=minutes, log=str(self.log))

    def failure(self) -> BulkpointError:
        """Why the job ended without a run, with its exit code."""
        refusal = handed_over(self._lines())
        if refusal is not None:
            error = BulkpointError(refusal)
        else:
            error = UnreachableError("JOB_ENDED_BEFORE_RUN", log=str(self.log), last_lines=self.last_lines())
        if self._process.returncode in set(ExitCode) - {ExitCode.DONE}:
            error.exit_code = ExitCode(self._process.returncode)
        return error

    def last_lines(self) -> str:
        """The end of the log, for a person to see what happened."""
        return "\n".join(f"  {line}" for line in self._lines()[-LOG_LINES_SHOWN:])

    def _lines(self) -> list[str]:
        try:
            return self.log.read_text(errors="replace").splitlines()
        except OSError:  # removed, or on a disk that is gone
            return []


def start_job(
    connection: Connection,
    settings: Settings,
    campaign: Campaign,
    request: RunRequest,
    *,
    environ: Mapping[str, str] = os.environ,
) -> Job:
    """Run scripts/submit.sh for a campaign's next run, which the caller follows; the request is written before, if it
    was not another program that asked.

    The job reads its settings from `environ` as this process did, and starts and stops an embedded database by itself.
    """
    run_no = (campaign.run_no or 0) + 1
    python = environ.get("PYSPARK_PYTHON", sys.executable)  # the one that has bulkpoint
    started = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    log = settings.data_dir / "logs" / f"campaign-{campaign.campaign_id}-run-{run_no}-{started}-{os.getpid()}.log"
    followed = request.model_copy(update={"followed": True})
    if request.asked is None:
        ask_for_run(connection, request)
    try:
        return Job(followed, run_no=run_no, environ={**environ, "PYSPARK_PYTHON": python}, log=log)
    except UnreachableError as error:
        end_request(connection, request, error.refusal)
        raise


def end_job(job: Job, database_url: str, campaign_id: int, *, actor: str, reason: str) -> bool:
    """Stop the job's run where it has made one, else end the job; return when its process is gone.

    Returns whether there is a run. A run is stopped in the database, with who and why; the job then records its answers
    and ends by itself.
    """
    with connect(database_url) as connection, reachable(database_url):

        def stopped() -> bool:
            if not job.has_run(connection):
                return False
            with suppress(RefusedError):  # it ended by itself just now
                ask_to_stop(connection, campaign_id, actor=actor, reason=reason)
            return True

        if stopped():
            job.wait()
            end_if_settled(connection, campaign_id, actor=actor)  # its driver may have died
            return True
        job.call_back(connection, Refusal("BY_SIGNAL"))
        job.terminate()
        job.wait()
        return stopped()  # it made its run at the last moment
