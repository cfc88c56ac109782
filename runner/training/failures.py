"""What is behind an exception that ends a training: a mistake of the user's, the disk, or else a fault."""

import errno
import os
from pathlib import Path

import torch

from runner.errors import UserError
from runner.runs.directory import RunDirectory
from runner.training.deterministic import not_deterministic

_OF_DISKS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)
"""What a disk refuses, whoever asks for it."""


def mistake_behind(error: BaseException, run: RunDirectory) -> str | None:
    """What to tell where it is something that the user can mend; None if it is something else.

    A text, for whoever catches an error and holds it would hold all that its traceback knows: loaders with workers.
    """
    if isinstance(error, torch.OutOfMemoryError):
        return str(out_of_memory(run, error))
    mistake = error if isinstance(error, UserError) else not_deterministic(error)
    return None if mistake is None else str(mistake)


def is_of_disk(error: BaseException, run: RunDirectory) -> bool:
    """Whether an exception is about the files of a run, and not about what a user's code has opened."""
    if not isinstance(error, OSError):
        return False
    names = [os.fsdecode(name) for name in (error.filename, error.filename2) if isinstance(name, str | bytes)]
    folder = run.path.resolve()
    return error.errno in _OF_DISKS or any(Path(name).resolve().is_relative_to(folder) for name in names)


def out_of_memory(run: RunDirectory, error: torch.OutOfMemoryError) -> UserError:
    """What to tell when the device's memory was not enough."""
    config = run.config()
    peak = torch.cuda.max_memory_allocated() / 2**30 if torch.cuda.is_available() else 0.0
    batch_size, accumulate = config["data"]["batch_size"], config["training"]["accumulate"]
    halved = f"data.batch_size={batch_size // 2} with training.accumulate={2 * accumulate} needs half of it; "
    return UserError(
        f"the device is out of memory: {peak:.1f} GiB were in use at the most, with data.batch_size={batch_size} "
        f"and data.eval_batch_size={config['data']['eval_batch_size']}",
        where=str(error).splitlines()[0] if str(error) else None,
        fix=f"{halved if batch_size > 1 else ''}device.precision=bf16 halves the activations; in an evaluation, "
        "a smaller data.eval_batch_size",
    )
