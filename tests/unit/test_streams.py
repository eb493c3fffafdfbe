"""stdin, stdout and stderr of our programs: closed, full, without a reader, in another encoding."""

import subprocess
import sys
from pathlib import Path

import pytest

BEGINS = """
import os, sys
from bulkpoint.streams import StdoutFailedError, say_on_stderr, take_streams, write_utf8
take_streams()
"""
SAYS = """
say_on_stderr("for people")
print("also for people", file=sys.stderr)
try:
    print("result", flush=True)
except StdoutFailedError as failed:
    print("dropped", flush=True)
    sys.exit(7 if failed.reader_is_gone else 6)
"""


def shell(redirections: str, program: str = SAYS, **environ: str) -> "subprocess.CompletedProcess[bytes]":
    """Run the program by a shell with these redirections; its exit code is the last line of stdout."""
    line = f'"$0" -c "$1" {redirections}; echo "code $?"'
    root = str(Path(__file__).parents[2])
    return subprocess.run(
        ["bash", "-c", line, sys.executable, BEGINS + program],
        capture_output=True,
        check=True,
        env={"PYTHONPATH": root, "PATH": "/usr/bin:/bin"} | environ,
    )


@pytest.mark.parametrize(
    ("redirections", "stdout", "stderr"),
    [
        ("", "result\ncode 0\n", "for people\nalso for people\n"),
        ("2>/dev/full", "result\ncode 0\n", ""),
        ("2>&-", "result\ncode 0\n", ""),
        ("2</dev/null", "result\ncode 0\n", ""),
        ("<&- 2>&-", "result\ncode 0\n", ""),
        ("2> >(exec 0<&-; sleep 0.1)", "result\ncode 0\n", ""),
        (">/dev/full", "code 6\n", "for people\nalso for people\n"),
        (">&-", "code 6\n", "for people\nalso for people\n"),
        ("1</dev/null", "code 6\n", "for people\nalso for people\n"),
        (">&- 2>&- <&-", "code 6\n", ""),
        (">/dev/full 2>/dev/full", "code 6\n", ""),
    ],
)
def test_a_line_that_cannot_be_written_ends_nothing_and_a_result_that_cannot_is_an_error(
    redirections: str, stdout: str, stderr: str
) -> None:
    done = shell(redirections)
    assert (done.stdout.decode(), done.stderr.decode()) == (stdout, stderr)


def test_a_reader_that_has_gone_is_known_from_a_disk_that_is_full() -> None:
    done = shell('| head -c 0; echo "${PIPESTATUS[0]}"', "import time; time.sleep(0.2)\n" + SAYS)
    assert done.stdout.decode().splitlines()[0] == "7"


def test_no_file_of_ours_gets_the_number_of_a_closed_stream(tmp_path: Path) -> None:
    program = """
opened = [open(sys.argv[0] if False else os.devnull) for _ in range(3)]
assert min(each.fileno() for each in opened) > 2
assert [sys.stdin.read(), sys.stdin.isatty()] == ["", False]
assert all(os.get_inheritable(number) for number in (0, 1, 2)), "what we start has them too"
"""
    assert shell(">&- 2>&- <&-", program).stdout == b"code 0\n"


def test_a_pipe_that_does_not_block_gets_the_whole_result() -> None:
    program = """
import fcntl
for number in (1, 2):
    fcntl.fcntl(number, fcntl.F_SETFL, fcntl.fcntl(number, fcntl.F_GETFL) | os.O_NONBLOCK)
print("x" * 300_000, flush=True)
print("y" * 300_000, file=sys.stderr, flush=True)
"""
    done = shell("2>&1 | (sleep 0.3; cat)", program)
    assert (done.stdout.count(b"x"), done.stdout.count(b"y")) == (300_000, 300_000)


def test_a_character_that_the_encoding_lacks_is_written_as_an_escape_and_json_is_utf_8() -> None:
    program = """
print(b"\\xeb\\xb4\\x84 \\xff".decode(errors="surrogateescape"), flush=True)
print(b"\\xec\\x97\\xac\\xeb\\xa6\\x84".decode(), file=sys.stderr)
write_utf8()
print(b"\\xea\\xb0\\x80\\xec\\x9d\\x84 \\xff".decode(errors="surrogateescape"), flush=True)
"""
    done = shell("", program, PYTHONIOENCODING="ascii")
    assert done.stdout == "\\ubd04 \\udcff\n가을 \\udcff\ncode 0\n".encode()
    assert done.stderr == b"\\uc5ec\\ub984\n"
    latin = shell("", program, LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert latin.stdout.decode().endswith("가을 \\udcff\ncode 0\n")
