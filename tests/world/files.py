"""Files that a run left behind."""

from pathlib import Path


def files_with(word: str, folder: Path) -> list[Path]:
    """The files below a folder in which a word stands."""
    return [path for path in folder.rglob("*") if path.is_file() and word.encode() in path.read_bytes()]
