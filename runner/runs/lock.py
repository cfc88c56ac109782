"""One process at a time executes a run directory, on one machine or several.

The operating system's own lock (``flock``) settles it where all processes see the same one, and drops it with a process
that dies. File systems shared by machines do not always carry that lock across, so the holder also writes its name into
the file and lets a count go up: a count that stands still for some seconds is that of a dead holder, whatever any clock
says. The name taken from the file tells a holder that was believed dead that it has lost the directory.
"""

import contextlib
import fcntl
import json
import math
import os
import secrets
import socket
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from runner.errors import UserError
from runner.runs.attempt import Attempt

BEAT_S = 4.0
"""Time between two beats of a holder."""
DEAD_AFTER_S = 15.0
"""How long the count of another machine must stand still to be that of a dead holder."""

_NAMED_AFTER_S = 1.0
"""How long a holder that has just taken the lock may need to write its name."""

_ORPHANED_FOR_S = 5.0
"""How long a child that was just forked may need to let go of its parent's lock."""

_LOOK_EVERY_S = 1.0
"""How long a file that seems unchanged is believed to name its holder."""

_SILENT_FOR_S = 60.0
"""How old another machine's last beat must be for a mere look to call its holder dead: clocks differ by less."""


class LostLockError(UserError):
    """Another process has taken the directory over: nothing in it may be written any more."""


class RunLock:
    """Holds the lock of a folder while the ``with`` block runs.

    Args:
        folder: The folder.
        attempt: That of the batch job that this process belongs to; None outside one.
        token: Of a lock that another process holds for this one, which may ``check`` it and do nothing else.
    """

    def __init__(self, folder: Path, attempt: Attempt | None = None, token: str | None = None) -> None:
        self.folder = folder
        self.attempt = attempt
        self.path = folder / "lock"
        self.token = token or secrets.token_hex(8)
        self._looked_at = -math.inf
        self._looked_like: tuple[int, int, int] | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep_beating, name="lock", daemon=True)

    def __enter__(self) -> "RunLock":
        """Take the lock.

        Raises:
            UserError: If another process holds it.
            OSError: If the folder cannot be written.
        """
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        _taken.add(self)
        try:
            if self._replaces(self._record()):
                is_new = self._put_in_place_of_it()
            else:
                self._wait_for_children_of_the_dead()
                is_new = self._wait_for_other_machines()
                self._write(beat=0)
            if is_new:
                time.sleep(_pause())  # whoever waited for the same dead holder has written its own name by then
                self.check()
        except BaseException:
            self._close()
            raise
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        if self in _taken and self._record().get("token") == self.token:
            with contextlib.suppress(OSError):  # the disk may just have become read-only; the lock goes all the same
                os.ftruncate(self._file, 0)
        self._close()

    def check(self) -> None:
        """Make sure that the lock is still held, before something is written that another holder could have written.

        Raises:
            LostLockError: If another process has taken the directory over, or the lock's file away.
        """
        for _ in range(5):
            now, stamp = time.monotonic(), self._stamp()
            record = self._record()
            if record.get("token") == self.token:
                self._looked_at, self._looked_like = now, stamp
                return
            if record:
                break
            time.sleep(0.02)  # a write is under way; or another holder has come and gone, and this lasts
        holder = f"process {record['pid']} on {record['host']}" if record else "another process that has ended"
        raise LostLockError(
            f"{self.folder} was taken over by {holder}: this process leaves it as it is",
            expected="one process at a time; this one, or its machine, did not answer and was believed dead",
        )

    def glance(self) -> None:
        """As ``check``, at a hundredth of its time: for what is written many times a second.

        While the file is as it was when that looked into it, it does so once a second. On a network file system, which
        may tell late that a file has changed, the loss of the lock may so be noticed a second late.

        Raises:
            LostLockError: As there.
        """
        if time.monotonic() - self._looked_at >= _LOOK_EVERY_S or self._stamp() != self._looked_like:
            self.check()

    def _stamp(self) -> tuple[int, int, int] | None:
        """What is another one as soon as the file is written or replaced."""
        try:
            found = os.stat(self.path)
        except OSError:
            return None
        return found.st_ino, found.st_size, found.st_mtime_ns

    def _replaces(self, record: dict[str, Any]) -> bool:
        return self.attempt is not None and self.attempt.replaces(record)

    def _put_in_place_of_it(self) -> bool:
        """Take the lock of an earlier attempt: with a new file, whose system's lock the other one does not have."""
        os.close(self._file)
        temporary = self.path.with_name(f".lock.{self.token}.tmp")
        self._file = os.open(temporary, os.O_RDWR | os.O_CREAT, 0o644)
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._write(beat=0)
        temporary.replace(self.path)
        return True

    def _wait_for_children_of_the_dead(self) -> None:
        """Take the system's lock. A process killed while forking may leave a child that is about to let go of it."""
        began = time.monotonic()
        while True:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if self._is_in_place():
                    return
                os.close(self._file)  # meanwhile somebody has put another file in place of this one
                self._file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
            except BlockingIOError:
                if time.monotonic() - began >= self._patience():
                    raise self._refusal() from None
                time.sleep(0.02)

    def _is_in_place(self) -> bool:
        try:
            return os.path.samestat(os.fstat(self._file), self.path.stat())
        except FileNotFoundError:
            return False

    def _patience(self) -> float:
        """How long to wait for whoever has the system's lock: a child of a dead holder, or one not named yet."""
        record = self._record()
        if not record:
            return _NAMED_AFTER_S
        ended = record["host"] == socket.gethostname() and not _is_alive(record["pid"])
        return _ORPHANED_FOR_S if ended else 0.0

    def _wait_for_other_machines(self) -> bool:
        """Return when no other machine holds the lock; whether one did and is dead."""
        record = self._record()
        if not record or record["host"] == socket.gethostname():
            return False  # of this machine, whose flock was free: it has ended
        until = time.monotonic() + DEAD_AFTER_S
        while time.monotonic() < until:
            time.sleep(_pause())
            now = self._record() or self._record()  # a look that failed is no lock that was given back
            if not now:
                return False
            if now != record:
                raise self._refusal()
        return True

    def _refusal(self) -> UserError:
        until = time.monotonic() + _NAMED_AFTER_S
        while not (record := self._record()) and time.monotonic() < until:
            time.sleep(0.02)
        holder = f"process {record['pid']} on {record['host']}" if record else "a process without a name"
        return UserError(
            f"{self.folder} is being executed by another process: {holder}",
            fix="wait for it, or stop it; its lock goes with it",
        )

    def _keep_beating(self) -> None:
        beat = 0
        while not self._stop.wait(BEAT_S):
            record = self._record()
            if record and record["token"] != self.token:
                return  # taken over: the next check tells
            beat += 1
            with contextlib.suppress(OSError):  # a full disk is told by what writes more than a count
                if record:
                    self._write(beat)

    def _record(self) -> dict[str, Any]:
        return _read(self.path)

    def _write(self, beat: int) -> None:
        record = {"host": socket.gethostname(), "pid": os.getpid(), "token": self.token, "beat": beat}
        if self.attempt is not None:
            record |= {"job": self.attempt.job, "attempt": self.attempt.number}
        # Of one length and written at once, so that no reader sees half of it.
        os.pwrite(self._file, json.dumps(record).encode().ljust(400) + b"\n", 0)

    def _close(self) -> None:
        if self in _taken:
            _taken.remove(self)
            os.close(self._file)


def is_held(folder: Path) -> bool:
    """Whether a process seems to execute a folder, told by a look that takes nothing and waits for nothing.

    For people to see, and not to decide by: of another machine, the time of the last beat must do.
    """
    record = _read(folder / "lock")
    if not record:
        return False
    if record["host"] != socket.gethostname():
        return time.time() - (folder / "lock").stat().st_mtime < _SILENT_FOR_S
    return _is_alive(record["pid"]) and not _can_be_shared(folder / "lock")


def _can_be_shared(path: Path) -> bool:
    """Whether nobody on this machine has the system's lock of a file."""
    try:
        file = os.open(path, os.O_RDONLY)
    except OSError:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return True
    except OSError:
        return False
    finally:
        os.close(file)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # somebody else's, and alive
    return True


def _read(path: Path) -> dict[str, Any]:
    """What a lock's file says; empty when nobody holds the lock, or a write is under way."""
    try:
        found = json.loads(path.read_bytes() or b"{}")
    except (OSError, ValueError):
        return {}
    is_named = isinstance(found, dict) and {"host", "token"} <= set(found) and isinstance(found.get("pid"), int)
    return found if is_named else {}


_taken: set[RunLock] = set()


def _leave_to_parent() -> None:
    """In a child that was just forked, such as a loader worker: an open file would keep the lock after its holder."""
    for lock in list(_taken):
        lock._close()


os.register_at_fork(after_in_child=_leave_to_parent)


def _pause() -> float:
    """Time between two looks at another machine's count."""
    return min(BEAT_S / 4, 1.0)
