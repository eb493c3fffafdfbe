"""What the peers need, made by the bench itself: Python environments by uv, Debian's programs by apt.

They are kept in .bench/ of the checkout, so a second run begins at once.
"""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".bench"
# The peers' packages, by environment. Their versions are part of every result.
PACKAGES = {
    "afternoon": (
        "aiohttp==3.14.5",
        "uvloop==0.23.0",
        "psycopg[binary]==3.3.9",
        "aiolimiter==1.3.0",
        "ratelimit==2.2.1",
        "redis==8.1.0",
    ),
    "literal": ("requests==2.34.2", "ratelimit==2.2.1", "tenacity==9.2.1", "psycopg[binary]==3.3.9"),  # and our PySpark
    "celery": ("celery[redis]==5.7.0", "requests==2.34.2", "psycopg[binary,pool]==3.3.9"),
    "dbos": ("dbos==3.4.0", "requests==2.34.2", "psycopg[binary,pool]==3.3.9"),
}


class MissingError(Exception):
    """A peer cannot be measured on this machine, and why."""


@dataclass(frozen=True)
class Environment:
    """A Python of a peer, and the versions in it."""

    python: Path
    versions: dict[str, str]


def environment(name: str) -> Environment:
    """The peer's environment, made if it is not there. Raises MissingError where its packages cannot be had."""
    folder = FOLDER / name
    python = folder / "bin" / "python"
    made_of = folder / "made-of"
    wanted = "\n".join(PACKAGES[name])
    if not made_of.is_file() or made_of.read_text() != wanted:
        uv = str(Path(sys.executable).with_name("uv"))
        _run(uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder))
        _run(uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", str(python), *PACKAGES[name])
        made_of.write_text(wanted)
    versions = (package.split("==") for package in PACKAGES[name])
    return Environment(python, {name.partition("[")[0]: version for name, version in versions})


def program(name: str, package: str) -> str:
    """Where a program of Debian is, installed if that is possible. Raises MissingError where it is not."""
    if shutil.which(name) is None and os.geteuid() == 0 and shutil.which("apt-get"):
        install = ("apt-get", "install", "-qq", "-y", "--no-install-recommends", package)
        if not _succeeds(*install):
            _succeeds("apt-get", "update", "-qq")
            _succeeds(*install)
    found = shutil.which(name)
    if found is None:
        raise MissingError(f"{name} is not installed (Debian, Ubuntu: apt-get install {package})")
    return found


def _succeeds(*command: str) -> bool:
    quiet = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    return subprocess.run(command, check=False, capture_output=True, env=quiet).returncode == 0


def _run(*command: str) -> None:
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True)
    except OSError as error:
        raise MissingError(f"{command[0]} cannot be run: {error.strerror}") from error
    if done.returncode:
        raise MissingError(f"{' '.join(command[:3])} failed: {(done.stderr or done.stdout).strip()[-300:]}")
