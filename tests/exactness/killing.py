"""Killing runs: processes that execute a run directory and are killed at any instant, until the run is complete.

The process that kills imports torch once and forks the ones that train, so that a kill costs a fraction of a second. It
must not compute gradients itself: torch refuses to in a forked process after that.

A process dies in one of three ways:

- after a time: a SIGKILL from outside, wherever it may be;
- at a place: a SIGKILL just before an operation that changes the disk, such as the third renaming of a checkpoint;
- at a byte: the kernel ends it in the middle of a write, when a file grows beyond that size (RLIMIT_FSIZE, with SIGXFSZ
  left at its default, which like SIGKILL lets no code of the process run any more).
"""

import contextlib
import importlib
import json
import os
import random
import re
import resource
import shutil
import signal
import struct
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from comparing import assert_identical, execute, result
from space import drawn, write_pictures

from runner.config.compose import Composed, Composer
from runner.config.paths import Places
from runner.launch.single import freeze
from runner.runs.checkpoints import DamagedCheckpointError, read_checkpoint
from runner.runs.directory import RunDirectory
from runner.runs.status import Status

HUNG_AFTER_S = 300.0
MOST_KILLS_OF_A_RUN = 25
"""After so many it is left alone, so that it ends."""
WORKERS = [[], [], [], [], [], ["data.workers=1"], ["data.workers=2", "data.persistent_workers=false"]]
"""Most runs have none: starting them takes longer than training."""


class LossError(Exception):
    """Something that must not happen to a run happened."""


@dataclass(frozen=True, slots=True)
class Kill:
    """How an execution is to die. One that ends before is not killed.

    Args:
        after_s: After so many seconds.
        place: Before an operation, or within a write, such as "rename last.pt" or "open checkpoint".
        number: The how many-th of these, counted from 1.
        byte: At which byte of the file that is opened there; None: before the operation.
    """

    after_s: float | None = None
    place: str = ""
    number: int = 1
    byte: int | None = None


@dataclass
class Report:
    """What was done, and what was seen."""

    runs: int = 0
    executions: int = 0
    kills: int = 0
    """By SIGKILL."""
    ends_at_a_byte: int = 0
    where: Counter[str] = field(default_factory=Counter)
    seen: Counter[str] = field(default_factory=Counter)
    """What kills left behind that a later execution had to put right."""
    models: Counter[str] = field(default_factory=Counter)
    longest_s: float = 0.0

    def add(self, other: "Report") -> None:
        """Take over what another one counted."""
        self.runs += other.runs
        self.executions += other.executions
        self.kills += other.kills
        self.ends_at_a_byte += other.ends_at_a_byte
        self.longest_s = max(self.longest_s, other.longest_s)
        for mine, theirs in ((self.where, other.where), (self.seen, other.seen), (self.models, other.models)):
            mine.update(theirs)

    def __str__(self) -> str:
        deaths = self.kills + self.ends_at_a_byte
        lines = [
            f"{deaths:,} processes died in {self.executions:,} executions of {self.runs:,} runs:",
            f"  {self.kills:>7,}  by SIGKILL",
            f"  {self.ends_at_a_byte:>7,}  by the kernel in the middle of a write",
            f"  {self.longest_s:>7.1f}  seconds: the longest execution",
            "where they died:",
            *(f"  {count:>7,}  {where}" for where, count in sorted(self.where.items())),
            "what they left, and the next execution put right:",
            *(f"  {count:>7,}  {what}" for what, count in sorted(self.seen.items())),
            "what was trained:",
            *(f"  {count:>7,}  {model}" for model, count in sorted(self.models.items())),
        ]
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Alone:
    """A run that was left alone: what the killed ones are compared with, and what tells when to kill.

    Args:
        result: What it came to.
        seconds: How long it took.
        places: How often each operation was done.
        sizes: Bytes of each file, by the name that it has in ``places``.
    """

    result: dict[str, Any]
    seconds: float
    places: dict[str, int]
    sizes: dict[str, int]


def torture(kills: int, seed: int, folder: Path, tell: Callable[[Report], None] = lambda report: None) -> Report:
    """Kill runs of random configurations until so many processes were killed by SIGKILL.

    Args:
        kills: How many.
        seed: Decides configurations and kills; where a kill after a time strikes is up to the machine.
        folder: Where the runs are made; what succeeded is removed.
        tell: Called after each run.

    Raises:
        LossError: If a run lost something, did not come to its end, or ended differently from the one left alone.
    """
    rng = random.Random(seed)
    report = Report()
    with contextlib.chdir(folder):
        write_pictures(folder)
        composer = Composer(Places.find(None, folder))
        warm_up(composer)
        while report.kills < kills:
            typed = [*drawn(rng.choice, rng.choice), *rng.choice(WORKERS)]
            try:
                for run in killed_runs(composer.compose(typed), rng, report):
                    report.models[next(text for text in typed if text.startswith("model="))] += 1
                    tell(report)
                    shutil.rmtree(run.path)
            except (LossError, AssertionError) as error:
                raise LossError(f"{error}\n  run:      runner train {' '.join(typed)}\n  kept in:  {folder}") from error
    return report


def killed_runs(composed: Composed, rng: random.Random, report: Report) -> Iterator[RunDirectory]:
    """Three runs of a configuration that were killed and are complete, and are what the one left alone is."""
    reference = freeze(composed)
    alone = run_alone(reference)
    for _ in range(3):
        run = freeze(composed)
        kill_until_complete(run, alone, rng, report)
        assert_identical(result(run), alone.result)
        report.runs += 1
        yield run
    shutil.rmtree(reference.path)


def warm_up(composer: Composer) -> None:
    """Import in this process whatever an execution imports, so that those forked from it need not."""
    run = freeze(composer.compose(["device=cpu", "epochs=1"]))
    reader, writer = os.pipe()

    def names() -> None:
        execute(run)
        with open(writer, "w") as file:
            json.dump(list(sys.modules), file)

    child = _Child(names)
    os.close(writer)
    with open(reader) as file:
        imported = json.load(file)
    child.wait(HUNG_AFTER_S)
    for name in imported:
        with contextlib.suppress(Exception):  # some cannot be imported by themselves, and need not
            importlib.import_module(name)
    shutil.rmtree(run.path)


def run_alone(run: RunDirectory) -> Alone:
    """Execute a run in a process of its own without touching it.

    Raises:
        LossError: If it does not come to its end.
    """
    began = time.monotonic()
    end, told = _execute_in_child(run, Kill())
    seconds = time.monotonic() - began
    if end != 0:
        raise LossError(f"a run that nobody touched ended with {end}\n{_log(run)}")
    sizes = {"lock": 200}
    for path in run.path.rglob("*"):
        if path.is_file():
            name = file_name(path)
            sizes[name] = max(sizes.get(name, 0), path.stat().st_size)
    return Alone(result(run), seconds, json.loads(told), sizes)


def kill_until_complete(run: RunDirectory, alone: Alone, rng: random.Random, report: Report) -> None:
    """Execute a run again and again, with a kill each time, until it has come to its end.

    Raises:
        LossError: If an execution ends by itself without having completed the run, or something saved is lost.
    """
    step = -1
    kills = 0
    while True:
        kill = _drawn(alone, rng) if kills < MOST_KILLS_OF_A_RUN else Kill()
        began = time.monotonic()
        end, told = _execute_in_child(run, kill, whole_group=rng.random() < 0.5)
        report.longest_s = max(report.longest_s, time.monotonic() - began)
        report.executions += 1
        if end == 0:
            return
        if end == -signal.SIGKILL:
            report.kills += 1
            report.where[f"before {told}" if told else "at any instant"] += 1
        elif end == -signal.SIGXFSZ and kill.byte is not None:
            report.ends_at_a_byte += 1
            report.where[f"within the bytes of {kill.place.removeprefix('open ')}"] += 1
        else:
            raise LossError(f"an execution ended with {end}, killed or not: {kill}\n{_log(run)}\n{told}")
        kills += 1
        step = _examine(run, step, report)


def _drawn(alone: Alone, rng: random.Random) -> Kill:
    way = rng.random()
    if way < 0.5:
        return Kill(after_s=rng.uniform(0, 0.6 * alone.seconds))
    place = rng.choice([*alone.places, "remove event file", "truncate event file"])
    number = rng.randint(1, 1 + alone.places.get(place, 1) // 3)
    if way < 0.8:
        return Kill(place=place, number=number)
    written = sorted(name for name in alone.places if name.startswith("open "))
    place = rng.choice([*written, "open checkpoint"])
    number = rng.randint(1, 1 + alone.places.get(place, 1) // 3)
    return Kill(place=place, number=number, byte=rng.randrange(alone.sizes.get(place.removeprefix("open "), 500)))


def _examine(run: RunDirectory, step_before: int, report: Report) -> int:
    """Look at what a dead process left; the step of the newest checkpoint.

    Raises:
        LossError: If something that was whole no longer is.
    """
    try:
        Status.read(run.status_file)
        json.loads(run.provenance_file.read_text())
        states = {path.name: read_checkpoint(path) for path in sorted(run.checkpoints.glob("*.pt"))}
    except (DamagedCheckpointError, ValueError) as error:
        raise LossError(f"a file was left half-written under its own name: {error}") from error
    step = max((state["progress"]["step"] for state in states.values()), default=-1)
    if step < step_before:
        raise LossError(f"the newest checkpoint was of step {step_before}, and now it is of step {step}")
    report.seen["temporary files"] += len(list(run.path.rglob("*.tmp")))
    if run.metrics_file.exists() and not run.metrics_file.read_bytes().endswith(b"\n"):
        report.seen["metrics.csv ending within a row"] += 1
    report.seen["event files ending within a record"] += sum(not _is_whole(path) for path in _event_files(run))
    report.seen["status.json ahead of the newest checkpoint"] += Status.read(run.status_file).step > max(step, 0)
    report.seen["executions that had saved nothing yet"] += not states
    return step


def _event_files(run: RunDirectory) -> list[Path]:
    return sorted(run.tensorboard.iterdir()) if run.tensorboard.exists() else []


def _is_whole(events: Path) -> bool:
    data, at = events.read_bytes(), 0
    while at + 8 <= len(data):  # length, its checksum, the record, its checksum
        at += 8 + 4 + struct.unpack_from("<Q", data, at)[0] + 4
    return at == len(data)


def _log(run: RunDirectory) -> str:
    return "\n".join(run.log_file.read_text().splitlines()[-40:]) if run.log_file.exists() else "there is no log"


class _Child:
    """A forked process, the leader of its own group, silent; it ends when ``work`` returns."""

    def __init__(self, work: Callable[[], None]) -> None:
        self.pid = os.fork()
        if self.pid:
            with contextlib.suppress(OSError):  # the child has done so already, or has ended
                os.setpgid(self.pid, self.pid)
            return
        code = 99
        try:
            os.setpgid(0, 0)
            null = os.open(os.devnull, os.O_RDWR)
            for number in range(3):
                os.dup2(null, number)
            work()
            code = 0
        except SystemExit as error:
            code = int(error.code or 0)
        finally:
            os._exit(code)

    def wait(self, timeout_s: float) -> int | None:
        """The exit code, or minus the signal that ended it; None when the time is up."""
        until = time.monotonic() + timeout_s
        while True:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                return os.waitstatus_to_exitcode(status)
            left = until - time.monotonic()
            if left <= 0:
                return None
            time.sleep(min(left, 0.002))


def _execute_in_child(run: RunDirectory, kill: Kill, whole_group: bool = False) -> tuple[int, str]:
    """Execute a run in a process of its own, which dies as ``kill`` says; how it ended, and what it told."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    try:
        child = _Child(lambda: _execute_and_tell(run, kill, writer))
        end = child.wait(HUNG_AFTER_S if kill.after_s is None else kill.after_s)
        if end is None:
            if kill.after_s is not None and whole_group:
                os.killpg(child.pid, signal.SIGKILL)
            else:
                os.kill(child.pid, signal.SIGKILL)
            end = child.wait(HUNG_AFTER_S)
            if kill.after_s is None:
                raise LossError(f"an execution had not ended after {HUNG_AFTER_S:.0f} s\n{_log(run)}")
        assert end is not None, "a process that was killed goes on"
        try:
            told = os.read(reader, 1 << 16).decode()
        except BlockingIOError:
            told = ""
    finally:
        os.close(reader)
        os.close(writer)
    return end, told


def _execute_and_tell(run: RunDirectory, kill: Kill, writer: int) -> None:
    pid, done = os.getpid(), Counter[str]()

    def before(event: str, args: tuple[Any, ...]) -> None:
        if event not in _OPERATIONS or os.getpid() != pid:
            return
        for place, path in _changed(event, args, run.path):
            done[place] += 1
            if place != kill.place or done[place] != kill.number:
                continue
            if kill.byte is None:
                os.write(writer, place.encode())
                os.kill(pid, signal.SIGKILL)
            else:
                grows = args[1] is not None and "a" in args[1]
                _end_at(kill.byte % 200 + path.stat().st_size if grows and path.exists() else kill.byte)

    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # Python ignores it, and a write that is too long raises OSError
    sys.addaudithook(before)
    try:
        code = execute(run).exit_code
    except Exception:
        os.write(writer, traceback.format_exc().encode())
        raise
    if code == 0 and not kill.place and kill.after_s is None:
        os.write(writer, json.dumps(done).encode())
    raise SystemExit(code)


def _end_at(byte: int) -> None:
    """Have the kernel end this process, but none forked from it, when a file would grow beyond a size."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    os.register_at_fork(after_in_child=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, unlimited))
    resource.setrlimit(resource.RLIMIT_FSIZE, (byte, unlimited[1]))


_OPERATIONS = {
    "open": "open",
    "os.rename": "rename",
    "os.link": "link",
    "os.remove": "remove",
    "os.truncate": "truncate",
    "os.mkdir": "make",
}
"""What Python announces before it does it (its audit events), of all that changes a disk."""


def _changed(event: str, args: tuple[Any, ...], folder: Path) -> Iterator[tuple[str, Path]]:
    """The operation, when it changes something in a folder, and the path."""
    target = args[1] if event in ("os.rename", "os.link") else args[0]
    if not isinstance(target, str | os.PathLike):
        return
    path = Path(target).absolute()
    if not path.is_relative_to(folder.absolute()):
        return
    if event == "open" and not args[2] & (os.O_WRONLY | os.O_RDWR):
        return
    verb = _OPERATIONS[event]
    if event == "os.remove" and path.suffix == ".tmp":
        verb = "clear up after"  # also where there is nothing to clear up
    yield f"{verb} {file_name(path)}", path


def file_name(path: Path) -> str:
    """What a file of a run is called in a report: without its number, and without the marks of a temporary name."""
    name = re.sub(r"^\.(.*)\.\d+\.tmp$", r"\1", path.name)
    if name.startswith("step-"):
        return "checkpoint"
    return "event file" if name.startswith("events.") else name
