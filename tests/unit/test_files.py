"""The files that are no Python are found in a checkout, and in the zip for executors from inside it."""

import re
import subprocess
import sys
import zipfile
from pathlib import Path

from bulkpoint import files
from bulkpoint.errors import UsageError
from bulkpoint.launch.py_files import build_py_files
from tests.world.refusals import refused


def test_files_of_a_checkout_are_found() -> None:
    assert "tps" in files.read_text("conf/bulkpoint.toml")
    assert "bulkpoint.toml" in files.list_names("conf")
    assert files.path_of("conf/bulkpoint.toml").is_file()


def test_a_missing_file_is_named() -> None:
    with refused(r"sql/none\.sql is missing", UsageError):
        files.read_text("sql/none.sql")


def test_the_zip_is_the_same_for_the_same_sources_and_made_once(tmp_path: Path) -> None:
    first = build_py_files(tmp_path / "a.zip")
    other = build_py_files(tmp_path / "b.zip")
    assert first.read_bytes() == other.read_bytes()
    made = first.stat().st_mtime_ns
    assert build_py_files(first).stat().st_mtime_ns == made
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zip", "b.zip"]


def test_a_stale_or_broken_zip_is_made_anew(tmp_path: Path) -> None:
    target = tmp_path / "bulkpoint.zip"
    target.write_bytes(b"half a zip")
    assert zipfile.ZipFile(build_py_files(target)).testzip() is None


def test_the_zip_serves_its_files_from_inside(tmp_path: Path) -> None:
    archive = build_py_files(tmp_path / "bulkpoint.zip")
    again = tmp_path / "again.zip"
    program = f"""
import sys
sys.path.insert(0, {str(archive)!r})
from pathlib import Path
from bulkpoint import files
from bulkpoint.launch.py_files import build_py_files
assert files.__file__.startswith({str(archive)!r}), files.__file__
print(files.list_names("conf"), len(files.read_text("conf/bulkpoint.toml")))
build_py_files(Path({str(again)!r}))
try:
    files.path_of("conf/bulkpoint.toml")
except files.UsageError as error:
    from bulkpoint.views import sentences
    assert sentences.__file__.startswith({str(archive)!r}), sentences.__file__
    print(sentences.sentence(error))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=30
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("['bulkpoint.toml'")
    assert "is inside" in done.stdout
    assert again.read_bytes() == archive.read_bytes()


def test_no_statement_keeps_anything_in_its_session() -> None:
    """Behind a transaction pooler the next statement may meet another session."""
    kept = ("advisory", "prepare", "listen", "set session", "set_config", "deallocate")
    for folder in ("sql/queries", "sql/fragments", "sql/migrations"):
        for name in files.list_names(folder):
            text = files.read_text(f"{folder}/{name}").lower()
            assert not [word for word in kept if re.search(rf"^\s*{word}\b|pg_\w*{word}\w*\(", text, re.M)], name
