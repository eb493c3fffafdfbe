"""The command line as people and schedulers have it: run to its end, begun and left to run, or asked at a terminal."""

import json
import os
import pty
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.world.forks import FORKS, run_command

COMMAND = [sys.executable, "-m", "bulkpoint.cli.main"]
SUBMIT = Path(__file__).parents[2] / "scripts" / "submit.sh"
# Spark's start, the payments and its end, on two busy cores.
JOB_S_MAX = 240.0


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    returncode: int
    output: bytes
    stderr: str

    @property
    def stdout(self) -> str:
        return self.output.decode()

    @property
    def json(self) -> Any:
        """Its result, of a command that was given --json."""
        return json.loads(self.output)


@dataclass
class CommandLine:
    """Commands with this environment in this folder.

    fresh: each has a Python of its own, where a test is about how that starts; otherwise it is forked.
    """

    environment: dict[str, str]
    folder: Path
    fresh: bool = False
    seconds_max: float = JOB_S_MAX

    def __call__(self, *arguments: str, **changes: str) -> Ended:
        return self.run(*arguments, **changes)

    def run(self, *arguments: str, **changes: str) -> Ended:
        """To its end; changes: of the environment."""
        environment = self.environment | changes
        return self._run([*COMMAND, *arguments], environment) if self.fresh else self._fork(arguments, environment)

    def succeed(self, *arguments: str, **changes: str) -> Ended:
        """To its end, which is 0."""
        ended = self.run(*arguments, **changes)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended

    def begin(self, *arguments: str, **changes: str) -> "subprocess.Popen[str]":
        """A process of its own that the test ends, signals or waits for."""
        return subprocess.Popen(
            [*COMMAND, *arguments],
            env=self.environment | changes,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def submit(self, *arguments: str, **changes: str) -> Ended:
        """As a scheduler does it."""
        return self._run([str(SUBMIT), *arguments], self.environment | changes)

    def at_a_terminal(self, *arguments: str, answer: str = "n") -> tuple[int, str]:
        """Exit code and all output of a command whose question is answered at a terminal."""
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            [*COMMAND, *arguments], env=self.environment, cwd=self.folder, stdin=theirs, stdout=theirs, stderr=theirs
        )
        os.close(theirs)
        seen, answered = b"", False
        while read := _read_of_terminal(ours):
            seen += read
            if b"[y/N]" in seen and not answered:
                os.write(ours, answer.encode() + b"\n")
                answered = True
        os.close(ours)
        return process.wait(30), seen.decode()

    def _run(self, command: list[str], environment: Mapping[str, str]) -> Ended:
        ended = subprocess.run(
            command,
            env=environment,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=self.seconds_max,
            check=False,
        )
        return Ended(ended.returncode, ended.stdout, ended.stderr.decode())

    def _fork(self, arguments: tuple[str, ...], environment: Mapping[str, str]) -> Ended:
        with tempfile.TemporaryDirectory() as name:
            output, errors = Path(name) / "stdout", Path(name) / "stderr"
            process = FORKS.Process(target=run_command, args=(arguments, environment, self.folder, output, errors))
            process.start()
            process.join(self.seconds_max)
            if process.exitcode is None:
                process.kill()
                raise AssertionError(f"{' '.join(arguments)} did not end in {self.seconds_max:g} s")
            return Ended(process.exitcode, output.read_bytes(), errors.read_text())


def _read_of_terminal(descriptor: int) -> bytes:
    """What is there next; nothing once the other side is closed."""
    try:
        return os.read(descriptor, 1024)
    except OSError:
        return b""
