"""Files of weights that a run can start from."""

import pickle
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from runner.errors import UserError
from runner.runs.checkpoints import DamagedCheckpointError, named_in, read_checkpoint

_NESTED = ("state_dict", "model_state_dict", "model")
"""Under which of these names training programs save weights among other things."""


def read_weights(path: Path) -> dict[str, Tensor]:
    """The weights in a file, by name, on the CPU.

    Args:
        path: A state_dict that ``torch.save`` wrote, alone or among other things; a checkpoint of a run, of which the
            averaged weights are taken where it has some; or ``.safetensors``.

    Raises:
        UserError: If it cannot be read, is damaged, or holds more than tensors and plain values.
    """
    content = _safetensors(path) if path.suffix == ".safetensors" else _torch_file(path)
    if "format" in content and "progress" in content:
        content = _of_run(path)
    else:
        content = next((content[key] for key in _NESTED if isinstance(content.get(key), dict)), content)
    weights = {name: value for name, value in content.items() if isinstance(name, str) and isinstance(value, Tensor)}
    if not weights:
        raise UserError(f"model.weights={path} holds no weights", expected="tensors by name, as model.state_dict() has")
    return weights


def _of_run(path: Path) -> dict[str, Any]:
    try:
        state = read_checkpoint(path)
    except DamagedCheckpointError as error:
        raise UserError(f"model.weights={path} is a checkpoint that is damaged: {error}", fix="another one") from None
    found: dict[str, Any] = state["averaged"] or state["model"]
    return found


def _torch_file(path: Path) -> dict[str, Any]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise UserError(f"model.weights={path} cannot be read: {error.strerror}", expected="a file") from error
    except Exception as error:  # of a file with other content, torch's reader raises whatever it stumbles over
        code = named_in(error) if isinstance(error, pickle.UnpicklingError) else ""
        if code:
            raise UserError(
                f"model.weights={path} is refused: loading it could run code{code}",
                expected="tensors alone: what torch.save(model.state_dict(), FILE) writes, not a whole model",
            ) from None
        raise UserError(
            f"model.weights={path} is not a file of weights, or it is damaged",
            expected="a state_dict that torch.save wrote, a checkpoint of a run, or .safetensors",
        ) from error
    return content if isinstance(content, dict) else {}


def _safetensors(path: Path) -> dict[str, Any]:
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ImportError:
        raise UserError(
            f"model.weights={path}: the library safetensors is not installed", fix="pip install safetensors"
        ) from None
    try:
        found: dict[str, Any] = load_file(path)
    except (SafetensorError, OSError) as error:
        raise UserError(
            f"model.weights={path} cannot be read: {error}", expected="a whole .safetensors file"
        ) from error
    return found
