"""Processes of this machine, by what they were started with: whose they are, and that none is left behind."""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple


class Process(NamedTuple):
    """One process as the system shows it. command: its arguments, with a space between them."""

    pid: int
    parent: int
    program: str
    command: str

    def send(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):  # it ended by itself just now
            os.kill(self.pid, number)


def all_processes() -> Iterator[Process]:
    """Those that have not ended."""
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended meanwhile
            name, _, rest = (folder / "stat").read_text().partition("(")[2].rpartition(") ")
            if rest[0] not in "ZX":
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                yield Process(int(folder.name), int(rest.split()[1]), name, command)


def processes_with(word: str) -> list[Process]:
    """Those in whose command line the word stands; not this very one."""
    return [one for one in all_processes() if word in one.command and one.pid != os.getpid()]


def processes_of(folder: Path) -> list[Process]:
    """Those that were started with arguments or settings that name this folder, wherever they are by now."""
    found = []
    for one in all_processes():
        with suppress(OSError):
            if str(folder) in one.command or str(folder).encode() in Path(f"/proc/{one.pid}/environ").read_bytes():
                found.append(one)
    return [one for one in found if one.pid != os.getpid()]


def processes_below(pid: int) -> list[Process]:
    """Its children, their children, and so on."""
    every = {one.pid: one for one in all_processes()}
    found: list[Process] = []
    below = {pid}
    while below:
        below = {one.pid for one in every.values() if one.parent in below}
        found += [every[one] for one in below]
    return found
