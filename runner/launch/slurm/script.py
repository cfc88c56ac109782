"""The text of the script that is submitted: what Slurm is asked for, and what a job does."""

import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from runner.config.sections.launching import SlurmLauncher
from runner.launch.slurm.options import asked_for
from runner.launch.slurm.task import Task

_PLAIN = re.compile(r"[\w@%+=:,./|&~^*()\[\]-]+")
_LINE = 120


@dataclass(frozen=True, slots=True)
class Script:
    """A job, or an array of them.

    Args:
        settings: Of the launcher.
        name: What the job is called in the queue.
        task: What the job, or each task, does.
        file: Where the script is written.
        output: What Slurm writes the output to; ``%A`` and ``%a`` stand for the number of the array and of the task.
        runs: The run directory of a single job, or those of an array by the number of the task; None where the tasks
            find for themselves what to do.
        tasks: The numbers of the tasks of an array that has no run directories.
    """

    settings: SlurmLauncher
    name: str
    task: Task
    file: Path
    output: str
    runs: Path | Mapping[int, Path] | None = None
    tasks: Sequence[int] = ()

    def text(self) -> str:
        """The whole script."""
        parts = [
            ["#!/bin/bash", f"# Written and submitted by runner; by hand: sbatch {shlex.quote(str(self.file))}"],
            self._directives(),
            ["set -e -o pipefail", f"python={shlex.quote(sys.executable)}", *self._run()],
            self._ending(),
            ["# launcher.setup", *self.settings.setup] if self.settings.setup else [],
            self._start(),
        ]
        return "\n\n".join("\n".join(lines) for lines in parts if lines).replace("\n\n#SBATCH", "\n#SBATCH", 1) + "\n"

    def array(self) -> str | None:
        """Which tasks there are, as Slurm writes it: ``0-3,7%2``; None for a single job."""
        if isinstance(self.runs, Path):
            return None
        numbers = self.tasks if self.runs is None else sorted(self.runs)
        limit = self.settings.max_parallel
        return spans(numbers) + (f"%{limit}" if limit else "")

    def _directives(self) -> list[str]:
        array = self.array()
        asked = {
            "job-name": self.name,
            "chdir": str(self.task.folder),
            "output": self.output,
            "open-mode": "append",
            **({"array": array} if array else {}),
            **asked_for(self.settings),
        }
        # --requeue: Slurm itself queues the job again when it made way for others, or when its node failed.
        more = ["--requeue" if self.settings.requeues else "--no-requeue", *self.settings.sbatch]
        return [f"#SBATCH --{name}={_directive(value)}" for name, value in asked.items()] + [
            f"#SBATCH {option}" for option in more
        ]

    def _run(self) -> list[str]:
        if self.runs is None:
            return []
        if isinstance(self.runs, Path):
            return [f"run={shlex.quote(str(self.runs))}"]
        listed = [f"  [{number}]={shlex.quote(str(run))}" for number, run in sorted(self.runs.items())]
        # What the whole task prints belongs to the run, a failure of the setup too.
        return ["runs=(", *listed, ")", "run=${runs[$SLURM_ARRAY_TASK_ID]}", 'exec >>"$run/output.log" 2>&1']

    def _ending(self) -> list[str]:
        run = ' --run "$run"' if self.runs is not None else ""
        return [
            "# However this ends: a run that was told to stop is queued again, one that died is marked as failed.",
            "ended() {",
            f'    "$python" -P -m runner.launch.slurm.ended "$1" --requeues {self.settings.requeues}{run}',
            "    exit $?",
            "}",
            "trap 'ended $?' EXIT",
            "# What Slurm sends to all processes is meant for the run; this script stays to see how it ends.",
            "trap : TERM USR1",
        ]

    def _start(self) -> list[str]:
        lines = ["export PYTHONUNBUFFERED=1"]
        if self.task.first:
            first = ":".join(map(str, self.task.first))
            lines.append(f"export PYTHONPATH={shlex.quote(first)}${{PYTHONPATH:+:$PYTHONPATH}}")
        if self.settings.cpus is not None:
            lines.append(f"export SRUN_CPUS_PER_TASK={self.settings.cpus}  # Slurm 22.05 and later do not tell srun")
        run = ['"$run"'] if self.runs is not None else []
        words = ['"$python"', "-P", "-m", "runner", *map(shlex.quote, self.task.command), *run]
        starting = _SEVERAL if self.settings.nodes * self.settings.processes > 1 else _ONE
        lines += [*starting[:-1], _wrapped([starting[-1], *words])]
        return lines


_ONE = ["# With srun, because Slurm tells the processes of a step first that they must stop.", "srun"]
_SEVERAL = [
    "# All processes train one run together. A task that ends leaves it to the others to save, or to notice.",
    "srun --kill-on-bad-exit=0",
]


def spans(numbers: Sequence[int]) -> str:
    """Ascending numbers as Slurm writes them: ``0-3,7``."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][-1] + 1:
            parts[-1][1:] = [number]
        else:
            parts.append([number])
    return ",".join("-".join(map(str, part)) for part in parts)


def _directive(value: str) -> str:
    """A value on a line that sbatch reads: it knows double quotes and backslashes, and takes # for a comment."""
    if _PLAIN.fullmatch(value):
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _wrapped(words: Sequence[str]) -> str:
    """A command over as many lines as it needs."""
    lines = [words[0]]
    for word in words[1:]:
        if len(lines[-1]) + len(word) + 3 > _LINE:
            lines.append(f"  {word}")
        else:
            lines[-1] += f" {word}"
    return " \\\n".join(lines)
