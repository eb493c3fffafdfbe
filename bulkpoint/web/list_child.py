"""Reads or loads one list in a process of its own; run by web/waiting_list.py.

What is to be done comes pickled by stdin, as the person's address of the database has a password, which a command line
would show. What happens goes pickled to stdout: how many rows were read, then the result or the refusal.
"""

import os
import pickle
import signal
import sys

from bulkpoint.errors import BulkpointError
from bulkpoint.streams import say_traceback
from bulkpoint.web.list_work import Done, Load, Read, Refused, Rows


def main() -> int:
    """Do what stdin says, and tell stdout. A defect says where it is, and nothing of the list."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl+C is the server's, which ends us
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)

    def tell(what: Rows | Done | Refused) -> None:
        pickle.dump(what, out)
        out.flush()

    try:
        task: Read | Load = pickle.load(sys.stdin.buffer)  # noqa: S301 (from our own parent)
        tell(Done(task.do(tell)))
    except BulkpointError as error:
        tell(Refused(error.refusal))
    except BrokenPipeError:
        return 1  # nobody waits for it any more
    except Exception as error:  # noqa: BLE001 (the place goes to the log, nothing of the list)
        say_traceback(error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
