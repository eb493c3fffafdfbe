"""A list that a person has sent and that is not loaded: read, looked at, then loaded as it is, or forgotten.

The file waits in a folder of its own with a random name. It goes when the campaign is created, when the person gives
it up or signs out, when the session ends, and after half an hour; what an earlier server left goes when one starts.
"""

import os
import pickle
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Any

import bulkpoint
from bulkpoint.errors import RefusedError
from bulkpoint.intake.form import PLAIN_FORM
from bulkpoint.rules.preview import Preview
from bulkpoint.rules.refusals import Refusal
from bulkpoint.text import visible
from bulkpoint.web import list_child
from bulkpoint.web.list_work import Done, ListRead, Load, Read, Refused, Rows
from bulkpoint.web.uploads import Upload

# Lists that are read or loaded at the same time, by all people together: each takes a core.
AT_WORK_MAX = 2
LISTS_OF_A_SESSION_MAX = 3
LISTS_MAX = 20
LISTS_BYTES_MAX = 2 * 2**30
FORGOTTEN_AFTER_S = 30 * 60.0
# A file's name may have 255 bytes; what is put before it in messages stays readable.
NAME_BYTES_MAX = 150
FOLDER_PREFIX = "list-"

_turns = threading.BoundedSemaphore(AT_WORK_MAX)


class Phase(StrEnum):
    """Where a list is."""

    KEPT = "kept"  # nothing was begun: a field beside it was wrong
    QUEUED = "queued"
    READING = "reading"
    READ = "read"
    REFUSED = "refused"
    LOADING = "loading"
    LOADED = "loaded"


class WaitingList:
    """One list that was sent. typed: the fields beside the file, as they were typed. For many threads.

    rows: read so far. read: what was found by it. seen: that, compared with the lists in the database. refusal: why it
    could not be read, or not be loaded. campaign_id: of the campaign that it became.
    """

    def __init__(self, folder: Path, upload: Upload, typed: Mapping[str, str]) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=FOLDER_PREFIX, dir=folder))
        self.path = self.folder / file_name(upload.name)
        os.replace(upload.path, self.path)  # noqa: PTH105 (says that what is there goes)
        self.bytes = upload.bytes
        self.typed = dict(typed)
        self.form = PLAIN_FORM
        self.phase = Phase.KEPT
        self.began_at = time.monotonic()
        self.rows = 0
        self.read: ListRead | None = None
        self.seen: Preview | None = None
        self.refusal: Refusal | None = None
        self.campaign_id: int | None = None
        self.is_announced = False  # that it became a campaign was said
        self.is_gone = False
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._ended = threading.Event()
        self._ended.set()
        self._timer = threading.Timer(FORGOTTEN_AFTER_S, self.remove)
        self._timer.daemon = True
        self._timer.start()

    @property
    def name(self) -> str:
        """The file's, for people."""
        return self.path.name

    @property
    def is_at_work(self) -> bool:
        """Whether it is read or loaded, or waits for its turn."""
        return self.phase in (Phase.QUEUED, Phase.READING, Phase.LOADING)

    @property
    def elapsed_s(self) -> float:
        """Since the work began that is under way."""
        return time.monotonic() - self.began_at

    def begin_reading(self, task: Read) -> None:
        """Read it, or read it again in another form."""
        self.form, self.read, self.seen, self.rows = task.form, None, None, 0
        self._begin(Phase.QUEUED, task)

    def begin_loading(self, task: Load) -> None:
        """Create the campaign; a second click while it is under way changes nothing."""
        if not self.is_at_work and self.phase is not Phase.LOADED:
            self._begin(Phase.LOADING, task)

    def wait(self, s_max: float) -> None:
        """Until the work has ended, at most so long."""
        self._ended.wait(s_max)

    def remove(self) -> None:
        """It is there no more. Reading ends at once; what is being loaded is loaded, and goes then."""
        self._timer.cancel()
        with self._lock:
            self.is_gone = True
            child = None if self.phase is Phase.LOADING else self._child
        if child is not None:
            child.kill()
        if self.phase is not Phase.LOADING:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _begin(self, phase: Phase, task: Read | Load) -> None:
        with self._lock:
            self.phase, self.refusal, self.began_at = phase, None, time.monotonic()
            self._ended.clear()
        threading.Thread(target=self._work, args=(task,), name="list", daemon=True).start()

    def _work(self, task: Read | Load) -> None:
        try:
            with _turns:
                if self.phase is Phase.QUEUED:
                    self.phase = Phase.READING
                self.began_at = time.monotonic()
                self._end(self._result_of(task))
        except BaseException:
            self._end(Refused(Refusal("LIST_READER_BROKE", {"file": self.name}, ("try_again",))))
            raise
        finally:
            self._ended.set()
            if self.is_gone or self.phase is Phase.LOADED:
                shutil.rmtree(self.folder, ignore_errors=True)

    def _end(self, end: Done | Refused) -> None:
        match end:
            case Refused(refusal):
                # What cannot be loaded can still be looked at.
                self.refusal = refusal
                self.phase = Phase.REFUSED if self.read is None else Phase.READ
            case Done(ListRead() as read):
                self.read, self.phase = read, Phase.READ
            case Done(campaign_id):
                self.campaign_id, self.phase = campaign_id, Phase.LOADED

    def _result_of(self, task: Read | Load) -> Done | Refused:
        """What a child makes of it; one that dies was ended from outside, by us or for want of memory."""
        end: Done | Refused = Refused(Refusal("LIST_READER_BROKE", {"file": self.name}, ("try_again",)))
        with self._lock:
            if self.is_gone and isinstance(task, Read):
                return end
            self._child = child = _start_child()
        try:
            with suppress(EOFError, BrokenPipeError, pickle.UnpicklingError):
                end = self._follow(child, task)
        finally:
            with self._lock:
                self._child = None
            child.kill()
            child.wait()
            for pipe in (child.stdin, child.stdout):
                if pipe is not None:
                    with suppress(BrokenPipeError):
                        pipe.close()
        return end

    def _follow(self, child: "subprocess.Popen[bytes]", task: Read | Load) -> Done | Refused:
        assert child.stdin is not None, "it is a pipe"
        assert child.stdout is not None, "so is this"
        pickle.dump(task, child.stdin)
        child.stdin.close()
        while True:
            said: Any = pickle.load(child.stdout)  # noqa: S301 (from our own child)
            if isinstance(said, Done | Refused):
                return said
            if isinstance(said, Rows):
                self.rows = said.number


def refuse_too_many(folder: Path, lists: list[WaitingList]) -> None:
    """Raises RefusedError where a session, or all of them together, have as many lists waiting as there may be."""
    if len(lists) >= LISTS_OF_A_SESSION_MAX:
        raise RefusedError("LISTS_OF_SESSION", "give_one_up", number=len(lists))
    waiting = list(folder.glob(f"{FOLDER_PREFIX}*"))
    if len(waiting) >= LISTS_MAX or sum(map(_bytes_in, waiting)) > LISTS_BYTES_MAX:
        raise RefusedError("LISTS_OF_ALL", "send_later", number=len(waiting))


def file_name(name: str) -> str:
    """A file's name as a person gave it, as one that a file may have: no folder, nothing unseen, not too long."""
    plain = visible(name.replace("/", "_").replace("\\", "_").replace("\0", "")).strip().lstrip(".") or "list"
    ending = Path(plain).suffix[:10]
    stem = plain[: len(plain) - len(Path(plain).suffix)] or "list"
    cut = stem.encode("utf-8", "replace")[: NAME_BYTES_MAX - len(ending.encode())]
    return cut.decode("utf-8", "ignore") + ending


def _start_child() -> "subprocess.Popen[bytes]":
    root = str(Path(bulkpoint.__file__).parents[1])
    path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.Popen(
        [sys.executable, "-P", list_child.__file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": path},
    )


def _bytes_in(folder: Path) -> int:
    with suppress(OSError):
        return sum(each.stat().st_size for each in folder.iterdir())
    return 0
