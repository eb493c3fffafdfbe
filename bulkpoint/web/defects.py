"""What the log has of an error of this program: where it is, and nothing of what was asked or answered."""

import traceback

from bulkpoint.streams import say_on_stderr


def say_defect(error: BaseException) -> None:
    """The kind of the error and its way through the code. Its own words are left out: a database quotes values."""
    lines = []
    while True:
        frames = traceback.extract_tb(error.__traceback__)
        lines += [f'  File "{frame.filename}", line {frame.lineno}, in {frame.name}' for frame in frames]
        lines.append(f"{type(error).__module__}.{type(error).__qualname__}")
        cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        if cause is None:
            break
        error = cause
        lines.append("by way of")
    say_on_stderr("bulkpoint: an error of this program, on the page\n" + "\n".join(lines))
