"""Command lines that nobody meant, and streams that nobody wants: made at random from a seed, for every command."""

import os
import random
import resource
import socket
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, NoReturn

import click

from bulkpoint.launch.command_line import StartCommand
from tests.world.forks import FORKS

SECONDS_MAX = 60.0

# As a shell would pass them; NUL cannot come through exec. Every kind has its reason: a byte that begins no character,
# half a character, a surrogate in UTF-8, a character beyond the BMP, what turns a line around, what moves a cursor.
TEXTS = (
    b"", b" ", b"a", b"\xff\xb8", b"\xea\xb0", b"\xed\xa0\x80", "회원".encode(), "😀".encode(), "\u202e".encode(),
    "\ufeff".encode(), b"\x1b[2J", b"a\nb", b"\r", b"\t", b"-", b"--", b"=1+1", b"'; drop table campaign; --", b"%s{0}",
    b"\\", b"x" * 201, b"y" * 100_000,
)  # fmt: skip
NUMBERS = (
    b"0", b"1", b"-1", b"999", b"9223372036854775807", b"9223372036854775808", b"-9223372036854775809", b"9" * 400,
    b"9" * 5000, b"1e3", b"1.5", b"0x10", b"1_000", "１".encode(), b"NaN", b"", b" 1", b"+1",
)  # fmt: skip
TIMES = (
    b"18:00", b"24:00", b"2026-02-30T10:00", b"0001-01-01T00:00", b"9999-12-31T23:59", b"2026-01-31T18:00+99:00",
    b"2099-01-01T00:00", b"soon", b"1" * 30,
)  # fmt: skip
STDINS = ("null", "null", "closed", "text")
STREAMS = ("file", "file", "file", "closed", "full", "gone", "read only")


@dataclass(frozen=True)
class Case:
    """One command line with its streams; environ: changes, by bytes; file_bytes_max: no file can get larger."""

    arguments: tuple[bytes, ...]
    environ: Mapping[bytes, bytes] = field(default_factory=dict)
    stdin: str = "null"
    stdout: str = "file"
    stderr: str = "file"
    encoding: str = "utf-8"
    file_bytes_max: int | None = None


@dataclass(frozen=True)
class End:
    """What a case came to; what was written where nothing can be read is empty."""

    code: int
    stdout: bytes
    stderr: bytes


def odd_files(folder: Path) -> dict[str, bytes]:
    """Paths of every kind, by their kind, made in this folder."""
    inside = os.fsencode(folder)
    found = {
        "missing": inside + b"/missing", "folder": inside, "device": b"/dev/zero", "full": b"/dev/full",
        "under a file": inside + b"/text/under", "empty name": b"", "long name": inside + b"/" + b"n" * 300,
        "stdin": b"/dev/stdin", "stderr": b"/dev/fd/2",
    }  # fmt: skip
    for name, content in (
        ("text", b"member_id,amount,reason\nm1,5,r\n"), ("empty", b""), ("bytes", b"\xff\x00\xfe\x80" * 99),
        ("list.csv", b"member_id,amount,reason\nm1,5,r\nm2,6,r\n"), ("wrong.csv", b"member_id,amount,reason\nm1,0,\n"),
        ("list.parquet", b"PAR1 and nothing more"), ("list.xlsx", b"PK\x03\x04 and nothing more"),
    ):  # fmt: skip
        (folder / name).write_bytes(content)
        found[name] = os.fsencode(folder / name)
    os.mkfifo(folder / "pipe.csv")
    (folder / "loop.csv").symlink_to(folder / "loop.csv")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(folder / "socket.csv"))
    odd = inside + b"/\xff\xb8.csv"
    with open(odd, "wb") as stream:  # noqa: PTH123 (a name that is no text)
        stream.write(b"member_id,amount,reason\nm1,5,r\n")
    locked = folder / "locked.csv"
    locked.write_bytes(b"x")
    locked.chmod(0)
    for name in ("pipe.csv", "loop.csv", "socket.csv", "locked.csv"):
        found[name] = inside + b"/" + name.encode()
    return found | {"name of bytes": odd}


# What is there and may be: so that one odd word meets everything behind the others, too.
SOUND = {
    "ID": b"1", "N": b"3", "TIME": b"2099-01-01T00:00", "ID|next": b"1", "T": b"a", "M": b"m1", "D": b"ab" * 32,
    "HEX": b"ab" * 32, "C": b"X", "OURS=THEIRS,...": b"amount=points", "WORD=CLASS": b"ok=credited",
}  # fmt: skip


def odd_lines(
    path: tuple[str, ...], command: click.Command, files: Mapping[str, bytes], chance: random.Random
) -> tuple[bytes, ...]:
    """The words of one command line of this command."""
    parameters = (
        command.get_params(click.Context(command)) if isinstance(command, StartCommand) else list(command.params)
    )
    words = [word.encode() for word in path]
    share_odd = chance.choice((0.0, 0.15, 0.15, 0.5))
    for parameter in parameters:
        if parameter.name in {"follow", "help"} or (not parameter.required and chance.random() < 0.6):
            continue
        odd = chance.random() < share_odd
        value = _value(parameter, files, chance) if odd else _sound_value(parameter, files)
        if isinstance(parameter, click.Argument):
            words.append(value)
        elif isinstance(parameter, click.Option):
            words.append(max(parameter.opts, key=len).encode())
            if not parameter.is_flag:
                words.append(value)
    if chance.random() < 0.05:
        words.append(chance.choice(TEXTS))
    return tuple(words)


def _sound_value(parameter: click.Parameter, files: Mapping[str, bytes]) -> bytes:
    if isinstance(parameter.type, click.Path):
        return files["list.csv"] if parameter.type.exists else files["missing"]
    if isinstance(parameter.type, click.Choice):
        return str(next(iter(parameter.type.choices))).encode()
    return SOUND.get(parameter.metavar or "", b"1")


def _value(parameter: click.Parameter, files: Mapping[str, bytes], chance: random.Random) -> bytes:
    if isinstance(parameter.type, click.Path):
        return chance.choice([*files.values()])
    if isinstance(parameter.type, click.Choice) and chance.random() < 0.7:
        return str(chance.choice(list(parameter.type.choices))).encode()
    kinds: list[tuple[bytes, ...]] = [TEXTS, NUMBERS]
    if parameter.metavar == "TIME":
        kinds.append(TIMES)
    if "int" in parameter.type.name or parameter.metavar in {"ID", "N", "ID|next"}:
        kinds.append((b"1", b"2", b"3"))
    return chance.choice(chance.choice(kinds))


def run_case(case: Case, environ: Mapping[str, str], folder: Path) -> End:
    """To its end, in a process that is forked from one that has everything loaded."""
    with tempfile.TemporaryDirectory() as name:
        output, errors = Path(name) / "stdout", Path(name) / "stderr"
        process = FORKS.Process(target=_run, args=(case, dict(environ), folder, output, errors))
        process.start()
        process.join(SECONDS_MAX)
        if process.exitcode is None:
            process.kill()
            raise AssertionError(f"{case} did not end in {SECONDS_MAX:g} s")
        code = process.exitcode if process.exitcode >= 0 else 128 - process.exitcode
        return End(code, *(path.read_bytes() if path.exists() else b"" for path in (output, errors)))


def _run(case: Case, environ: Mapping[str, str], folder: Path, output: Path, errors: Path) -> NoReturn:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environ)
    os.environb.update(case.environ)
    kinds = (case.stdin, case.stdout, case.stderr)
    _becomes(0, folder / "text" if case.stdin == "text" else Path(os.devnull), os.O_RDONLY)
    for number, kind, path in ((1, case.stdout, output), (2, case.stderr, errors)):
        _open_stream(number, kind, path)
    if case.file_bytes_max is not None:  # what a disk that is full, or a quota, does to a program
        resource.setrlimit(resource.RLIMIT_FSIZE, (case.file_bytes_max, case.file_bytes_max))
    streams: list[IO[str] | None] = []
    for number, kind in enumerate(kinds):
        if kind == "closed":
            os.close(number)
            streams.append(None)
        else:
            mode, error_mode = ("r", None) if number == 0 else ("w", "strict" if number == 1 else "backslashreplace")
            streams.append(os.fdopen(number, mode, encoding=case.encoding, errors=error_mode, closefd=False))
    sys.stdin, sys.stdout, sys.stderr = sys.__stdin__, sys.__stdout__, sys.__stderr__ = streams  # type: ignore[assignment,misc]
    sys.argv = ["bulkpoint", *map(os.fsdecode, case.arguments)]
    from bulkpoint.cli.main import main

    main()


def _open_stream(number: int, kind: str, path: Path) -> None:
    match kind:
        case "full":
            _becomes(number, Path("/dev/full"), os.O_WRONLY)
        case "gone":
            ours, theirs = os.pipe()
            os.dup2(theirs, number)
            os.close(theirs)
            os.close(ours)
        case "read only":
            _becomes(number, Path(os.devnull), os.O_RDONLY)
        case _:
            _becomes(number, path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)


def _becomes(number: int, path: Path, flags: int) -> None:
    opened = os.open(path, flags)
    os.dup2(opened, number)
    os.close(opened)


def named_commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command with the words that call it, groups too."""
    for name, command in group.commands.items():
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from named_commands(command, (*path, name))
