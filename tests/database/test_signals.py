"""A signal in the middle of a long statement: the server stops working on it, and nothing is said of that."""

import os
import signal
import subprocess
import sys

import pytest

from bulkpoint.store.connect import Connection
from tests.world.waiting import wait_for

PROGRAM = """
import sys
from bulkpoint.launch.signals import Terminated, raise_on_signals
from bulkpoint.store.connect import connect
raise_on_signals()
try:
    with connect(sys.argv[1], name="test") as connection, connection.transaction():
        connection.execute("select pg_sleep(600)")
except (KeyboardInterrupt, Terminated):
    sys.exit(99)
"""
AT_WORK = (
    b"select count(*) from pg_stat_activity"
    b" where query like '%pg_sleep(600)' and pid <> pg_backend_pid() and state = 'active'"
)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_in_a_long_statement_cancels_it_at_the_server_without_a_word(
    database_url: str, connection: Connection, number: signal.Signals
) -> None:
    def at_work() -> int:
        row = connection.execute(AT_WORK).fetchone()
        assert row is not None
        return int(row[0])

    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, database_url], stderr=subprocess.PIPE, text=True, env=dict(os.environ)
    )
    wait_for(lambda: at_work() == 1, "the statement to begin")
    program.send_signal(number)
    _, words = program.communicate(timeout=20)
    assert (program.returncode, words) == (99, "")
    wait_for(lambda: at_work() == 0, "the server to stop working on it")
