"""Whether a state can be loaded again, asked before it is written: what is found out afterwards is lost."""

import io
import pickle
from collections import OrderedDict
from typing import Any

import torch

from runner.errors import UserError

_PLAIN = frozenset({torch.Tensor, type(None), bool, int, float, str, bytes})
_NESTED = frozenset({dict, OrderedDict, list, tuple})


def require_loadable(state: Any, name: str = "") -> None:
    """Refuse a state that holds more than ``torch.load(weights_only=True)`` gives back.

    Args:
        state: Nested dictionaries, lists and tuples.
        name: The keys that lead to it.

    Raises:
        UserError: If there is something else in it, such as an array of NumPy; it says where.
    """
    if type(state) in _PLAIN:
        return
    if type(state) in _NESTED:
        entries = state.items() if isinstance(state, dict) else enumerate(state)
        for key, value in entries:
            require_loadable(value, f"{name}.{key}" if name else str(key))
        return
    buffer = io.BytesIO()
    try:
        torch.save(state, buffer)
        buffer.seek(0)
        torch.load(buffer, weights_only=True)
    except (pickle.PickleError, AttributeError, TypeError) as error:
        kind = f"{type(state).__module__}.{type(state).__qualname__}"
        raise UserError(
            f"a checkpoint with this state could not be loaded again: {name} is a {kind}",
            expected="tensors, numbers and texts, in dictionaries and lists: what holds more could run code",
            fix="torch.as_tensor of an array, float of a number, where your code keeps it",
        ) from error
