"""What holds for every command, also for one that is added later: its texts are UTF-8, and no output is an input."""

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from bulkpoint.launch.command_line import read_strictly


def watch_over(group: click.Group) -> None:
    """Make it hold for every command of the group and of the groups in it. An option of type click.Path is an input
    where the file must exist, else an output; one that takes folders only is neither.
    """
    for command in commands_of(group):
        for parameter in command.params:
            read_strictly(parameter)
        paths = [each for each in command.params if isinstance(each.type, click.Path) and each.type.file_okay]
        if any(not _is_input(each) for each in paths):
            command.callback = _outputs_checked(command, paths)


def commands_of(group: click.Group) -> Iterator[click.Command]:
    """Every command that does something itself."""
    for command in group.commands.values():
        if isinstance(command, click.Group):
            yield from commands_of(command)
        else:
            yield command


def _is_input(parameter: click.Parameter) -> bool:
    return isinstance(parameter.type, click.Path) and parameter.type.exists


def _outputs_checked(command: click.Command, paths: list[click.Parameter]) -> Any:
    callback = command.callback
    assert callback is not None, "a command does something"

    @functools.wraps(callback)
    def checked(**values: Any) -> Any:
        from bulkpoint.files import refuse_output_elsewhere, refuse_output_over_input

        given = [(each, Path(values[each.name])) for each in paths if values.get(each.name or "") is not None]
        outputs = {max(each.opts, key=len): path for each, path in given if not _is_input(each)}
        inputs = {max(each.opts, key=len): path for each, path in given if _is_input(each)}
        refuse_output_elsewhere(outputs)
        refuse_output_over_input(outputs, inputs)
        return callback(**values)

    return checked
