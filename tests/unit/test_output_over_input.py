"""An output never destroys an input, by whatever name it is given."""

import os
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from bulkpoint.cli.every_command import commands_of, watch_over
from bulkpoint.cli.main import bulkpoint
from bulkpoint.errors import RefusedError, UsageError
from bulkpoint.files import refuse_output_over_input
from tests.world.refusals import refused

LIST = "member_id,amount,reason\nm1,0,x\n"


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    path = tmp_path / "m.csv"
    path.write_text(LIST)
    return path


@pytest.mark.parametrize("option", ["--errors", "--targets"])
def test_a_named_pipe_is_refused_and_not_waited_for(option: str, listed: Path) -> None:
    pipe = listed.with_name("pipe.csv")
    os.mkfifo(pipe)
    files = {"--targets": str(listed), "--errors": str(listed.with_name("errors.csv"))} | {option: str(pipe)}
    ended = CliRunner().invoke(bulkpoint, ["campaign", "preview", *(word for pair in files.items() for word in pair)])
    assert isinstance(ended.exception, UsageError | RefusedError)


def test_an_errors_file_without_a_name_or_that_is_a_folder_is_refused(listed: Path) -> None:
    for name in ("", str(listed.parent)):
        line = ["campaign", "preview", "--targets", str(listed), "--errors", name]
        ended = CliRunner().invoke(bulkpoint, line)
        assert ended.exit_code != 0
        assert isinstance(ended.exception, UsageError | SystemExit)


def _linked(path: Path) -> Path:
    other = path.with_name("other.csv")
    other.symlink_to(path)
    return other


def _linked_twice(path: Path) -> Path:
    third = path.with_name("third.csv")
    third.symlink_to(_linked(path))
    return third


def _hard(path: Path) -> Path:
    other = path.with_name("hard.csv")
    other.hardlink_to(path)
    return other


def _by_descriptor(path: Path) -> Path:
    return Path(f"/dev/fd/{os.open(path, os.O_RDONLY)}")


def _through_another_folder(path: Path) -> Path:
    folder = path.parent / "folder"
    folder.symlink_to(path.parent)
    return folder / ".." / path.parent.name / path.name


@pytest.mark.parametrize(
    "also_called", [Path, _linked, _linked_twice, _hard, _by_descriptor, _through_another_folder, os.path.relpath]
)
def test_a_list_is_not_its_own_file_of_errors(listed: Path, also_called: Callable[[Path], Path]) -> None:
    errors = Path(also_called(listed))
    for command in (["campaign", "create", "--name", "T"], ["campaign", "preview"]):
        line = [*command, "--targets", str(listed), "--errors", str(errors)]
        with refused("--errors is the file that --targets reads", UsageError):
            bulkpoint.main(line, standalone_mode=False)
    assert listed.read_text() == LIST


def test_a_file_that_only_has_the_same_content_or_a_name_in_other_letters_is_another(listed: Path) -> None:
    copy, other = listed.with_name("copy.csv"), listed.with_name("M.csv")
    copy.write_text(LIST)
    refuse_output_over_input({"--errors": copy}, {"--targets": listed})
    refuse_output_over_input({"--errors": other}, {"--targets": listed})
    if not other.exists():  # a file system that knows the case of letters
        other.write_text(LIST)
        refuse_output_over_input({"--errors": other}, {"--targets": listed})


def test_stdout_and_stderr_are_outputs_where_they_go_to_a_file(listed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("stdout", "stderr"):
        found = [(name, listed.stat())]
        monkeypatch.setattr("bulkpoint.files.regular_files_written", lambda found=found: found)
        with refused(f"{name} is the file that --targets reads", UsageError):
            refuse_output_over_input({}, {"--targets": listed})


def test_a_new_command_is_watched_by_itself(listed: Path) -> None:
    group = click.Group()

    @group.command()
    @click.option("--lines", type=click.Path(exists=True))
    @click.option("--out", type=click.Path())
    @click.option("--name")
    def archive(**_: object) -> None:
        listed.write_text("")

    watch_over(group)
    ended = CliRunner().invoke(group, ["archive", "--lines", str(listed), "--out", str(_hard(listed))])
    assert isinstance(ended.exception, UsageError)
    assert ended.exception.refusal.code == "OUTPUT_IS_INPUT"
    ended = CliRunner().invoke(group, ["archive", "--name", "\udcff"])
    assert isinstance(ended.exception, UsageError)
    assert ended.exception.refusal.facts == {"option": "--name"}
    assert listed.read_text() == LIST


def test_every_path_of_a_command_line_is_known_as_input_or_output() -> None:
    inputs: set[str] = set()
    outputs: set[str] = set()
    for command in commands_of(bulkpoint):
        for parameter in command.params:
            if isinstance(parameter.type, click.Path):
                (inputs if parameter.type.exists else outputs).update(parameter.opts)
    assert {"--targets", "--settlement"} <= inputs
    assert {"--errors", "--out"} <= outputs
    assert not inputs & outputs, "one name, one meaning"
