"""Stand-ins for the commands of Slurm, and sweeps as far as launching looks at them."""

import json
from dataclasses import dataclass
from pathlib import Path

from runner.runs.status import Status
from runner.runs.sweep_directory import SweepDirectory, SweepRecord

PROGRAM = """#!{python}
import json, pathlib, sys
folder = pathlib.Path({folder!r})
name = pathlib.Path(sys.argv[0]).name
with open(folder / "calls", "a") as calls:
    calls.write(json.dumps([name, *sys.argv[1:]]) + "\\n")
answer = folder / name
if (folder / (name + ".error")).exists() and "--version" not in sys.argv:
    sys.stderr.write((folder / (name + ".error")).read_text())
    sys.exit(1)
if name == "sbatch" and "--version" not in sys.argv:
    import os
    pathlib.Path(folder / "environment").write_text(json.dumps(dict(os.environ)))
    number = int(answer.read_text())
    answer.write_text(str(number + 1))
    print(number)
elif answer.exists():
    print(answer.read_text(), end="")
"""


@dataclass(frozen=True)
class FakeSlurm:
    """Stand-ins for the commands of Slurm, which say what they are told to say."""

    folder: Path

    def calls(self, name: str | None = None) -> list[list[str]]:
        """What was called, with arguments; of one command or of all."""
        file = self.folder / "calls"
        lines = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
        return [line for line in lines if name in (None, line[0])]

    def environment(self) -> dict[str, str]:
        """The environment that sbatch found last."""
        return dict(json.loads((self.folder / "environment").read_text()))

    def answer(self, name: str, text: str) -> None:
        """Let a command print this from now on."""
        (self.folder / name).write_text(text)

    def fail(self, name: str, text: str) -> None:
        """Let a command fail with these words."""
        (self.folder / f"{name}.error").write_text(text)

    def queue(self, *jobs: tuple[str, str, int, str, str]) -> None:
        """Let squeue know these jobs: name, state, how often queued again, node, reason."""
        widths = (40, 20, 10, 200, 200)
        lines = ["".join(str(cell).ljust(width) for cell, width in zip(job, widths, strict=True)) for job in jobs]
        self.answer("squeue", "".join(f"{line}\n" for line in lines))


def make_sweep(path: Path, numbers: range) -> SweepDirectory:
    """A sweep whose runs, of these numbers, differ in their seed."""
    made = SweepDirectory(path)
    made.runs_folder.mkdir(parents=True)
    made.write(SweepRecord("2026-11-24T10:00:00+00:00", [], ["seed"], len(numbers), [[] for _ in numbers], threads=1))
    for number in numbers:
        run = made.place(number, [("seed", str(number))])
        run.mkdir()
        (run / "config.yaml").write_text("name: x\ndevice: {parallel: none, processes: auto}\n")
        (run / "overrides.yaml").write_text(f"typed: [seed={number}]\nchoices: {{}}\n")
        Status().write(run / "status.json")
    return made
