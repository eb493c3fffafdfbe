"""Processes that are forked from one that has loaded everything and runs nothing, as Spark's daemon does it.

A start of Python with all that a command needs takes 0.4 s of CPU, a fork 0.02 s; a test starts five of them.
"""

import multiprocessing
import os
import sys
from collections.abc import Mapping
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import NoReturn

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(
    [
        "bulkpoint.cli.main",
        "bulkpoint.pay.partition",
        "bulkpoint.settings",
        "bulkpoint.sandbox.server",
        "psycopg",
        "rich",
    ]
)


def run_command(
    arguments: tuple[str, ...], environment: Mapping[str, str], folder: Path, output: Path | Pipe, errors: Path | None
) -> NoReturn:
    """What a forked process does: one command of bulkpoint, in this environment and folder, and its exit code."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    _becomes(sys.stdout.fileno(), output)
    if errors is not None:
        _becomes(sys.stderr.fileno(), errors)
    sys.argv = ["bulkpoint", *arguments]
    from bulkpoint.cli.main import main

    main()


def _becomes(descriptor: int, target: Path | Pipe) -> None:
    opened = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) if isinstance(target, Path) else target.fileno()
    os.dup2(opened, descriptor)
