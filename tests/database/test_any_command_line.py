"""No command line and no stream whatever gives a traceback or an end that is not documented: tried at random."""

import io
import os
import random
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import click
import pytest
from rich.console import Console

from bulkpoint.cli.main import bulkpoint
from bulkpoint.errors import BulkpointError
from bulkpoint.launch.command_line import read_request, submit
from bulkpoint.settings import Settings
from bulkpoint.store.connect import connect
from bulkpoint.store.progress import sample_progress
from bulkpoint.views.progress import Ticker, live_display
from tests.world.campaigns import World
from tests.world.odd_lines import STDINS, STREAMS, TEXTS, Case, End, named_commands, odd_files, odd_lines, run_case

# More of them, and other ones: TEST_ODD_LINES=2000 TEST_SEED=7
CASES = int(os.environ.get("TEST_ODD_LINES", "48"))
SEED = int(os.environ.get("TEST_SEED", random.randrange(10**6)))
CODES = {0, 2, 3, 4, 5, 6, 128 + 2, 128 + 13, 128 + 15}
# These run for minutes where nothing is wrong with their line.
LONG = {("demo",), ("sandbox", "serve"), ("agent",), ("web",)}
LOOKS = ("settings", "doctor", "campaign list", "tps show", "notify", "outbox relay", "campaign history 1")


@pytest.fixture
def paid(world: World) -> World:
    """A campaign that ran and a campaign that waits."""
    return with_campaigns(world)


@pytest.fixture(scope="module")
def environ_of_module(database_url_of_module: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The same campaigns, for lines that change nothing."""
    with connect(database_url_of_module) as connection:
        with_campaigns(World(connection))
    return environ_of(database_url_of_module, tmp_path_factory.mktemp("lines"))


@pytest.fixture
def environ(database_url: str, tmp_path: Path) -> dict[str, str]:
    return environ_of(database_url, tmp_path)


def with_campaigns(world: World) -> World:
    world.campaign([("a", 1, "r"), ("=b", 2, "봄"), ("c", 3, "r")]).begun().paid(1).ended("FAILED")
    world.campaign([("a", 1, "r")])
    return world


def environ_of(database_url: str, folder: Path) -> dict[str, str]:
    """Nothing that a command line starts gets as far as Spark or a money API."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BULKPOINT_")}
    return kept | {
        "BULKPOINT_DATABASE_URL": database_url,
        "BULKPOINT_DATA_DIR": str(folder / "data"),
        "BULKPOINT_JDBC_JAR": "/nowhere/driver.jar",
        "BULKPOINT_MONEY_URL": "http://127.0.0.1:1",
        "BULKPOINT_BREAKER_PATIENCE_S": "1",
    }


@pytest.fixture
def files(tmp_path: Path) -> Mapping[str, bytes]:
    folder = tmp_path / "files"
    folder.mkdir()
    return odd_files(folder)


def odd_files_of(folder: Path) -> Mapping[str, bytes]:
    """Paths that nothing opens."""
    return {"text": os.fsencode(folder / "text"), "bytes": b"\xff"}


def assert_documented(case: Case, end: End, *, has_a_sentence: bool = True) -> None:
    seen = f"seed {SEED}: {case}\nended with {end.code}\n{end.stdout[-500:]!r}\n{end.stderr.decode(errors='replace')}"
    assert end.code in CODES, seen
    assert b"Traceback" not in end.stdout + end.stderr, seen
    assert b'"DEFECT"' not in end.stdout, seen
    if end.code in {2, 3, 6} and (case.stdout, case.stderr) == ("file", "file") and has_a_sentence:
        assert b"bulkpoint: " in end.stderr or end.stdout, seen


def test_no_words_and_no_stream_give_a_traceback(
    paid: World, environ: dict[str, str], files: Mapping[str, bytes], tmp_path: Path
) -> None:
    chance = random.Random(SEED)
    print(f"seed {SEED}")
    commands = [(path, command) for path, command in named_commands(bulkpoint) if path not in LONG]
    for number in range(CASES):
        path, command = commands[number % len(commands)]
        is_group = isinstance(command, click.Group)
        words = [word.encode() for word in path] if is_group else list(odd_lines(path, command, files, chance))
        if chance.random() < 0.5 and not {b"--json", b"--"} & set(words):
            words.append(b"--json")
        case = Case(
            tuple(words),
            stdin=chance.choice(STDINS),
            stdout=chance.choice(STREAMS),
            stderr=chance.choice((*STREAMS, "file", "file", "file")),
            encoding=chance.choice(("utf-8", "utf-8", "ascii")),
        )
        assert_documented(case, run_case(case, environ, tmp_path / "files"), has_a_sentence=not is_group)


def test_no_line_of_a_scheduler_gives_anything_but_a_request_or_a_refusal(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    for _ in range(20 * CASES):
        words = [os.fsdecode(word) for word in odd_lines((), submit, odd_files_of(tmp_path), chance)]
        with suppress(BulkpointError):
            read_request(words)


def test_no_value_of_a_setting_or_of_the_environment_gives_a_traceback(
    paid: World, environ: dict[str, str], files: Mapping[str, bytes], tmp_path: Path
) -> None:
    chance = random.Random(SEED)
    print(f"seed {SEED}")
    names = [f"BULKPOINT_{name.upper()}" for name in Settings.model_fields if name != "database_url"]
    names += ["USER", "HOME", "COLUMNS", "TERM", "PGPASSFILE", "PGHOST", "SPARK_HOME", "TMPDIR", "XDG_CACHE_HOME"]
    for name in chance.sample(names, min(len(names), CASES // 3)):
        value = chance.choice([*TEXTS[:-1], *files.values()])
        case = Case(tuple(chance.choice(LOOKS).encode().split()), {name.encode(): value})
        assert_documented(case, run_case(case, environ, tmp_path / "files"), has_a_sentence=name != "HOME")


@pytest.mark.parametrize("columns", [b"1", b"x"])
def test_a_terminal_may_be_as_narrow_as_it_likes(
    paid: World, environ: dict[str, str], files: Mapping[str, bytes], tmp_path: Path, columns: bytes
) -> None:
    paid.connection.execute("update campaign set name = %s", ("추석 맞이 감사 적립 " * 8,))
    listed = files["list.csv"]
    for line in (b"campaign list", b"campaign show 1", b"campaign preview 2", b"campaign preview --targets " + listed,
                 b"campaign history 1", b"audit log", b"right list", b"settings", b"--help"):  # fmt: skip
        case = Case(tuple(line.split()), {b"COLUMNS": columns})
        end = run_case(case, environ, tmp_path / "files")
        assert (end.code, end.stdout != b"") == (0, True), (line, end.stderr.decode())
    console = Console(file=io.StringIO(), force_terminal=True, width=1)
    sample = sample_progress(paid.connection, 1)
    console.print(live_display(Ticker().tick(sample), "추석", "UTC"))


STARTED = Case((b"campaign", b"start", b"2", b"--yes"))


@pytest.mark.parametrize(
    ("case", "code", "words"),
    [
        (Case((b"campaign", b"create", b"--name", b"\xff\xb8")), 2, b"--name is not UTF-8"),
        (Case((b"campaign", b"withdraw", b"2", b"--reason", b"\xea\xb0")), 2, b"--reason is not UTF-8"),
        (Case((b"campaign", b"start", b"2", b"--yes", b"--reason", b"\xff")), 2, b"--reason is not UTF-8"),
        (Case((b"campaign", b"show", b"9" * 30)), 2, b"more than can be counted"),
        (Case((b"campaign", b"start", b"9" * 5000)), 2, b"is no campaign"),
        (replace(STARTED, stdin="closed"), 2, b"driver.jar"),
        (replace(STARTED, arguments=STARTED.arguments[:3], stdin="closed"), 2, b"Add --yes"),
        (replace(STARTED, stderr="full"), 2, b""),
        (replace(STARTED, stdout="closed", stderr="closed"), 2, b""),
        (Case((b"campaign", b"list"), stdout="full"), 6, b"cannot be written to stdout: No space left on device"),
        (Case((b"campaign", b"list"), stdout="closed"), 6, b"cannot be written to stdout"),
        (Case((b"campaign", b"list"), stdout="gone"), 141, b""),
        (Case((b"campaign", b"list", b"--json"), stdout="full"), 6, b"cannot be written to stdout"),
        (Case((b"campaign", b"show", b"9", b"--json"), stdout="full"), 3, b"There is no campaign 9"),
        (Case((b"report", b"1", b"--format", b"csv"), stdout="full"), 6, b"cannot be written to stdout"),
        (Case((b"report", b"1", b"--format", b"parquet"), stdout="full"), 6, b"cannot be written to stdout"),
        (Case((b"report", b"1", b"--format", b"html"), stdout="full"), 6, b"cannot be written to stdout"),
        (Case((b"report", b"1", b"--format", b"csv"), stdout="gone"), 141, b""),
        (Case((b"--help",), stdout="full"), 6, b"cannot be written to stdout"),
    ],
)  # fmt: skip
def test_the_lines_that_were_tracebacks_have_their_codes_and_sentences(
    environ_of_module: dict[str, str],
    files: Mapping[str, bytes],
    tmp_path: Path,
    case: Case,
    code: int,
    words: bytes,
) -> None:
    end = run_case(case, environ_of_module, tmp_path / "files")
    assert end.code == code, end.stderr.decode()
    assert words in end.stderr, end.stderr.decode()
    assert_documented(case, end)


def test_a_campaign_whose_id_cannot_be_printed_is_named_on_stderr(
    world: World, environ: dict[str, str], files: Mapping[str, bytes], tmp_path: Path
) -> None:
    words = ("campaign", "create", "--name", "봄", "--targets", os.fsdecode(files["list.csv"]))
    end = run_case(Case(tuple(map(os.fsencode, words)), stdout="full"), environ, tmp_path / "files")
    assert end.code == 6
    assert b"\ncreated campaign 1\n" in end.stderr


def test_a_file_that_there_is_no_room_for_is_named_and_not_half_there(
    paid: World, environ: dict[str, str], files: Mapping[str, bytes], tmp_path: Path
) -> None:
    folder = tmp_path / "files"
    wrong = folder / "wrong.csv"
    wrong.write_text("member_id,amount,reason\n" + "".join(f"m{n},0,r\n" for n in range(2_000)))
    for command in (b"campaign preview", b"campaign create --name T"):
        for errors, full in ((b"/dev/full", None), (os.fsencode(folder / "errors.csv"), 4_096)):
            words = (*command.split(), b"--targets", os.fsencode(wrong), b"--errors", errors)
            end = run_case(Case(words, file_bytes_max=full), environ, folder)
            assert end.code == 2
            assert errors + b" cannot be written: " in end.stderr, end.stderr.decode()
    old = folder / "report.html"
    old.write_text("the one of yesterday")
    for kind in (b"html", b"parquet", b"csv"):
        words = (b"report", b"1", b"--format", kind, b"--out", os.fsencode(old))
        end = run_case(Case(words, file_bytes_max=256), environ, folder)
        assert (end.code, old.read_text()) == (2, "the one of yesterday")
        assert b"report.html cannot be written: " in end.stderr, end.stderr.decode()
    assert not list(folder.glob("*.part"))


def test_a_time_in_the_past_is_said_and_taken(
    world: World, environ: dict[str, str], files: Mapping[str, bytes], tmp_path: Path
) -> None:
    words = b"campaign create --name T --expect-count 1 --expect-amount 1 --not-before 2020-01-31T18:00".split()
    end = run_case(Case(tuple(words)), environ, tmp_path / "files")
    assert (end.code, end.stdout) == (0, b"created campaign 1\n")
    assert b"--not-before 2020-01-31 18:00:00 is in the past: the campaign may start at once.\n" in end.stderr


def test_an_end_that_says_more_than_its_result_keeps_its_code_where_that_cannot_be_printed(
    world: World, environ: dict[str, str], files: Mapping[str, bytes], tmp_path: Path
) -> None:
    for stdout in ("full", "closed"):
        words = (b"campaign", b"preview", b"--targets", files["wrong.csv"])
        end = run_case(Case(words, stdout=stdout), environ, tmp_path / "files")
        assert end.code == 3
        assert b"cannot be written to stdout" in end.stderr
        assert b"in wrong.csv" in end.stderr


def test_a_list_may_have_a_name_of_bytes(
    world: World, environ: dict[str, str], files: Mapping[str, bytes], tmp_path: Path
) -> None:
    words = (b"campaign", b"create", b"--name", b"T", b"--targets", files["name of bytes"])
    end = run_case(Case(words), environ, tmp_path / "files")
    assert (end.code, end.stdout) == (0, b"created campaign 1\n"), end.stderr.decode()
    for look in (b"campaign history 1", b"audit log --json"):
        end = run_case(Case(tuple(look.split())), environ, tmp_path / "files")
        assert_documented(Case(tuple(look.split())), end)
