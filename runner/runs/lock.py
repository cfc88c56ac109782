"""One process at a time executes a run directory, on one machine or several.

The operating system's own lock (``flock``) settles it where all processes see the same one, and drops it with a process
that dies. File systems shared by machines do not always carry that lock across, so the holder also writes its name into
the file and lets a count go up: a count that stands still for some seconds is that of a dead holder, whatever any clock
says. The name taken from the file tells a holder that was believed dead that it has lost the directory.
"""

import contextlib
import fcntl
import json
import os
import secrets
import socket
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from runner.errors import UserError

BEAT_S = 4.0
"""Time between two beats of a holder."""
DEAD_AFTER_S = 15.0
"""How long the count of another machine must stand still to be that of a dead holder."""


class RunLock:
    """Holds the lock of a folder while the ``with`` block runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "lock"
        self._token = secrets.token_hex(8)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep_beating, name="lock", daemon=True)

    def __enter__(self) -> "RunLock":
        """Take the lock.

        Raises:
            UserError: If another process holds it.
            OSError: If the folder cannot be written.
        """
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise self._refusal() from None
            self._wait_for_other_machines()
            self._write(beat=0)
        except BaseException:
            os.close(self._file)
            raise
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        if self._record().get("token") == self._token:
            os.ftruncate(self._file, 0)
        os.close(self._file)

    def check(self) -> None:
        """Make sure that the lock is still held, before something is written that another holder could have written.

        Raises:
            UserError: If another process has taken the directory over.
        """
        record = self._record()
        if record and record["token"] != self._token:
            raise UserError(
                f"{self.folder} was taken over by process {record.get('pid')} on {record.get('host')}",
                expected="one process at a time; this one stood still for so long that it was believed dead",
            )

    def _wait_for_other_machines(self) -> None:
        record = self._record()
        if not record or record["host"] == socket.gethostname():
            return  # of this machine, whose flock was free: it has ended
        until = time.monotonic() + DEAD_AFTER_S
        while time.monotonic() < until:
            time.sleep(min(BEAT_S / 4, 1.0))
            now = self._record()
            if now != record:
                if not now:
                    return
                raise self._refusal()

    def _refusal(self) -> UserError:
        record = self._record()
        holder = f"process {record['pid']} on {record['host']}" if record else "another process"
        return UserError(
            f"{self.folder} is being executed by {holder}", fix="wait for it, or stop it; its lock goes with it"
        )

    def _keep_beating(self) -> None:
        beat = 0
        while not self._stop.wait(BEAT_S):
            if self._record().get("token") != self._token:
                return  # taken over: the next check tells
            beat += 1
            with contextlib.suppress(OSError):  # a full disk is told by what writes more than a count
                self._write(beat)

    def _record(self) -> dict[str, Any]:
        """What the file says; empty when nobody holds the lock, or a write is under way."""
        try:
            found = json.loads(self.path.read_bytes() or b"{}")
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def _write(self, beat: int) -> None:
        record = {"host": socket.gethostname(), "pid": os.getpid(), "token": self._token, "beat": beat}
        # Of one length and written at once, so that no reader sees half of it.
        os.pwrite(self._file, json.dumps(record).encode().ljust(200) + b"\n", 0)
