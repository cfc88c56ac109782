"""Numbers that a configuration lists, or names a file of."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from runner.data.npy import load_npy
from runner.data.source import Array
from runner.errors import UserError, listing, reason_of


def numbers(given: Sequence[float] | str, key: str) -> Array:
    """Numbers (n,), int64 or float64.

    Args:
        given: The numbers; or a file: ``.npy``, or a text with numbers that lines, blanks or commas separate.
        key: The setting, for messages.

    Raises:
        UserError: If the file is not there, or holds something else.
    """
    if not isinstance(given, str):
        return np.asarray(given)
    path = Path(given)
    if not path.is_file():
        raise UserError(f"{key}: the file {path} is not there", fix=f"{key}=PATH, seen from {Path.cwd()}")
    try:
        found = load_npy(path) if path.suffix == ".npy" else _from_text(path)
    except (ValueError, OSError) as error:
        raise UserError(f"{key}: {path} cannot be read as a list of numbers: {reason_of(error)}") from error
    if found.ndim != 1 or found.dtype.kind not in "iuf" or not len(found):
        raise UserError(
            f"{key}: {path} holds {found.dtype} of shape {found.shape}", expected="numbers, one after another"
        )
    return found


def subset_of(pool: Array, given: Sequence[int] | str, count: int) -> Array:
    """The samples of a part that are listed, in the order of the list.

    Args:
        pool: (n,) int64, the samples of the part.
        given: Their numbers, or a file of them; those of other parts are left out.
        count: Samples of all parts.

    Raises:
        UserError: If a number is no sample, comes twice, or none is left.
    """
    key = "data.subset"
    wanted = numbers(given, key)
    strange = wanted[(wanted < 0) | (wanted >= count) | (wanted != np.floor(wanted))]
    if len(strange):
        raise UserError(f"{key} lists {listing(strange, 5)}", expected=f"whole numbers from 0 to {count - 1}")
    unique, occurrences = np.unique(wanted, return_counts=True)
    if len(unique) < len(wanted):
        raise UserError(
            f"{key} lists {listing(unique[occurrences > 1], 5)} more than once", expected="each sample once"
        )
    chosen: Array = wanted[np.isin(wanted, pool)].astype(np.int64)
    if not len(chosen):
        raise UserError(
            f"{key}: none of its {len(wanted)} samples is for training: data.split has put all of them elsewhere",
            fix="more samples, or data.split.test=0 data.split.val=0",
        )
    return chosen


def sample_weights(given: Sequence[float] | str, count: int) -> Array:
    """A weight for each sample of all parts, (count,) float64.

    Raises:
        UserError: If there are more or fewer, or one is no number of 0 or more.
    """
    key = "data.sample_weights"
    found = numbers(given, key).astype(np.float64)
    if len(found) != count:
        raise UserError(f"{key} has {len(found)} numbers, and the data {count} samples", expected="one for each sample")
    wrong = np.flatnonzero(~(np.isfinite(found) & (found >= 0)))
    if len(wrong):
        raise UserError(f"{key}: sample {wrong[0]} has {found[wrong[0]]}", expected="numbers of 0 or more")
    return found


def _from_text(path: Path) -> Array:
    words = path.read_text(encoding="utf-8").replace(",", " ").split()
    values = np.array([float(word) for word in words])
    whole = values.size > 0 and bool((values == np.floor(values)).all())
    return values.astype(np.int64) if whole else values
