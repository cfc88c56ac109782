"""Keeping torch from importing its compiler where nothing is compiled.

Making an optimizer, and its first step, make torch import ``torch._dynamo`` with sympy, which takes longer than torch
itself. Where no compiler runs there is nothing for it to do. In a torch that does this in another way, what is looked
for here is not found, and everything is as torch has it.
"""

from collections.abc import Callable
from types import FunctionType
from typing import Any

import torch
from torch._compile import _disable_dynamo
from torch.optim import Optimizer
from torch.optim.optimizer import _use_grad_for_differentiable


def spare_dynamo() -> int:
    """Let optimizers be made without ``torch._dynamo``; give the number of methods that no longer import it.

    Some methods are wrapped so that a compiler would leave them alone, and the wrapper (``torch/_compile.py``) asks the
    compiler at the first call which function to call. Where no compiler runs that is the wrapped function itself, and
    the wrapper finds it where it would have kept the compiler's answer.
    """
    wrapper = _code(_disable_dynamo(_nothing))
    wrapped = [
        method.__wrapped__  # type: ignore[attr-defined]
        for method in vars(Optimizer).values()
        if isinstance(method, FunctionType) and method.__code__ is wrapper
    ]
    for function in wrapped:
        function.__dynamo_disable = function
    return len(wrapped)


def plain_step(optimizer: Optimizer) -> Callable[[], object]:
    """What ``optimizer.step`` computes, without what torch wraps around it for its compiler and its profiler.

    Step hooks, which are part of the wrapping, are not called.
    """
    wrappers = {_code(wrap(_nothing)) for wrap in (_use_grad_for_differentiable, Optimizer.profile_hook_step)}
    step: Any = type(optimizer).step
    found = False
    while _code(step) in wrappers:
        step, found = step.__wrapped__, True
    if not found:
        return optimizer.step

    def without_grad() -> object:
        with torch.no_grad():
            return step(optimizer)

    return without_grad


def _nothing(optimizer: Optimizer) -> None:
    """Something to be wrapped."""


def _code(function: Any) -> Any:
    return getattr(function, "__code__", None)
