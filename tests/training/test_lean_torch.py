"""What is not imported on the way to the first step."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from runner.training.lean_torch import plain_step, spare_dynamo

HEAVY = ["torch._dynamo", "sympy", "torchvision", "torchmetrics", "sklearn", "scipy", "skimage", "pandas"]

TRAIN = """
import sys
from runner.cli import main
code = main(["train", "epochs=1", "training.test=false", *sys.argv[1:]])
print("imported:", *[name for name in {heavy} if name in sys.modules])
sys.exit(code)
"""


OTHERS = ["optimizer=muon", "regularization=[ema,clip]", "device.precision=bf16"]


@pytest.mark.parametrize("extra", [[], OTHERS], ids=["default", "others"])
def test_a_run_on_the_digits_imports_nothing_heavy_besides_torch(tmp_path: Path, extra: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", TRAIN.format(heavy=HEAVY), *extra],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "imported:"


@pytest.mark.parametrize("make", [torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW, torch.optim.RMSprop])
def test_the_plain_step_computes_what_the_step_computes(make: type[torch.optim.Optimizer]) -> None:
    def trained(plain: bool) -> torch.Tensor:
        torch.manual_seed(0)
        layer = torch.nn.Linear(4, 3)
        optimizer = make(layer.parameters(), lr=0.1, weight_decay=0.01)
        step = plain_step(optimizer) if plain else optimizer.step
        for _ in range(5):
            optimizer.zero_grad()
            layer(torch.randn(8, 4)).square().mean().backward()
            step()
        return layer.weight.detach()

    assert torch.equal(trained(plain=True), trained(plain=False))


def test_torch_still_wraps_its_steps_as_plain_step_knows_them() -> None:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)])
    assert plain_step(optimizer) != optimizer.step
    assert spare_dynamo() > 0


def test_an_optimizer_of_ones_own_steps_as_it_does() -> None:
    class Mine(torch.optim.Optimizer):
        def __init__(self, params: list[torch.Tensor]) -> None:
            super().__init__(params, {"lr": 1.0})

        @torch.no_grad()
        def step(self, closure: None = None) -> None:
            for group in self.param_groups:
                for weight in group["params"]:
                    weight.sub_(group["lr"])

    weight = torch.zeros(1, requires_grad=True)
    plain_step(Mine([weight]))()
    assert weight.item() == -1.0
