"""A run directory that repeats another run."""

from collections.abc import Sequence
from pathlib import Path

from runner.runs import provenance
from runner.runs.directory import RunDirectory, create, from_here
from runner.runs.sweep_directory import SweepDirectory


def again(old: RunDirectory, command: Sequence[str]) -> RunDirectory:
    """A new run directory with the frozen configuration of ``old``: beside it, or beside the sweep that it is one of.

    Among the runs of the sweep it would be taken for one of them, and count twice in their means.
    """
    record, weights = old.overrides(), old.provenance().get("weights")
    return create(
        from_here(_place(old.path.resolve())),
        old.config(),
        typed=record["typed"],
        choices=record["choices"],
        provenance={
            **provenance.collect(command, Path.cwd()),
            "weights": weights,  # of the same content, or the new run does not start
            "repeats": str(old.path),
        },
    )


def _place(old: Path) -> Path:
    sweep = SweepDirectory.of_run(old)
    if sweep is None:
        return old.with_name(f"{old.name}-again")
    return sweep.path.with_name(f"{sweep.path.name}-{old.name.partition('-')[0]}-again")
