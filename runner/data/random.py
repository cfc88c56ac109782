"""Random numbers that depend on what they are for, and not on who asked before.

A number is a function of (seed, epoch, sample, position): the output function of SplitMix64 over a counter (Steele, Lea
and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014). So it does not matter which other samples
stand in the batch, which worker loaded it, or whether the run was interrupted.

B: samples of a batch, n: numbers for each.
"""

import torch
from torch import Tensor

_GAMMA = 0x9E3779B97F4A7C15  # 2**64 divided by the golden ratio, made odd
_MIX = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))
_LAST_SHIFT = 31
_WORD = 2**64
_PER_SAMPLE = 2**16  # numbers that a sample may use in an epoch


def fold(*numbers: int) -> int:
    """One number of 64 bits, 0 to 2**64 - 1, in which every bit depends on all of the given ones and their order."""
    state = 0
    for number in numbers:
        state = _mix((state + number) * _GAMMA + _GAMMA)
    return state


def uniforms(seed: int, epoch: int, indices: Tensor, count: int, offset: int = 0) -> Tensor:
    """Uniform random numbers for some samples in some epoch.

    Args:
        seed: Any integer.
        epoch: Any integer.
        indices: (B,) int64, the samples.
        count: Numbers for each sample.
        offset: Numbers to leave out, because they are already in use; ``offset + count`` is at most 2**16.

    Returns:
        (B, count) float32 in [0, 1), multiples of 2**-24, on the device of ``indices`` and the same on each device.
    """
    assert offset + count <= _PER_SAMPLE
    positions = torch.arange(offset, offset + count, device=indices.device)
    # int64 wraps around at 2**64 as the unsigned arithmetic of the paper does.
    state = (indices[:, None] * _PER_SAMPLE + positions).mul_(_signed(_GAMMA)).add_(_signed(fold(seed, epoch)))
    for shift, factor in _MIX:
        state.bitwise_xor_(_shifted(state, shift)).mul_(_signed(factor))
    state.bitwise_xor_(_shifted(state, _LAST_SHIFT))
    return _shifted(state, 40).float().mul_(2.0**-24)


class Draws:
    """The random numbers of a batch, handed out one after another; no two calls get the same.

    Args:
        seed: Any integer.
        epoch: The running epoch.
        indices: (B,) int64, the samples of the batch.
    """

    def __init__(self, seed: int, epoch: int, indices: Tensor) -> None:
        self._seed = seed
        self._epoch = epoch
        self._indices = indices
        self._used = 0

    def __call__(self, count: int) -> Tensor:
        """The next (B, count) uniform numbers in [0, 1)."""
        numbers = uniforms(self._seed, self._epoch, self._indices, count, offset=self._used)
        self._used += count
        return numbers


def _mix(state: int) -> int:
    state %= _WORD
    for shift, factor in _MIX:
        state = (state ^ (state >> shift)) * factor % _WORD
    return state ^ (state >> _LAST_SHIFT)


def _shifted(state: Tensor, shift: int) -> Tensor:
    """A logical shift to the right: torch's own fills up with the sign."""
    return (state >> shift).bitwise_and_(2 ** (64 - shift) - 1)


def _signed(word: int) -> int:
    return word - _WORD if word >= _WORD // 2 else word
