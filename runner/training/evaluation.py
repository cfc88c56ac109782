"""Evaluating a checkpoint of a run without touching the run."""

from runner.config.frozen import frozen
from runner.errors import UserError
from runner.runs import provenance
from runner.runs.directory import RunDirectory
from runner.tracking.console import Console
from runner.training.assemble import assemble
from runner.training.loop import evaluate
from runner.training.session import checkpoint_store
from runner.trust import Trust


def evaluate_run(
    run: RunDirectory, split: str, checkpoint: str, trust: Trust, console: Console
) -> tuple[dict[str, float], int, int]:
    """Figures of a checkpoint (``best``, ``last`` or a file) on a split, the number of samples, and the epoch.

    Data that have changed since the run was last executed are warned of: a split is drawn anew for them.

    Raises:
        UserError: If the checkpoint or the split does not exist, or the run names code that is not trusted.
    """
    trust.check(run.config(), run.path)
    config = frozen(run)
    state = checkpoint_store(run, config).load(checkpoint)
    parts = assemble(config, run.choices(), console)
    splits = parts.splits
    batches = splits.by_name.get(split)
    if batches is None:
        raise UserError(
            f"the data has no {split} split", expected="a split with samples: see data.split in config.yaml"
        )
    _warn_of_other_data(run, splits.fingerprint, split, console)
    parts.load_weights(state)
    return evaluate(parts, batches.epoch(0)), len(batches.indices), state["progress"]["epoch"]


def _warn_of_other_data(run: RunDirectory, fingerprint: str, split: str, console: Console) -> None:
    difference = provenance.data_difference(run.provenance_file, fingerprint)
    if difference is None:
        return
    risk = "" if split == "train" else f", and samples of {split} may have been trained on"
    console.warn(f"{provenance.since_last_executed(difference)}\n  the split may be another one, too{risk}")
