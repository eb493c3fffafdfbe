"""What a job needs of this machine before Spark starts: Java, Spark, its master, the JDBC driver, and folders."""

import os
import re
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path

from bulkpoint import files
from bulkpoint.doctor.questions import Question, problem
from bulkpoint.errors import UnreachableError, UsageError
from bulkpoint.launch.jdbc_driver import cached_jar
from bulkpoint.launch.spark_cluster import cluster_conf, expected_shares, own_and_administrators_conf
from bulkpoint.rules.checks import Check, ok, warning
from bulkpoint.rules.refusals import Refusal
from bulkpoint.settings import Settings

JAVA_OLDEST = 17  # of Spark 4
JAVA_ANSWERS_S_MAX = 10.0
DRIVER_CLASS = "org/postgresql/Driver.class"
# Shuffled rows of a wave and the package: a job of a million payments writes some 100 MB.
LOCAL_MB_MIN, LOCAL_MB_ENOUGH = 100, 1_000


def questions(settings: Settings) -> list[Question]:
    """Everything about this machine."""
    return [
        *WITHOUT_SETTINGS,
        Question("spark-master", lambda: spark_master(settings)),
        Question("spark-partitions", lambda: partitions(settings)),
        Question("jdbc-driver", lambda: jdbc_driver(settings)),
        Question("spark-local-dir", lambda: local_folders(settings)),
        Question("data-folder", lambda: data_folder(settings)),
    ]


def java() -> Iterator[Check]:
    """The one that spark-submit takes: of JAVA_HOME, else the first on PATH."""
    home = os.environ.get("JAVA_HOME")
    program = str(Path(home) / "bin" / "java") if home else "java"
    found = shutil.which(program)
    if found is None:
        raise UnreachableError("JAVA_MISSING", "install_java", program=program)
    version = _version_in_release_file(Path(found)) or _version_said_by(found)
    facts = {"version": version, "program": found, "oldest": JAVA_OLDEST}
    first, _, second = version.partition(".")
    feature = second.partition(".")[0] if first == "1" else first  # 1.8 is 8
    if not feature.isdecimal() or int(feature) < JAVA_OLDEST:
        raise UsageError("JAVA_TOO_OLD", "install_java", **facts)
    yield ok("java", Refusal("JAVA_FOUND", facts))


def _version_in_release_file(program: Path) -> str | None:
    """What the file beside a JDK says; quicker than to start it."""
    try:
        text = (program.resolve().parent.parent / "release").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    said = re.search(r'^JAVA_VERSION="?([0-9][0-9.]*)', text, re.MULTILINE)
    return said[1] if said else None


def _version_said_by(program: str) -> str:
    """What `java -version` prints first. Raises UnreachableError where it does not run."""
    try:
        ended = subprocess.run(
            [program, "-version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=JAVA_ANSWERS_S_MAX,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        why = getattr(error, "strerror", None) or f"no answer in {JAVA_ANSWERS_S_MAX:.0f} s"
        raise UnreachableError("JAVA_DOES_NOT_RUN", "install_java", program=program, why=why) from error
    said = re.search(r'version "?([0-9][0-9.]*)', ended.stderr + ended.stdout)
    if said is None:
        first_line = (ended.stderr.strip() or f"exit code {ended.returncode}").splitlines()[0].rstrip(".")
        raise UnreachableError("JAVA_DOES_NOT_RUN", "install_java", program=program, why=first_line)
    return said[1]


def spark() -> Iterator[Check]:
    """The folder of the Spark in use, with spark-submit in it."""
    home = files.spark_home()
    submit = home / "bin" / "spark-submit"
    if not os.access(submit, os.X_OK):
        raise UnreachableError("SPARK_SUBMIT_MISSING", "install_spark", program=str(submit))
    yield ok("spark", Refusal("SPARK_FOUND", {"folder": str(home)}))


def spark_master(settings: Settings) -> Iterator[Check]:
    """A master on this machine needs nothing; another one must answer, and be able to reach the database."""
    master = settings.spark_master
    if settings.spark_is_local:
        yield ok("spark-master", Refusal("SPARK_MASTER_LOCAL", {"master": master}))
        return
    if master == "yarn" and not {"HADOOP_CONF_DIR", "YARN_CONF_DIR"} & os.environ.keys():
        raise UsageError("YARN_WITHOUT_CONFIGURATION", "set_hadoop_conf_dir")
    cluster_conf(settings, files.spark_home(), "")
    yield ok("spark-master", Refusal("SPARK_MASTER_TRIED", {"master": master}))


def speculation() -> Iterator[Check]:
    """By the files that spark-submit is given; the job looks once more, when Spark runs."""
    if own_and_administrators_conf().get("spark.speculation", "false") != "false":
        raise UsageError("SPARK_SPECULATES", "set_speculation_off")
    yield ok("spark-speculation", Refusal("SPECULATION_OFF"))


def partitions(settings: Settings) -> Iterator[Check]:
    """Each needs a slot of its own to send at the same time."""
    named = re.fullmatch(r"local\[(\d+).*", settings.spark_master)
    shares, slots = expected_shares(settings), int(named[1]) if named else None
    if slots is not None and shares > slots:
        raise UsageError("MORE_PARTITIONS_THAN_SLOTS", "lower_partitions_or_add_cores", partitions=shares, slots=slots)
    yield ok("spark-partitions", Refusal("PARTITIONS_EXPECTED", {"shares": shares}))


def jdbc_driver(settings: Settings) -> Iterator[Check]:
    """The jar that is named, else the one in the cache, else what Spark fetches at its start."""
    jar = settings.jdbc_jar or cached_jar()
    if not jar.is_file():
        if settings.jdbc_jar is not None:
            raise UsageError("JDBC_DRIVER_MISSING", "correct_or_remove_path", file=str(jar))
        yield warning("jdbc-driver", Refusal("JDBC_DRIVER_TO_BE_FETCHED", {}, ("set_up_or_name_driver",)))
        return
    try:
        with zipfile.ZipFile(jar) as archive:
            archive.getinfo(DRIVER_CLASS)
    except (OSError, zipfile.BadZipFile, KeyError) as error:
        raise UsageError("JDBC_DRIVER_NOT_IN_JAR", "name_or_fetch_driver", file=str(jar)) from error
    yield ok("jdbc-driver", Refusal("JDBC_DRIVER_FOUND", {"file": str(jar)}))


def local_folders(settings: Settings) -> Iterator[Check]:
    """Where Spark writes the rows that it hands on (spark.local.dir); it takes what it can of several."""
    named = os.environ.get("SPARK_LOCAL_DIRS") or own_and_administrators_conf().get("spark.local.dir") or "/tmp"  # noqa: S108
    folders = [Path(name.strip()) for name in named.split(",") if name.strip()]
    refusals = {folder: found for folder in folders if (found := _unusable(folder)) is not None}
    for found in refusals.values():
        if len(refusals) == len(folders) and settings.spark_master != "yarn":  # there the node's own folders count
            yield problem("spark-local-dir", UsageError(found))
        else:
            yield warning("spark-local-dir", found)
    for folder in folders:
        if folder in refusals:
            continue
        free_mb = shutil.disk_usage(_existing(folder)).free // 1_000_000
        facts = {"folder": str(folder), "free_mb": free_mb}
        if free_mb < LOCAL_MB_ENOUGH:
            yield warning("spark-local-dir", Refusal("LITTLE_SPACE_IN", facts, ("make_room",)))
        else:
            yield ok("spark-local-dir", Refusal("SPACE_IN", facts))


def data_folder(settings: Settings) -> Iterator[Check]:
    """Logs of jobs and the package for executors go there."""
    found = _unusable(settings.data_dir)
    if found is not None:
        raise UsageError(found)
    yield ok("data-folder", Refusal("FOLDER_WRITABLE", {"folder": str(settings.data_dir)}))


def _unusable(folder: Path) -> Refusal | None:
    """Why nothing, or not enough, can be written into a folder, which is made where there is none."""
    there = _existing(folder)
    if not there.is_dir():
        return Refusal("FOLDER_IS_A_FILE", {"folder": str(folder), "file": str(there)}, ("name_another_folder",))
    if not os.access(there, os.W_OK | os.X_OK):
        return Refusal("FOLDER_NOT_WRITABLE", {"folder": str(folder)}, ("make_writable",))
    free_mb = shutil.disk_usage(there).free // 1_000_000
    if free_mb < LOCAL_MB_MIN:
        return Refusal("NO_SPACE_IN", {"folder": str(folder), "free_mb": free_mb}, ("make_room",))
    return None


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that there is."""
    return next((each for each in (folder, *folder.parents) if each.exists()), folder)


WITHOUT_SETTINGS = (Question("java", java), Question("spark", spark), Question("spark-speculation", speculation))
