"""The built wheel is complete: what a checkout finds beside the package, an installed bulkpoint finds inside it."""

import json
import os
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import pytest

from tests.world.deployment import Deployment, environment_of
from tests.world.money import Money

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def unpacked_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout, built offline and unpacked; with it on PYTHONPATH the checkout is out of sight."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(build, cwd=CHECKOUT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("bulkpoint-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.infolist():
            mode = member.external_attr >> 16
            path = Path(archive.extract(member, folder / "site"))
            path.chmod(mode & 0o777)  # as pip does
    return folder / "site"


def run_elsewhere(unpacked_wheel: Path, tmp_path: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(unpacked_wheel)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_finds_its_files_and_settings_and_makes_the_zip_for_executors(
    unpacked_wheel: Path, tmp_path: Path
) -> None:
    program = """
        import json
        from pathlib import Path
        import bulkpoint
        from bulkpoint import files
        from bulkpoint.launch.py_files import build_py_files
        from bulkpoint.launch.spark_submit import submit_command
        from bulkpoint.settings import load_settings

        settings = load_settings()
        print(json.dumps({
            "package": bulkpoint.__file__,
            "migrations": files.list_names("sql/migrations"),
            "queries": files.list_names("sql/queries"),
            "conf": files.list_names("conf"),
            "submit": str(files.path_of("scripts/submit.sh")),
            "command": submit_command(settings, ["1"]),
            "tps": settings.tps,
            "zip": str(build_py_files(Path("bulkpoint.zip").absolute())),
        }))
    """
    found = json.loads(run_elsewhere(unpacked_wheel, tmp_path, "-c", textwrap.dedent(program)))
    assert found["package"] == str(unpacked_wheel / "bulkpoint" / "__init__.py")
    for folder in ("sql/migrations", "sql/queries", "conf"):
        assert found[folder.split("/")[-1]] == sorted(p.name for p in (CHECKOUT / folder).iterdir() if p.is_file())
    assert found["tps"] == 1000
    assert os.access(found["submit"], os.X_OK)
    assert found["command"][-2] == str(unpacked_wheel / "bulkpoint" / "_files" / "jobs" / "pay_campaign.py")
    assert not [argument for argument in found["command"] if argument.startswith(str(CHECKOUT / "conf"))]

    from_the_zip = textwrap.dedent(
        """
        import sys
        sys.path.insert(0, sys.argv[1])
        import bulkpoint
        from bulkpoint import files
        assert bulkpoint.__file__.startswith(sys.argv[1]), bulkpoint.__file__
        for name in files.list_names("sql/queries"):
            assert files.read_text(f"sql/queries/{name}").strip(), name
        print(*files.list_names("sql/migrations"))
        """
    )
    printed = run_elsewhere(unpacked_wheel, tmp_path, "-c", from_the_zip, found["zip"])
    assert printed.split() == found["migrations"]


def test_the_wheel_holds_nothing_but_the_package_and_its_files(unpacked_wheel: Path) -> None:
    assert {path.name.split("-")[0] for path in unpacked_wheel.iterdir()} == {"bulkpoint"}
    assert {path.name for path in (unpacked_wheel / "bulkpoint" / "_files").iterdir()} == {
        "sql", "jobs", "conf", "scripts",
    }  # fmt: skip


# Python imports it by itself at its start: each process leaves, at its end, a line of where its bulkpoint came from.
SITECUSTOMIZE = """
import atexit, os, sys

@atexit.register
def say_where_from():
    if "bulkpoint" in sys.modules:
        program = getattr(sys.modules["__main__"], "__spec__", None)
        name = program.name if program else os.path.basename(sys.argv[0])
        with open(os.environ["WITNESSES"], "a") as witnesses:
            print("process", name, sys.modules["bulkpoint"].__file__, file=witnesses)
"""
# Loaded where a partition works, and nowhere else: says what that worker has imported, and reads SQL from.
WITNESS = """
import os
from bulkpoint import files
from bulkpoint.money.contract import MoneyV1
from bulkpoint.pay import partition

class Witness(MoneyV1):
    def __init__(self, token):
        super().__init__(token)
        with open(os.environ["WITNESSES"], "a") as witnesses:
            print("worker code", partition.__file__, file=witnesses)
            print("worker sql", files.find("sql/queries/payment.sql"), file=witnesses)
"""


def test_a_campaign_is_paid_by_the_wheel_alone(
    unpacked_wheel: Path, database_url: str, money: Money, tmp_path: Path
) -> None:
    probes = tmp_path / "probes"
    probes.mkdir()
    (probes / "sitecustomize.py").write_text(SITECUSTOMIZE)
    (probes / "witness.py").write_text(WITNESS)
    witnesses = tmp_path / "witnesses.txt"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    settings = {
        "BULKPOINT_PARTITIONS": "1",
        "BULKPOINT_MONEY_ADAPTER": "witness:Witness",
        "PYTHONPATH": f"{unpacked_wheel}{os.pathsep}{probes}",
        "WITNESSES": str(witnesses),
    }
    environment = environment_of(database_url, money, tmp_path, **settings)
    its = Deployment(environment, elsewhere, fresh=True, money=money, database_url=database_url)
    campaign = its.create(50)
    its.succeed("campaign", "start", campaign, "--yes")
    assert its.show(campaign)["counts"] == {"PENDING": 0, "PROCESSING": 0, "SUCCESS": 50, "FAILED": 0}
    assert len(money.ledger()) == 50

    observe = [line.rsplit(" ", 1) for line in witnesses.read_text().splitlines()]
    assert {what for what, _ in observe} >= {
        "process bulkpoint.cli.main",
        "process bulkpoint.launch.spark_submit",
        "process pay_campaign.py",
        "worker code",
        "worker sql",
    }
    ours = (f"{unpacked_wheel}{os.sep}", f"{tmp_path / 'data' / 'py-files' / 'bulkpoint.zip'}{os.sep}")
    strangers = [(what, where) for what, where in observe if not where.startswith(ours)]
    assert strangers == [], "neither the wheel nor the zip made from it"
