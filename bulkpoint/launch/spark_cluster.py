"""What a cluster's executors need that a local run simply inherits, as Spark configuration.

Executors get nothing of our environment, not our PATH and not our files. They get the package as a zip with every job,
the file with the database's password by its path, and a daemon that imports once what its workers need. The rest is the
administrator's: `spark-defaults.conf` in SPARK_CONF_DIR, for which conf/examples/ has templates; it wins over
everything here.
"""

import os
import re
import socket
import sys
from pathlib import Path

from bulkpoint import files
from bulkpoint.errors import UnreachableError, UsageError
from bulkpoint.settings import Settings
from bulkpoint.store.database_address import passfile_of

# Spark tries a standalone master for a minute, which cannot be changed; our own try before takes at most this.
_MASTER_ANSWERS_S_MAX = 5.0
_MASTER_PORT = 7077
# Shares if the settings name none. One more core reads the next wave ahead.
_PARTITIONS = 4
_LOOPBACK = re.compile(r"localhost|127(\.\d{1,3}){3}|\[?::1\]?")


def cluster_conf(settings: Settings, spark_home: Path, zip_name: str) -> dict[str, str]:
    """Spark's configuration for a master that is not local; none of it is secret.

    zip_name: the file name under which executors get the package.

    Raises:
        UsageError: the database is the embedded one, which workers elsewhere cannot reach.
        UnreachableError: no standalone master answers.
    """
    hosts = _standalone_masters(settings.spark_master)
    if settings.database_url is None and not (hosts and all(_LOOPBACK.fullmatch(host) for host, _ in hosts)):
        raise UsageError("EMBEDDED_DATABASE_OUT_OF_REACH", "set_database_url", master=settings.spark_master)
    conf = {
        # Where the daemon finds the zip: in its working folder, into which Spark fetches it before the first task.
        "spark.executorEnv.PYTHONPATH": zip_name,
        "spark.python.daemon.module": "bulkpoint.pay.daemon",
        # Our own Python is here; that of the executors is PYSPARK_PYTHON, or spark.pyspark.python.
        "spark.pyspark.driver.python": sys.executable,
        # The shares are counted once, when the run begins: all slots must be there by then, and stay.
        "spark.scheduler.minRegisteredResourcesRatio": "1.0",
        "spark.dynamicAllocation.enabled": "false",
    }
    passfile = _passfile(settings)
    if passfile is not None:  # read by the JDBC driver in the executor and by its Python workers
        conf["spark.executorEnv.PGPASSFILE"] = str(passfile)
    if hosts:
        # Without it a job takes the whole cluster, and Spark does not wait for its slots.
        conf["spark.cores.max"] = str((settings.partitions or _PARTITIONS) + 1)
        address = _own_address(settings.spark_master, hosts)
        if "SPARK_LOCAL_IP" not in os.environ:
            # The web UI stays on loopback (SPARK_LOCAL_IP, spark_submit.py); executors reach the driver by this.
            conf |= {"spark.driver.host": address, "spark.driver.bindAddress": address}
    set_by_administrator = _conf_in(_read(_defaults_file(spark_home)))
    return {name: value for name, value in conf.items() if name not in set_by_administrator}


def is_standalone(settings: Settings) -> bool:
    """Whether the master is Spark's own."""
    return settings.spark_master.startswith("spark://")


def _standalone_masters(master: str) -> list[tuple[str, int]]:
    """Hosts and ports of `spark://host:7077,standby:7077`; empty for another kind of master."""
    if not master.startswith("spark://"):
        return []
    masters = []
    for address in master.removeprefix("spark://").split(","):
        named = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[^\s:/@]+)(?::(\d{1,5}))?", address)
        if named is None:
            raise UsageError("SPARK_MASTER_WRONG", "write_spark_master", master=master, part=address, port=_MASTER_PORT)
        masters.append((named[1], int(named[2] or _MASTER_PORT)))
    return masters


def _own_address(master: str, hosts: list[tuple[str, int]]) -> str:
    """This machine's address as the first master that answers sees it."""
    trouble = ""
    for host, port in hosts:
        try:
            with socket.create_connection((host.strip("[]"), port), timeout=_MASTER_ANSWERS_S_MAX) as connection:
                return str(connection.getsockname()[0])
        except (OSError, OverflowError) as error:
            trouble = getattr(error, "strerror", None) or str(error)
    raise UnreachableError("SPARK_MASTER_OUT_OF_REACH", "check_spark_master", master=master, why=trouble)


def own_and_administrators_conf() -> dict[str, str]:
    """Spark's settings in the files that spark-submit gets: ours win over the administrator's."""
    return _conf_in(_read(_defaults_file(files.spark_home()))) | _conf_in(files.read_text("conf/spark-defaults.conf"))


def expected_shares(settings: Settings) -> int:
    """The partitions that a run will have, as far as the settings say; the job counts the slots that it got."""
    named = re.fullmatch(r"local\[(\d+).*", settings.spark_master)
    return settings.partitions or (max(1, int(named[1]) - 1) if named else _PARTITIONS)


def _passfile(settings: Settings) -> Path | None:
    if settings.database_url is None:
        return settings.data_dir / "pgpass"
    passfile = passfile_of(settings.database_url)
    # Without a name libpq looks into a home by itself, but into the one of the executor's account.
    return passfile if passfile != Path.home() / ".pgpass" or passfile.is_file() else None


def _defaults_file(spark_home: Path) -> Path:
    return Path(os.environ.get("SPARK_CONF_DIR") or spark_home / "conf") / "spark-defaults.conf"


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise UsageError("FILE_UNREADABLE", "make_readable", file=str(file), why=error.strerror) from error


def _conf_in(text: str) -> dict[str, str]:
    """As Java reads properties: name, then white space, = or :, then the value."""
    return dict(re.findall(r"^\s*(spark\.[^\s=:]+)[ \t]*[=: \t][ \t]*(.*?)\s*$", text, re.MULTILINE))
