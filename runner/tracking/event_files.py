"""Event files on disk: the records that TensorBoard reads, and going back to how they were at a checkpoint."""

import io
import os
import socket
import struct
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_PREFIX = "events.out.tfevents."


class EventFiles:
    """The event files of one run: one file for each process that wrote events.

    TensorBoard reads the files of a folder one after the other in the order of their names, which begin with a time
    stamp, and expects that only the last one grows. So a resumed run starts a file of its own, named to come last even
    if the clock went back, instead of appending to one that a running TensorBoard has already read further than the
    checkpoint.

    A record is handed to the operating system before ``add`` returns: nothing is buffered, no thread is needed, and a
    forked worker process inherits nothing half written.

    Args:
        folder: Where the files lie; made with the first event.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: io.FileIO | None = None
        self._last_stamp = 0

    def add(self, event: Any, step: int | None = None, at: float | None = None) -> None:
        """Append one ``tensorboard.compat.proto.event_pb2.Event``.

        Args:
            event: The event.
            step: That it is stamped with; None: none.
            at: Time of day that it is stamped with, in seconds since 1970; None: now.
        """
        if self._file is None:
            self._file = self._create()
        event.wall_time = time.time() if at is None else at
        if step is not None:
            event.step = step
        _write_record(self._file, event.SerializeToString())

    def position(self) -> dict[str, int]:
        """The size in bytes of every file, by name: what ``rewind`` takes."""
        return {path.name: path.stat().st_size for path in self._paths()}

    def rewind(self, position: Mapping[str, int]) -> list[str]:
        """Cut every file to its length in ``position`` and remove those that are not in it.

        Returns:
            The names of the files that hold less than they did then, because somebody else took it away.
        """
        self.close()
        paths = {path.name: path for path in self._paths()}
        # A TensorBoard that is watching goes on from the name that it saw last, even if that file is gone.
        self._last_stamp = max([self._last_stamp, *map(_stamp, paths)])
        for name, path in paths.items():
            if name not in position:
                path.unlink()
            elif path.stat().st_size > position[name]:
                os.truncate(path, position[name])
        now = self.position()
        return [name for name, size in position.items() if now.get(name, 0) < size]

    def close(self) -> None:
        """Close the file. A later event starts a new one."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _paths(self) -> list[Path]:
        return sorted(self._folder.glob(f"{_PREFIX}*"))

    def _create(self) -> io.FileIO:
        from tensorboard.compat.proto.event_pb2 import Event

        self._folder.mkdir(parents=True, exist_ok=True)
        last = max([self._last_stamp, *(_stamp(path.name) for path in self._paths())])
        self._last_stamp = max(int(time.time()), last + 1)
        # The form of TensorFlow's own names: other tools find the time and the host in them.
        name = f"{_PREFIX}{self._last_stamp:010d}.{socket.gethostname()}.{os.getpid()}.0"
        file = io.FileIO(self._folder / name, "x")
        _write_record(file, Event(wall_time=time.time(), file_version="brain.Event:2").SerializeToString())
        return file


def _stamp(name: str) -> int:
    """The seconds since 1970 that a file's name begins with; 0 if somebody gave it another name."""
    stamp = name.removeprefix(_PREFIX).split(".")[0]
    return int(stamp) if stamp.isdigit() else 0


def _write_record(file: io.FileIO, data: bytes) -> None:
    """Write length, checksum of the length, data, checksum of the data (TensorFlow's TFRecord format)."""
    from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c

    header = struct.pack("<Q", len(data))
    record = header + struct.pack("<I", masked_crc32c(header)) + data + struct.pack("<I", masked_crc32c(data))
    remaining = memoryview(record)
    while remaining:  # an unbuffered write may take a part; on a full disk the next one raises OSError
        remaining = remaining[file.write(remaining) :]
