"""Commands that meet, fifty times each, on connections of their own: what wins is told, what loses is refused."""

import random
import threading
from collections.abc import Callable, Iterator
from functools import partial

import psycopg
import pytest

from bulkpoint.campaigns.runs import end_run
from bulkpoint.errors import BulkpointError
from bulkpoint.rules.lifecycle import RunKind, RunState
from bulkpoint.store.connect import Connection, connect
from bulkpoint.store.run import Run
from bulkpoint.views.sentences import sentence
from tests.world.campaigns import Campaign, World
from tests.world.stops import stop_run

RACES = 50
TARGETS = 3


@pytest.fixture
def dice() -> random.Random:
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")
    return random.Random(seed)


class Course:
    """Two or more connections that let go at the same moment, over and over."""

    def __init__(self, database_url: str, dice: random.Random) -> None:
        self._connections = [connect(database_url) for _ in range(4)]
        self._dice = dice

    def run(self, *acts: Callable[[Connection], object]) -> list[str | None]:
        """Do all of them at once, each at a moment within a few milliseconds; what refused each, none where it won."""
        outcomes: list[str | None] = ["never ended"] * len(acts)
        barrier = threading.Barrier(len(acts))
        delays = [self._dice.random() * 0.004 for _ in acts]

        def act(number: int) -> None:
            pause = threading.Event()
            barrier.wait()
            pause.wait(delays[number])
            try:
                acts[number](self._connections[number])
                outcomes[number] = None
            except (BulkpointError, psycopg.Error) as error:
                outcomes[number] = sentence(error) if isinstance(error, BulkpointError) else str(error)

        racers = [threading.Thread(target=act, args=(number,)) for number in range(len(acts))]
        for racer in racers:
            racer.start()
        for racer in racers:
            racer.join(30)
        return outcomes

    def close(self) -> None:
        for connection in self._connections:
            connection.close()


@pytest.fixture
def course(database_url: str, dice: random.Random) -> Iterator[Course]:
    course = Course(database_url, dice)
    yield course
    course.close()


def begin(connection: Connection, campaign: Campaign, kind: RunKind = RunKind.INITIAL) -> None:
    campaign.on(connection).begun(kind)


def end_what_runs(connection: Connection) -> None:
    row = connection.execute("select campaign_id from campaign_run where state = 'RUNNING'").fetchone()
    if row is not None:
        stop_run(connection, row[0], actor="tester")


def states(connection: Connection, campaign_id: int) -> list[str]:
    rows = connection.execute(
        "select state::text from campaign_run where campaign_id = %s order by run_no", (campaign_id,)
    )
    return [state for (state,) in rows.fetchall()]


def told(connection: Connection, campaign_id: int) -> list[str]:
    """Events of a campaign; each has its audit row."""
    events = connection.execute(
        "select type from outbox_event where campaign_id = %s order by event_no", (campaign_id,)
    )
    noted = connection.execute("select count(*) from audit_event where campaign_id = %s", (campaign_id,)).fetchone()
    types = [kind.removeprefix("campaign.") for (kind,) in events.fetchall()]
    types = [kind for kind in types if kind != "progressed"]
    assert noted == (len(types),)
    return types


def test_of_starts_of_one_and_of_several_campaigns_one_wins(
    connection: Connection, world: World, course: Course
) -> None:
    for _ in range(RACES):
        one, other = world.campaign(TARGETS), world.campaign(TARGETS)
        entries = [one, one, other, other]
        outcomes = course.run(*(partial(begin, campaign=entry) for entry in entries))
        assert outcomes.count(None) == 1, outcomes
        won = entries[outcomes.index(None)]
        assert all("RUNNING" in refused for refused in outcomes if refused is not None), outcomes
        assert told(connection, won.id) == ["started"]
        assert told(connection, one.id if won == other else other.id) == []
        payments = connection.execute("select distinct campaign_id from payment").fetchall()
        assert (won.id,) in payments
        end_what_runs(connection)


def test_of_a_stop_and_the_end_one_is_told(connection: Connection, world: World, course: Course) -> None:
    for _ in range(RACES):
        campaign = world.campaign(TARGETS).begun().paid(TARGETS)
        campaign_id, run = campaign.id, campaign.run
        stopped, ended = course.run(
            partial(stop_run, campaign_id=campaign_id, actor="tester"),
            partial(end_run, run=run, state=RunState.COMPLETED),
        )
        assert ended is None, "the driver is not refused: it learns that the run had ended"
        assert stopped is None or "ended by itself just now" in stopped or "is COMPLETED" in stopped
        assert told(connection, campaign_id) == ["started", states(connection, campaign_id)[0].lower()]


def test_of_a_retry_and_a_resume_only_the_one_that_fits_begins(
    connection: Connection, world: World, course: Course, dice: random.Random
) -> None:
    for _ in range(RACES):
        campaign = world.campaign(TARGETS).begun()
        campaign_id, run = campaign.id, campaign.run
        completes = dice.random() < 0.5
        if completes:
            campaign.paid(TARGETS - 2).failed(2, "UNAVAILABLE")
        retry, resume = (partial(begin, campaign=campaign, kind=kind) for kind in (RunKind.RETRY, RunKind.RESUME))

        def end(
            own: Connection, *, run: Run = run, campaign_id: int = campaign_id, completes: bool = completes
        ) -> None:
            if completes:
                end_run(own, run, RunState.COMPLETED)
            else:
                stop_run(own, campaign_id, actor="tester")

        outcomes = course.run(end, retry, resume, retry if completes else resume)
        fitting = "retried" if completes else "resumed"
        events = told(connection, campaign_id)
        began = [number for number in (1, 2, 3) if outcomes[number] is None]
        assert events == ["started", "completed" if completes else "stopped", *[fitting] * len(began)], outcomes
        assert len(began) <= 1, outcomes
        assert set(began) <= ({1, 3} if completes else {2, 3}), outcomes
        counts = connection.execute(
            "select pending, processing, success, failed from campaign_count where campaign_id = %s", (campaign_id,)
        ).fetchone()
        assert counts is not None
        assert sum(counts) == TARGETS
        assert counts[0] == (0 if completes and not began else 2 if completes else TARGETS)
        end_what_runs(connection)


def test_of_a_freeze_and_a_loader_no_row_is_lost(
    connection: Connection, world: World, course: Course, dice: random.Random
) -> None:
    loaded_after_all = frozen = 0
    for _ in range(RACES):
        campaign = world.campaign(TARGETS)

        def load(own: Connection, *, campaign: Campaign = campaign) -> None:
            with own.transaction():
                campaign.on(own).loaded([("late", 1, "r")])
                threading.Event().wait(dice.random() * 0.004)

        starts, loads = course.run(partial(begin, campaign=campaign), load)
        rows = connection.execute(
            "select (select count(*) from campaign_target where campaign_id = %(id)s),"
            " (select count(*) from payment where campaign_id = %(id)s)",
            {"id": campaign.id},
        ).fetchone()
        if starts is None:
            frozen += 1
            assert "was frozen" in str(loads)
            assert rows == (TARGETS, TARGETS)
        else:
            loaded_after_all += 1
            assert loads is None
            assert f"{TARGETS + 1} and {TARGETS + 1} are loaded" in starts
            assert rows == (TARGETS + 1, 0)
        end_what_runs(connection)
    assert frozen + loaded_after_all == RACES
    print(f"the freeze came first {frozen} times, the loader {loaded_after_all} times")
