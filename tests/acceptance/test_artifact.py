"""The built wheel is complete: what a checkout finds beside the package, an installed bulkpoint finds inside it."""

import json
import os
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import pytest

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
        from bulkpoint.local.spark_submit import submit_command
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
            "zip": str(files.build_py_files(Path("bulkpoint.zip").absolute())),
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
