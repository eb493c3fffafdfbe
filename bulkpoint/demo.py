"""The demo: a campaign paid on this machine with a stand-in for the money API, and the proof.

It has no special case: the same job, database and limit as in production, in a separate folder.
"""

import csv
import os
import random
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO

from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from bulkpoint.campaigns.create import NewCampaign, create_campaign
from bulkpoint.campaigns.run_request import RunRequest
from bulkpoint.campaigns.start import plan_start
from bulkpoint.campaigns.stop import ask_to_stop, wait_until_ended
from bulkpoint.campaigns.watch import follow_run
from bulkpoint.database import connection_target
from bulkpoint.demo_proof import compare, print_proof, read_ledger, read_stats
from bulkpoint.embedded.kafka import embedded_kafka
from bulkpoint.errors import FailedError, RefusedError, UnreachableError
from bulkpoint.events.kafka import read_topic
from bulkpoint.events.message import build_message
from bulkpoint.extras import require_extra
from bulkpoint.launch.process import end_job, start_job
from bulkpoint.rules.lifecycle import RunState
from bulkpoint.rules.readiness import NO_LIMITS
from bulkpoint.settings import Settings, load_settings
from bulkpoint.store.audit import os_user
from bulkpoint.store.campaign import get_running_campaign, list_campaign_runs
from bulkpoint.store.connect import Connection, connect
from bulkpoint.store.limit import ensure_limit
from bulkpoint.store.migrate import migrate
from bulkpoint.store.outbox import Event
from bulkpoint.store.progress import summarize_run, summarize_run_number
from bulkpoint.store.proof import list_results, list_sends
from bulkpoint.views.format import local_time, state_words
from bulkpoint.views.progress import show_progress

NAME = "가을 감사 이벤트 / Thank-you points"
REASONS = ("가을 감사 포인트", "생일 축하 포인트", "Welcome back", '불편에 대한 사과, "1차"', "Review reward")
AMOUNTS = (100, 500, 1_000, 2_500, 10_000)
# Small, so that the demo takes about a minute, but with every kind of trouble: an unknown member, an answer that needs
# another try, and a credit whose answer is lost.
FAULTS = ("rejected=0.01", "unavailable=0.01", "credit_then_close=0.002")
FAULT_WORDS = "1 % of the members unknown to it, 1 % of calls put off, 0.2 % of answers lost after the credit"
LATENCY_MS = 50
PROGRAM_ENDS_S_MAX = 20.0
# A page that somebody forgot ends too.
PAGE_STAYS_S_MAX = 3_600.0
READY = "sandbox money on "
EVENT_FIGURES = ("expected_count", "target_count", "percent", "success", "failed", "unknown")
SEED = 20_260_101


def run_demo(*, targets: int, tps: int) -> None:
    """Pay `targets` members at `tps` calls a second, say how it went, prove it.

    Raises a BulkpointError where the run does not complete or the proof fails.
    """
    require_extra("demo")
    folder = load_settings().data_dir / "demo"
    environ = _environment(folder, tps)
    console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 100)
    console.rule("[bold]bulkpoint demo", align="left")
    _clear(folder)
    with ExitStack() as stack:
        money_url = stack.enter_context(_sandbox(folder))
        environ["BULKPOINT_MONEY_URL"] = money_url
        environ["BULKPOINT_KAFKA_BOOTSTRAP_SERVERS"] = stack.enter_context(embedded_kafka(folder / "kafka")).bootstrap
        settings = load_settings(environ)
        database = stack.enter_context(connection_target(settings))
        connection = stack.enter_context(connect(database.url))
        _drop_everything(connection)
        migrate(database.url)
        console.print(f"money        a stand-in on {money_url}, {LATENCY_MS} ms an answer;")
        console.print(f"             {FAULT_WORDS}")
        console.print(f"database     an embedded PostgreSQL in {_short(folder)}")
        console.print(f"events       to an Apache Kafka of one node on {settings.kafka_bootstrap_servers}")

        file = folder / "targets.csv"
        _write_targets(file, targets)
        new = NewCampaign(NAME, note="bulkpoint demo")
        campaign_id = create_campaign(connection, new, actor=os_user(), limits=NO_LIMITS, targets=file)
        console.print(
            f"campaign     {campaign_id}: {targets:,} members from {file.name}, at most {tps:,} calls a second"
        )
        page = stack.enter_context(_page(folder, environ))
        console.print(f"page         {page}")
        console.print("             open it in a browser on this machine; the address works once")
        console.print("starting     Spark, the freeze, then the payments ...\n")

        run = _pay(connection, database.url, campaign_id, settings=settings, environ=environ)
        summary = summarize_run(connection, _run_id(connection, campaign_id, run))
        message = build_message(summary, language=settings.language)
        console.print()
        console.print(slack_box(message.text), soft_wrap=False)
        console.print()
        _print_events(console, settings, read_topic(settings, key=campaign_id))

        compared = compare(list_results(connection, campaign_id), read_ledger(money_url))
        print_proof(console, compared, list_sends(connection, campaign_id), read_stats(money_url), tps)
        _print_next(console, folder, file)
        _stay(console, connection, settings, folder, environ)
    if not compared.equal:
        raise RefusedError("DEMO_PROOF_FAILED")


def _environment(folder: Path, tps: int) -> dict[str, str]:
    """No production settings, only what this machine needs to work and people need to read."""
    kept = (
        "BULKPOINT_JDBC_JAR",
        "BULKPOINT_POSTGRES_JAR",
        "BULKPOINT_LANGUAGE",
        "BULKPOINT_TIMEZONE",
        "BULKPOINT_PROGRESS_SECONDS",
    )
    environ = {name: value for name, value in os.environ.items() if not name.startswith("BULKPOINT_") or name in kept}
    folder.mkdir(parents=True, exist_ok=True)
    no_file = folder / "none.toml"
    no_file.write_text("# The demo takes no settings from a file.\n")
    return environ | {
        "BULKPOINT_CONF": str(no_file),
        "BULKPOINT_DATA_DIR": str(folder),
        "BULKPOINT_TPS": str(tps),
        "BULKPOINT_MAX_FAILED_RATIO": "1",
    }


def _clear(folder: Path) -> None:
    """Delete what an earlier demo left, except PostgreSQL: making one takes seconds."""
    shutil.rmtree(folder / "kafka", ignore_errors=True)
    for old in ("ledger", "targets.csv"):
        for path in folder.glob(f"{old}*"):
            path.unlink()
    shutil.rmtree(folder / "logs", ignore_errors=True)


def _drop_everything(connection: Connection) -> None:
    """Drop all tables of the demo's own database. It is here, so that nothing else in bulkpoint can do it."""
    with connection.transaction():
        connection.execute("drop schema public cascade")
        connection.execute("create schema public")


def _write_targets(file: Path, count: int) -> None:
    dice = random.Random(SEED)  # noqa: S311 (a demo, and the same one each time)
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("member_id", "amount", "reason"))
        for number in range(1, count + 1):
            writer.writerow((f"member-{number:07}", dice.choice(AMOUNTS), dice.choice(REASONS)))


@contextmanager
def _sandbox(folder: Path) -> Iterator[str]:
    """The stand-in for the money API; gives its address."""
    arguments = ["--ledger", str(folder / "ledger"), "--latency-ms", str(LATENCY_MS), "--seed", str(SEED)]
    for fault in FAULTS:
        arguments += ["--fault", fault]
    with _beside("sandbox", "serve", "--port", "0", *arguments, log=folder / "sandbox.log", environ=os.environ) as said:
        line = said.readline().strip()
        if not line.startswith(READY):
            last = (folder / "sandbox.log").read_text().strip()
            raise UnreachableError("DEMO_SANDBOX_DID_NOT_START", why=last or line)
        yield line.removeprefix(READY)


@contextmanager
def _page(folder: Path, environ: dict[str, str]) -> Iterator[str]:
    """The page; gives the address that lets one browser in."""
    log = folder / "page.log"
    with _beside("web", "--port", "0", log=log, environ=environ) as said:
        address = said.readline().strip()
        if not address.startswith("http://127.0.0.1:"):
            raise UnreachableError("DEMO_PAGE_DID_NOT_START", why=log.read_text().strip() or address)
        yield address


@contextmanager
def _beside(*command: str, log: Path, environ: Mapping[str, str]) -> Iterator[IO[str]]:
    """A program of ours in a process that ends when the block or this process ends; gives its stdout."""
    program = [sys.executable, "-m", "bulkpoint.cli.main", *command, "--exit-with-parent"]
    with log.open("w") as stderr:
        process = subprocess.Popen(
            program, stdout=subprocess.PIPE, stderr=stderr, text=True, start_new_session=True, env=environ
        )
    try:
        assert process.stdout is not None
        yield process.stdout
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(PROGRAM_ENDS_S_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _pay(connection: Connection, url: str, campaign_id: int, *, settings: Settings, environ: dict[str, str]) -> int:
    """Run the job to its end; however this function ends, no process of the job is left."""
    ensure_limit(connection, tps=settings.tps, shares=1, actor=os_user())
    plan = plan_start(connection, settings, RunRequest(campaign=campaign_id, actor=os_user()))
    job = start_job(connection, settings, plan.campaign, plan.request, environ=environ)
    try:
        job.wait_until_run(connection)
        show_progress(
            follow_run(url, campaign_id, alive=job.alive),
            campaign_id=campaign_id,
            name=NAME,
            timezone=settings.timezone,
            every_s=settings.progress_seconds,
            stream=sys.stdout,
        )
        job.wait()
    except BaseException:
        end_job(job, url, campaign_id, actor=os_user(), reason="the demo was ended")
        raise
    summary = summarize_run_number(connection, campaign_id, job.run_no)
    if summary.state != RunState.COMPLETED:
        raise FailedError(
            "DEMO_RUN_NOT_COMPLETED",
            state=state_words(summary.state),
            why=summary.reason or "-",
            log=str(job.log),
            last_lines=job.last_lines(),
        )
    return job.run_no


def _run_id(connection: Connection, campaign_id: int, run: int) -> int:
    return next(listed.run_id for listed in list_campaign_runs(connection, campaign_id) if listed.run_no == run)


def _print_events(console: Console, settings: Settings, events: Sequence[Event]) -> None:
    table = Table(show_edge=False, title_justify="left", title_style="bold", box=None, pad_edge=False)
    table.title = f"Events on the topic {settings.kafka_topic}, as another team reads them"
    table.add_column("no", justify="right", header_style="dim")
    table.add_column("type", header_style="dim")
    table.add_column("at", header_style="dim")
    table.add_column("data", header_style="dim")
    for event in events:
        shown = {name: event.data[name] for name in EVENT_FIGURES if name in event.data}
        at = local_time(event.occurred_at, settings.timezone)
        table.add_row(
            str(event.event_no), event.type, at, ", ".join(f"{name} {value:,}" for name, value in shown.items())
        )
    console.print(table)
    console.print()


def slack_box(text: str) -> Panel:
    """The message as Slack would show it: a line that is too long is wrapped, so that no command is cut."""
    return Panel(Text(text), title="Slack", title_align="left", expand=False, padding=(1, 3))


def _print_next(console: Console, folder: Path, file: Path) -> None:
    program = _short(Path(sys.argv[0]).absolute()) if Path(sys.argv[0]).name == "bulkpoint" else "bulkpoint"
    console.print("\n[bold]What to try next[/]")
    for what, command in (
        ("this campaign, until the next demo", f"BULKPOINT_DATA_DIR={_short(folder)} {program} campaign show 1"),
        ("first, a stand-in for money", f"{program} sandbox serve --fault unavailable=0.05 &"),
        ("then a campaign of your own", f"{program} campaign create --name Spring --targets {_short(file)}"),
        ("pay it, live", f"{program} campaign start next"),
        ("the limit, from another terminal", f"{program} tps set 100"),
    ):
        console.print(f"  [dim]{what:<40}[/]{command}", soft_wrap=True, highlight=False)


def _stay(console: Console, connection: Connection, settings: Settings, folder: Path, environ: dict[str, str]) -> None:
    """Where a person is at the terminal, the page stays until they have seen enough; what they start there is paid."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return
    with _beside("agent", log=folder / "agent.log", environ=environ):
        console.print(
            "\nThe page stays open: make a campaign of your own there, and start it. Press Enter to end the demo."
        )
        select.select([sys.stdin], [], [], PAGE_STAYS_S_MAX)
    running = get_running_campaign(connection)
    if running is not None:
        console.print(f"Campaign {running.campaign_id} still runs; it is stopped ...")
        with suppress(RefusedError):  # it has ended just now
            ask_to_stop(connection, running.campaign_id, actor=os_user(), reason="the demo was ended")
            wait_until_ended(connection, settings, running.campaign_id, actor=os_user())


def _short(path: Path) -> Path:
    """Relative to the working directory, if it is inside."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
