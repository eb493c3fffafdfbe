"""`bulkpoint agent`: takes start requests from the database, one at a time, and runs each as `campaign start` does.

For hosts with Spark; a page and people elsewhere only ask. An agent that dies leaves its job running, or the request to
the next agent: the request's holder is the driver, so of two jobs of one request only one can make the run.
"""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from bulkpoint.campaigns.asked_run import end_request
from bulkpoint.campaigns.left_request import expire_requests, take_next
from bulkpoint.campaigns.run_request import RunRequest, asker
from bulkpoint.errors import BulkpointError, UnreachableError
from bulkpoint.events.patience import Recovered, repeat
from bulkpoint.launch.before_spark import check_before_spark
from bulkpoint.launch.process import JOB_ENDS_S_MAX, RUN_APPEARS_S_MAX, Job, start_job
from bulkpoint.rules.lifecycle import RunKind
from bulkpoint.rules.refusals import Refusal
from bulkpoint.settings import Settings
from bulkpoint.store.agent import agent_ends, agent_lives
from bulkpoint.store.campaign import get_campaign
from bulkpoint.store.connect import Connection, DatabaseAwayError, Link

ANSWER_S_MAX = 10.0


@dataclass(frozen=True)
class Taken:
    """A request was taken, and its job started; log: its file."""

    campaign_id: int
    kind: RunKind
    actor: str
    run_no: int
    log: str


@dataclass(frozen=True)
class Ended:
    """The job of a request ended, with this exit code. why: where it made no run."""

    campaign_id: int
    run_no: int | None
    exit_code: int
    why: BulkpointError | None = None


@dataclass(frozen=True)
class Left:
    """What became of the request in hand when the agent ended: its run goes on, or it waits for the next agent."""

    campaign_id: int
    goes_on: bool


Seen = Taken | Ended | Recovered | UnreachableError


class Agent:
    """Takes requests and follows their jobs, within a `with` block; at its end a job that has made its run goes on, and
    a request whose run was not made waits again."""

    def __init__(self, settings: Settings, conninfo: str) -> None:
        self._settings = settings
        self._link = Link(conninfo, name="bulkpoint agent", answer_s_max=ANSWER_S_MAX, patience_s=0)
        self._request: RunRequest | None = None
        self._job: Job | None = None
        self._late_at = float("inf")  # when the job must have made its run, and once it was told to end, be gone
        self._told_to_end = False
        self._host, self._pid = socket.gethostname(), os.getpid()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with suppress(UnreachableError):
            self.let_go()
        with suppress(UnreachableError):
            self._link.ask(lambda connection: agent_ends(connection, host=self._host, pid=self._pid))
        self._link.close()

    def follow(self, *, once: bool = False) -> Iterator[Seen]:
        """What is taken and how it ends, for ever, or `once` until the one that there is has ended; and what is out of
        reach meanwhile. Raises UnreachableError `once` where nothing can be looked for."""
        for seen in repeat(self._turn, pause_s=lambda _: self._settings.agent_seconds):
            match seen:
                case Taken():
                    yield seen
                case Ended():
                    yield seen
                    if once:
                        return
                case UnreachableError() if once and self._request is None:
                    raise seen
                case Recovered() | UnreachableError():
                    yield seen
            if once and self._request is None:
                return

    def let_go(self) -> Left | None:
        """Follow the job no longer; None where there was none.

        A request whose run was not made waits again, and its job ends. Raises UnreachableError where the database
        cannot say whether it was: the job goes on.
        """
        request, job = self._request, self._job
        self._request = self._job = None
        if request is None:
            return None
        if job is not None and self._link.ask(job.has_run):
            return Left(request.campaign_id, goes_on=True)
        self._link.ask(lambda connection: end_request(connection, request, Refusal("BY_SIGNAL")))
        if job is not None:
            job.terminate()
            job.wait()
        return Left(request.campaign_id, goes_on=False)

    def _turn(self) -> Taken | Ended | None:
        """One look: at the job that is followed, else for a request. Raises UnreachableError."""
        self._link.ask(self._live)
        if self._job is not None:
            return self._look_at(self._job)
        if self._request is None:
            self._request = self._link.ask(take_next)
        return None if self._request is None else self._begin(self._request)

    def _live(self, connection: Connection) -> None:
        agent_lives(connection, host=self._host, pid=self._pid)
        expire_requests(connection, actor=asker(self._settings))

    def _begin(self, request: RunRequest) -> Taken | Ended:
        """Start the job. What this host lacks is the end of the request: who asked reads it, and asks again."""
        try:
            check_before_spark(self._settings, for_others=True)
            campaign = self._link.ask(lambda connection: get_campaign(connection, request.campaign_id))
            job = self._link.ask(lambda connection: start_job(connection, self._settings, campaign, request))
        except DatabaseAwayError:
            raise
        except BulkpointError as error:
            why = error
            self._link.ask(lambda connection: end_request(connection, request, why.refusal))
            self._request = None
            return Ended(request.campaign_id, None, error.exit_code, error)
        self._job, self._late_at, self._told_to_end = job, time.monotonic() + RUN_APPEARS_S_MAX, False
        return Taken(request.campaign_id, request.kind, request.actor, job.run_no, str(job.log))

    def _end_if_late(self, job: Job) -> None:
        """Of a job that makes no run, nothing is waited for without an end."""
        if time.monotonic() < self._late_at:
            return
        if self._told_to_end:
            job.kill()
        elif self._link.ask(job.has_run):
            self._late_at = float("inf")
        else:
            self._link.ask(lambda connection: job.call_back(connection, job.too_late().refusal))
            job.terminate()
            self._late_at, self._told_to_end = time.monotonic() + JOB_ENDS_S_MAX, True

    def _look_at(self, job: Job) -> Ended | None:
        exit_code, request = job.exit_code(), self._request
        if request is None:
            return None
        if exit_code is None:
            self._end_if_late(job)
            return None
        made_run = self._link.ask(job.has_run)
        why = None if made_run else job.failure()
        if why is not None:  # it may have been killed before it could say so
            self._link.ask(lambda connection: job.call_back(connection, why.refusal))
        self._job = self._request = None
        return Ended(request.campaign_id, job.run_no if made_run else None, exit_code, why)
