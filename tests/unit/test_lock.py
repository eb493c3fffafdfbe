"""What set-up installs (requirements.lock) has all that pyproject.toml asks for, and names no registry."""

import re
import tomllib
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]


def name_of(requirement: str) -> str:
    """The package of a line such as `psycopg[binary]>=3.2; python_version < '3.14'`, as tools compare it (PEP 503)."""
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found, requirement
    return re.sub(r"[-_.]+", "-", found[0]).lower()


def test_every_dependency_and_every_extra_is_in_the_lock() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    wanted = [
        *project["dependencies"],
        *(line for extra in project["optional-dependencies"].values() for line in extra),
    ]
    locked = {
        name_of(line) for line in (PROJECT / "requirements.lock").read_text().splitlines() if re.match(r"[a-z]", line)
    }
    missing = {name_of(line) for line in wanted} - {"bulkpoint"} - locked
    assert not missing, "make lock"


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-bootstrap.lock"])
def test_a_lock_has_versions_with_hashes_and_nothing_else(name: str) -> None:
    for line in (PROJECT / name).read_text().splitlines():
        assert re.fullmatch(r"[a-z0-9.-]+(\[[a-z,-]+\])?==\S+( ; .+)? \\|    --hash=sha256:[0-9a-f]{64}( \\)?", line), (
            line
        )


def test_dev_has_every_other_extra() -> None:
    extras = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    of_dev = next(line for line in extras["dev"] if line.startswith("bulkpoint["))
    assert set(of_dev.removeprefix("bulkpoint[").rstrip("]").split(",")) == set(extras) - {"dev"}
