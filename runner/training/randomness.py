"""The random generators of a process: started from the run's seed, saved and restored with a checkpoint."""

import random
from typing import Any

import numpy as np
import torch

from runner.data.random import fold


def seed_everything(seed: int) -> None:
    """Start every generator that a model or a user's code may draw from."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def start_process(seed: int, rank: int, step: int) -> None:
    """Start the generators of one of several processes, whose own draws (dropout) are others than those of the first.

    Args:
        seed: Of the run.
        rank: Which process, 1 or more.
        step: Updates done when it joins: it draws nothing again that was drawn before.
    """
    seed_everything(fold(seed, rank, step) >> 1)  # torch takes 64 bits with a sign


def generator_states(all_gpus: bool = True) -> dict[str, Any]:
    """The state of every generator, in types that load with ``weights_only=True``.

    Args:
        all_gpus: Whether this process has all GPUs that it sees; else it has the one that it computes on.
    """
    cuda = []
    if torch.cuda.is_available():
        cuda = torch.cuda.get_rng_state_all() if all_gpus else [torch.cuda.get_rng_state()]
    version, internal, gauss = random.getstate()
    name, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    return {
        "torch": torch.get_rng_state(),
        "cuda": cuda,
        "python": (version, list(internal), gauss),
        "numpy": (str(name), torch.from_numpy(np.asarray(keys, dtype=np.int64)), position, has_gauss, cached),
    }


def restore_generators(states: dict[str, Any], all_gpus: bool = True) -> None:
    """Go on drawing from where ``generator_states`` was taken."""
    torch.set_rng_state(states["torch"])
    if states["cuda"] and torch.cuda.is_available():
        if all_gpus:
            torch.cuda.set_rng_state_all(states["cuda"][: torch.cuda.device_count()])
        else:
            torch.cuda.set_rng_state(states["cuda"][0])
    version, internal, gauss = states["python"]
    random.setstate((version, tuple(internal), gauss))
    name, keys, position, has_gauss, cached = states["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), position, has_gauss, cached))
