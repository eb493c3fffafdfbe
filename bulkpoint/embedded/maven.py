"""Jars by their Maven coordinates, fetched once into the user's cache with the Ivy that Spark brings along."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from bulkpoint import files
from bulkpoint.embedded.machine import last_lines, locked
from bulkpoint.errors import UnreachableError
from bulkpoint.rules.refusals import Refusal

FETCH_S_MAX = 600.0  # Kafka's 43 MB in 90 files: 35 s, most of it waiting for one answer after the other
_LOCK_S_MAX = 2 * FETCH_S_MAX  # another process fetches

_IVY_MODULE = """\
<ivy-module version="2.0">
  <info organisation="bulkpoint" module="fetched"/>
  <configurations><conf name="default"/></configurations>
  <dependencies>{dependencies}
  </dependencies>
</ivy-module>
"""
_IVY_DEPENDENCY = '\n    <dependency org="{}" name="{}" rev="{}" conf="default"/>'


@dataclass(frozen=True)
class Coordinates:
    """What Maven calls a jar."""

    group: str
    artifact: str
    version: str


def cache_lock(name: str) -> AbstractContextManager[None]:
    """A lock while `name` is made in the cache, so that only one of several processes makes it.

    Raises:
        UnreachableError: another process has kept it for too long.
    """
    folder = files.cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    busy = UnreachableError("FETCHED_ELSEWHERE", "end_fetching", folder=str(folder), seconds=_LOCK_S_MAX)
    return locked(folder / f"{name}.lock", wait_s_max=_LOCK_S_MAX, busy=busy)


def fetch_jars(jars: Sequence[Coordinates], folder: Path, *, failure: str) -> Path:
    """Fetches jars and what they need into `<folder>/jars`, which is returned; `failure` is the code if that fails.

    Ivy runs alone, so no file of Spark's can get among them; it compares each file with the checksum next to it.

    Raises:
        UnreachableError: they cannot be fetched, or there is no Java or no Ivy.
    """
    ivy_jars = sorted((files.spark_home() / "jars").glob("ivy-[0-9]*.jar"))
    if not ivy_jars:
        raise UnreachableError("IVY_MISSING", "reinstall_pyspark", folder=str(files.spark_home() / "jars"))
    module = folder / "ivy.xml"
    dependencies = "".join(_IVY_DEPENDENCY.format(jar.group, jar.artifact, jar.version) for jar in jars)
    module.write_text(_IVY_MODULE.format(dependencies=dependencies))
    work = folder / "ivy"
    run_program(
        [
            java(),
            f"-Divy.default.ivy.user.dir={work}",
            *("-cp", str(ivy_jars[-1]), "org.apache.ivy.Main"),
            *("-ivy", str(module), "-confs", "default", "-types", "jar", "bundle"),
            *("-cache", str(work / "cache")),
            *("-retrieve", f"{folder}/jars/[artifact]-[revision].[ext]"),
        ],
        seconds=FETCH_S_MAX,
        failure=failure,
    )
    shutil.rmtree(work)
    return folder / "jars"


def run_program(command: list[str], *, seconds: float, failure: str) -> None:
    """Run a Java program for `seconds` at most; if it fails, the code `failure` says what that means."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=seconds,
            check=False,
        )
    except FileNotFoundError as error:
        raise UnreachableError("JAVA_MISSING", "install_java", program=command[0]) from error
    except subprocess.TimeoutExpired as error:
        raise UnreachableError(failure, why=Refusal("TOOK_TOO_LONG", {"seconds": seconds})) from error
    if done.returncode != 0:
        raise UnreachableError(failure, why=Refusal("LAST_LINES", {"last_lines": last_lines(done.stdout)}))


def java() -> str:
    """The java of JAVA_HOME, else the one on PATH."""
    home = os.environ.get("JAVA_HOME")
    return str(Path(home) / "bin" / "java") if home else "java"
