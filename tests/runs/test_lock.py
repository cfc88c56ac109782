"""One process at a time: on this machine by the system's own lock, across machines by a name and a count."""

import contextlib
import fcntl
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runner.errors import UserError
from runner.runs import lock as lock_module
from runner.runs.attempt import Attempt
from runner.runs.lock import LostLockError, RunLock


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beats every 20 ms; a count that stands still for 0.3 s is that of a dead holder."""
    monkeypatch.setattr(lock_module, "BEAT_S", 0.02)
    monkeypatch.setattr(lock_module, "DEAD_AFTER_S", 0.3)
    monkeypatch.setattr(lock_module, "_NAMED_AFTER_S", 0.05)


@pytest.fixture
def machines_apart(monkeypatch: pytest.MonkeyPatch, quick: None) -> Callable[[str], None]:
    """Says on which machine the next lock is taken; the machines' file system does not carry the system's lock."""
    monkeypatch.setattr(fcntl, "flock", lambda file, how: None)
    return lambda name: monkeypatch.setattr(socket, "gethostname", lambda: name)


def record(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "lock").read_bytes() or b"{}"))


def leave(folder: Path, **changes: Any) -> None:
    """What a holder on another machine has written."""
    known = {"host": "node7", "pid": 42, "token": "of node7", "beat": 0} | changes
    file = os.open(folder / "lock", os.O_RDWR | os.O_CREAT)
    os.pwrite(file, json.dumps(known).encode().ljust(200) + b"\n", 0)
    os.close(file)


@contextlib.contextmanager
def beating(folder: Path) -> Iterator[None]:
    """A holder on another machine that is alive."""
    stop = threading.Event()

    def beat() -> None:
        count = 0
        while not stop.wait(0.02):
            count += 1
            leave(folder, beat=count)

    leave(folder)
    thread = threading.Thread(target=beat)
    thread.start()
    yield
    stop.set()
    thread.join()


def test_a_second_lock_is_refused_with_the_name_of_the_holder(tmp_path: Path) -> None:
    name = f"process {os.getpid()} on {socket.gethostname()}"
    with RunLock(tmp_path), pytest.raises(UserError, match=f"is being executed by another process: {name}\n"):
        RunLock(tmp_path).__enter__()


def test_a_refusal_leaves_the_holder_alone(tmp_path: Path) -> None:
    with RunLock(tmp_path) as holder:
        before = (tmp_path / "lock").read_bytes()
        with pytest.raises(UserError):
            RunLock(tmp_path).__enter__()
        assert (tmp_path / "lock").read_bytes() == before
        holder.check()


def test_a_lock_that_was_given_back_can_be_taken_at_once_and_names_nobody(tmp_path: Path) -> None:
    for _ in range(2):
        with RunLock(tmp_path):
            assert record(tmp_path)["pid"] == os.getpid()
        assert record(tmp_path) == {}


def test_an_error_gives_the_lock_back(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), RunLock(tmp_path):
        raise ZeroDivisionError
    with RunLock(tmp_path):
        pass


def test_a_folder_that_is_not_there_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        RunLock(tmp_path / "missing").__enter__()


def test_what_a_dead_process_of_this_machine_left_does_not_matter(tmp_path: Path) -> None:
    leave(tmp_path, host=socket.gethostname())
    started = time.monotonic()
    with RunLock(tmp_path):
        assert record(tmp_path)["pid"] == os.getpid()
    assert time.monotonic() - started < 1


def test_the_count_goes_up_while_the_lock_is_held(tmp_path: Path, quick: None) -> None:
    with RunLock(tmp_path) as holder:
        counts = []
        while len(counts) < 3:
            beat = record(tmp_path)["beat"]
            counts += [beat] if beat not in counts else []
            time.sleep(0.005)
        holder.check()
    assert counts == sorted(counts)


def test_a_living_holder_on_another_machine_is_respected(tmp_path: Path, machines_apart: Callable[[str], None]) -> None:
    machines_apart("node1")
    refused = pytest.raises(UserError, match="another process: process 42 on node7\n")
    with beating(tmp_path), refused:
        RunLock(tmp_path).__enter__()


def test_a_dead_holder_on_another_machine_loses_the_lock(tmp_path: Path, machines_apart: Callable[[str], None]) -> None:
    machines_apart("node1")
    leave(tmp_path)
    started = time.monotonic()
    with RunLock(tmp_path) as holder:
        assert time.monotonic() - started >= 0.3
        assert record(tmp_path)["host"] == "node1"
        holder.check()


def test_a_holder_on_another_machine_that_ends_meanwhile_leaves_the_lock(
    tmp_path: Path, machines_apart: Callable[[str], None]
) -> None:
    machines_apart("node1")
    leave(tmp_path)
    threading.Timer(0.1, (tmp_path / "lock").write_bytes, [b""]).start()
    with RunLock(tmp_path) as holder:
        holder.check()


def test_of_two_that_wait_for_the_same_dead_holder_one_gets_the_lock(
    tmp_path: Path, machines_apart: Callable[[str], None]
) -> None:
    machines_apart("node1")
    leave(tmp_path)
    ready, outcomes = threading.Barrier(4), []

    def wait_and_take() -> None:
        ready.wait()
        try:
            with RunLock(tmp_path) as holder:
                time.sleep(0.2)
                holder.check()
                outcomes.append("held")
        except UserError:
            outcomes.append("refused")

    threads = [threading.Thread(target=wait_and_take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["held", "refused", "refused", "refused"]


def test_whoever_has_lost_the_lock_is_told_by_whom_and_does_not_take_it_back(
    tmp_path: Path, machines_apart: Callable[[str], None]
) -> None:
    machines_apart("node1")
    with RunLock(tmp_path) as holder:
        leave(tmp_path)
        with pytest.raises(LostLockError, match="was taken over by process 42 on node7: this process leaves it"):
            holder.check()
        time.sleep(0.1)  # several beats
    assert record(tmp_path)["token"] == "of node7"


def test_a_glance_sees_a_loss_at_once_where_the_file_shows_that_it_was_written(tmp_path: Path) -> None:
    with RunLock(tmp_path) as lock:
        lock.check()
        lock.glance()
        leave(tmp_path)
        with pytest.raises(LostLockError, match="process 42 on node7"):
            lock.glance()


def test_a_glance_does_not_believe_for_long_that_a_file_is_unchanged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with RunLock(tmp_path) as lock:
        monkeypatch.setattr(lock, "_stamp", lambda: None)  # a network file system that shows what it has kept
        lock.check()
        leave(tmp_path)
        monkeypatch.setattr(lock_module, "_LOOK_EVERY_S", 3600)
        lock.glance()
        monkeypatch.setattr(lock_module, "_LOOK_EVERY_S", 0)
        with pytest.raises(LostLockError, match="process 42 on node7"):
            lock.glance()


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"noise", None], ids=["emptied", "{}", "[]", "noise", "gone"])
def test_a_lock_without_a_name_is_lost_too(tmp_path: Path, quick: None, content: bytes | None) -> None:
    with RunLock(tmp_path) as holder:
        if content is None:
            (tmp_path / "lock").unlink()
        else:
            (tmp_path / "lock").write_bytes(content)
        with pytest.raises(LostLockError, match="was taken over by another process that has ended"):
            holder.check()


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"noise", b'{"host": "a"}'], ids=str)
def test_a_file_without_a_name_is_nobodys_lock(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "lock").write_bytes(content)
    with RunLock(tmp_path) as holder:
        holder.check()


def test_the_clock_of_the_day_does_not_matter(
    tmp_path: Path, machines_apart: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    machines_apart("node1")
    monkeypatch.setattr(time, "time", lambda: 0.0)
    with beating(tmp_path):
        os.utime(tmp_path / "lock", (0, 0))
        with pytest.raises(UserError):
            RunLock(tmp_path).__enter__()
    leave(tmp_path)
    os.utime(tmp_path / "lock", (2**31, 2**31))
    with RunLock(tmp_path):
        pass


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_of_the_holder_neither_keeps_the_lock_nor_gives_it_back(tmp_path: Path) -> None:
    ready, say_ready = os.pipe()
    with RunLock(tmp_path) as holder:
        pid = os.fork()
        if pid == 0:
            try:
                holder.__exit__(None, None, None)
                os.write(say_ready, b"x")
                time.sleep(1000)
            finally:
                os._exit(1)
        assert os.read(ready, 1) == b"x"
        assert record(tmp_path)["pid"] == os.getpid()
        holder.check()
    try:
        with RunLock(tmp_path):
            assert os.waitpid(pid, os.WNOHANG) == (0, 0), "the child is still there"
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(ready)
        os.close(say_ready)


# --- attempts of a batch job ------------------------------------------------------------------------------------------


def test_a_later_attempt_of_a_job_takes_the_lock_from_one_that_lives(tmp_path: Path, quick: None) -> None:
    with RunLock(tmp_path, Attempt("12_3", 0)) as earlier:
        with RunLock(tmp_path, Attempt("12_3", 1)) as later:
            with pytest.raises(LostLockError, match="was taken over"):
                earlier.check()
            later.check()
            time.sleep(0.1)  # some beats of the earlier one, which go into a file that has no name any more
            later.check()
        assert record(tmp_path) == {}


@pytest.mark.parametrize(
    "other",
    [None, Attempt("12_3", 1), Attempt("12_3", 0), Attempt("12_4", 2)],
    ids=["no job", "same", "earlier", "other job"],
)
def test_nobody_else_takes_it(tmp_path: Path, quick: None, other: Attempt | None) -> None:
    with RunLock(tmp_path, Attempt("12_3", 1)) as holder:
        with pytest.raises(UserError, match="is being executed by another process"):
            RunLock(tmp_path, other).__enter__()
        holder.check()


def test_a_later_attempt_does_not_wait_for_one_on_another_machine_that_beats(
    tmp_path: Path, machines_apart: Callable[[str], None]
) -> None:
    machines_apart("node1")
    with RunLock(tmp_path, Attempt("12", 0)) as earlier:
        machines_apart("node2")
        with RunLock(tmp_path, Attempt("12", 1)) as later:
            later.check()
            with pytest.raises(LostLockError, match="on node2"):
                earlier.check()


def test_whoever_waits_for_a_lock_that_is_replaced_waits_for_the_new_one(tmp_path: Path, quick: None) -> None:
    earlier = RunLock(tmp_path, Attempt("12", 0)).__enter__()
    old_file = os.open(tmp_path / "lock", os.O_RDWR)
    with RunLock(tmp_path, Attempt("12", 1)):
        late = RunLock(tmp_path)
        opened: list[int] = []

        def open_the_old_one(*args: Any) -> int:  # what a process has that looked just before
            opened.append(1)
            return os.dup(old_file) if len(opened) == 1 else _open(*args)

        _open = os.open
        earlier.__exit__(None, None, None)
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(lock_module.os, "open", open_the_old_one)
            with pytest.raises(UserError, match="is being executed by another process"):
                late.__enter__()
    os.close(old_file)
    assert len(opened) > 1
