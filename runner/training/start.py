"""The weights that a run starts from, where its configuration names a file of them."""

from pathlib import Path

from runner.config.sections.model import AnyModel
from runner.errors import UserError, listing
from runner.models.loading import load_weights
from runner.parallel.pieces import divided_like
from runner.runs.directory import RunDirectory
from runner.runs.provenance import digest_of
from runner.runs.weights import read_weights
from runner.training.parts import Parts


def start_from_file(run: RunDirectory, model: AnyModel, parts: Parts) -> str | None:
    """Give the model the weights in its file, before the first update; a line on what was taken.

    Raises:
        UserError: If the file is not the one that the run was made with, or does not fit to the model.
    """
    if model.weights is None:
        return None
    path = Path(model.weights).expanduser()
    recorded = run.provenance()["weights"]["sha256"]
    if digest_of(path) != recorded:
        raise UserError(
            f"model.weights={path} has changed since the run was made",
            expected=f"the file with SHA-256 {recorded}",
            fix="put that file back, or start a new run with runner train",
        )
    weights = read_weights(path)
    try:
        kept = load_weights(
            parts.model,
            weights,
            left_out=model.weights_except or (),
            new_layers=parts.new_layers,
            fit=divided_like,
        )
    except UserError as error:
        raise error.at(f"model.weights={path}") from None
    if parts.averaged is not None:
        parts.averaged.module.load_state_dict(parts.model.state_dict())
    fresh = f"; not from it: {listing(kept, limit=6)}" if kept else ""
    return f"weights  {path}{fresh}"
