"""Packs what executors import into one archive: their Python packages, and a `bin/python` that finds them.

    python scripts/package_environment.py dist/bulkpoint-env.tar.gz        (make package)
    python scripts/package_environment.py --list                           prints which packages it takes

The packages are those of the environment that runs this, which is the driver's: the same versions on both sides. Not in
the archive: bulkpoint itself, which each job sends along (an old copy here would win over it); PySpark, which a worker
has with its Spark; and Python, of which a worker must have the same minor version. docs/decisions/0008 says why.
"""

import importlib.metadata
import importlib.util
import io
import os
import re
import sys
import tarfile
from pathlib import Path, PurePath

# What code in executors imports, Spark's Arrow functions included; their dependencies are added. A test compares this
# with what is imported. No optional package is among them: executors neither publish events nor send messages.
_PACKAGES = (
    "certifi",
    "numpy",
    "pandas",
    "psycopg",
    "psycopg-binary",
    "pyarrow",
    "pycurl",
    "pydantic",
    "pydantic-settings",
    "requests",
    *(() if sys.version_info >= (3, 14) else ("uuid-utils",)),  # bulkpoint/ids.py
)
# Half of the megabytes, and nothing that a running program reads.
_LEFT_OUT = {"tests", "include"}
_COMPRESSION = 1  # half the time of the usual level, for an eighth more bytes

# Replaces itself by the real Python, so that the process Spark started is the one it signals.
_LAUNCHER = """\
#!/bin/sh
# The Python of bulkpoint's executors: this machine's Python {version}, with the packages next to this file.
here=$(cd "$(dirname "$0")/.." && pwd) || exit 1
export PYTHONPATH="${{PYTHONPATH:+$PYTHONPATH:}}$here/lib" PYTHONNOUSERSITE=1
for python in '{packed_with}' python{version} python3; do
  if "$python" -c 'import sys; sys.exit(sys.version_info[:2] != {version_info})' 2>/dev/null; then
    exec "$python" "$@"
  fi
done
echo "bulkpoint: this worker has no Python {version}, which its packages were packed for. Install it, or run" \\
  "make package with the Python that the workers have." >&2
exit 1
"""


def main(target: Path) -> None:
    """Writes the archive; a target that is there is replaced in one step."""
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with tarfile.open(unfinished, "w:gz", compresslevel=_COMPRESSION) as archive:
            _add_launcher(archive)
            for distribution in _closure(_PACKAGES):
                _add_packages_files(archive, distribution)
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)
    print(f"{target} ({target.stat().st_size / 1e6:.0f} MB)")


def _closure(names: tuple[str, ...]) -> list[importlib.metadata.Distribution]:
    """These packages and all they need; what is needed on other platforms only is not installed, and left out."""
    found: dict[str, importlib.metadata.Distribution] = {}
    wanted = [(name, True) for name in names]
    while wanted:
        name, is_required = wanted.pop()
        key = _key(name)
        if key in found:
            continue
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            if is_required:
                sys.exit(f"{name} is not installed in {sys.prefix}: run this with the Python that runs bulkpoint.")
            continue
        found[key] = distribution
        for requirement in distribution.requires or []:
            needed = re.match(r"[A-Za-z0-9._-]+", requirement)
            if needed and "extra ==" not in requirement:
                wanted.append((needed[0], False))
    return [found[key] for key in sorted(found)]


def _key(name: str) -> str:
    """A distribution's name as packaging tools compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _add_launcher(archive: tarfile.TarFile) -> None:
    version = sys.version_info[:2]
    text = _LAUNCHER.format(
        version="{}.{}".format(*version),
        version_info=f"({version[0]}, {version[1]})",
        packed_with=Path(sys.executable).resolve(),
    ).encode()
    member = tarfile.TarInfo("bin/python")
    member.mode, member.size = 0o755, len(text)
    archive.addfile(member, io.BytesIO(text))


def _add_packages_files(archive: tarfile.TarFile, distribution: importlib.metadata.Distribution) -> None:
    sources = {PurePath(file): Path(str(distribution.locate_file(file))) for file in distribution.files or []}
    # Compiled too, or each job's workers would compile for themselves: set-up did it, but installers do not record it.
    for path, source in list(sources.items()):
        if path.suffix == ".py":
            compiled = Path(importlib.util.cache_from_source(str(source)))
            sources[path.parent / "__pycache__" / compiled.name] = compiled
    for path, source in sources.items():
        if ".." in path.parts or path.is_absolute() or _LEFT_OUT & set(path.parts) or not source.is_file():
            continue  # commands in bin/, and files that were removed
        member = archive.gettarinfo(str(source), f"lib/{path.as_posix()}")
        member.uid = member.gid = 0
        member.uname = member.gname = ""
        member.mode |= 0o444  # executors may run as another account
        with source.open("rb") as stream:
            archive.addfile(member, stream)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: package_environment.py TARGET.tar.gz|--list")
    if sys.argv[1] == "--list":
        print("\n".join(_key(distribution.name) for distribution in _closure(_PACKAGES)))
    else:
        main(Path(sys.argv[1]))
