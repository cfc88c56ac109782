"""What can be loaded again, asked before it is written."""

from collections import Counter, OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch

from runner.errors import UserError
from runner.runs.loadable import require_loadable


class Own(dict[str, int]):
    """A dictionary of a class that a checkpoint would have to import."""


def test_what_torch_gives_back_is_let_through() -> None:
    require_loadable(
        {
            "tensors": OrderedDict(weight=torch.ones(2), empty=torch.zeros(0)),
            "plain": [1, 0.5, float("nan"), True, None, "text", b"bytes", (1, "two")],
            "counted": Counter(a=1),
            "of torch": [torch.float32, torch.Size([2, 3]), torch.device("cpu"), torch.nn.Parameter(torch.ones(1))],
        }
    )


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (np.float64(1), "numpy.float64"),
        (np.zeros(2), "numpy.ndarray"),
        (Path("a"), "pathlib"),
        (lambda: 0, "builtins.function"),
        (Own(a=1), r"test_loadable\.Own"),
    ],
    ids=["number", "array", "path", "function", "own dictionary"],
)
def test_what_torch_does_not_give_back_is_named(value: object, kind: str) -> None:
    with pytest.raises(UserError, match=rf"optimizer\.param_groups\.1\.k is a {kind}"):
        require_loadable({"model": {}, "optimizer": {"param_groups": [{"lr": 0.1}, {"k": value}]}})
