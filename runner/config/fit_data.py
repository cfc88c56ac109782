"""Settings of the data that cannot work together."""

from runner.config.origin import Origin
from runner.config.schema import RunConfig
from runner.errors import UserError


def weights(run: RunConfig, origin: Origin) -> UserError | None:
    """Drawing by weight needs one kind of weights, and other orders have no use for them."""
    given = [key for key in ("class_weights", "sample_weights") if getattr(run.data, key) is not None]
    if run.data.order == "weighted" and not given:
        return UserError(
            "data.order=weighted needs data.class_weights or data.sample_weights",
            where=origin.of(("data", "order")),
            fix="data.class_weights=[1,2], a number for each class, or data.order=balanced",
        )
    if len(given) == 2:
        return UserError(
            "data.class_weights and data.sample_weights are both set",
            where=origin.of(("data", "sample_weights")),
            fix="data.class_weights=null or data.sample_weights=null",
        )
    if given and run.data.order != "weighted":
        return UserError(
            f"data.{given[0]} has no effect for data.order={run.data.order}",
            where=origin.of(("data", given[0])),
            fix="data.order=weighted",
        )
    return None


def folds(run: RunConfig, origin: Origin) -> UserError | None:
    """A fold is one of several."""
    if run.data.folds is None and run.data.fold is None:
        return None
    if run.data.fold is None:
        return UserError(
            f"data.folds={run.data.folds} needs data.fold, which says which of them validates",
            where=origin.of(("data", "folds")),
            fix=f"data.fold=0, or all of them: -m data.fold={','.join(map(str, range(run.data.folds or 2)))}",
        )
    if run.data.folds is None:
        return UserError(
            f"data.fold={run.data.fold} needs data.folds, the number of folds",
            where=origin.of(("data", "fold")),
            fix="data.folds=5, or data.fold=null",
        )
    if run.data.fold >= run.data.folds:
        return UserError(
            f"data.fold={run.data.fold}, but data.folds={run.data.folds}",
            where=origin.of(("data", "fold")),
            expected=f"0 to {run.data.folds - 1}",
        )
    return None


DATA_CHECKS = (weights, folds)
