"""Code of a user's own, which does what no shipped code does: a run of it that is interrupted is exact all the same."""

import os
import signal
from pathlib import Path

import pytest
from comparing import NewRun, assert_identical, before, execute, execute_to_the_end, result, stop_at

from runner.training.scores import Scores

SMALL = ("epochs=2", "data.batch_size=16", "data.eval_batch_size=20", "data.split.test=1640", "data.split.val=60")
"""Seven steps an epoch on the digits, and three batches to validate on."""

NOISY = """
import random
import numpy as np
import torch
from torch import nn

class Noisy(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Flatten(), nn.Linear(64, 10))
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, images):  # draws and counts in evaluation too
        self.calls += 1
        noise = torch.randn_like(images) + random.random() + np.random.rand()
        return super().forward(images + noise / self.calls)
"""


@pytest.mark.parametrize("more", [[], ["regularization=[ema]"]], ids=["weights", "averaged weights"])
def test_a_model_that_draws_and_counts_in_evaluation_does_not_notice_a_stop_in_a_validation(
    new_run: NewRun, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, more: list[str]
) -> None:
    (tmp_path / "noisy_net.py").write_text(NOISY)
    (tmp_path / "conf" / "model").mkdir(parents=True)
    (tmp_path / "conf" / "model" / "noisy.yaml").write_text("_target_: noisy_net.Noisy\n")
    monkeypatch.syspath_prepend(tmp_path)
    alone, stopped = (new_run(*SMALL, "model=noisy", *more) for _ in range(2))
    assert execute(alone).exit_code == 0
    monkeypatch.setattr(Scores, "add", Scores.add)
    before(Scores, "add", lambda: os.kill(os.getpid(), signal.SIGTERM), number=7 + 2)  # the second batch of validation
    assert execute_to_the_end(stopped) == [75, 0]
    assert_identical(result(stopped), result(alone))


DOUBLE = """
import torch
from torch import nn

class Double(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Flatten(), nn.Linear(64, 10).double())

    def forward(self, images):
        return super().forward(images.double()).float()

class Counting(torch.optim.Optimizer):
    def __init__(self, params, lr):
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure=None):
        for weight in (weight for group in self.param_groups for weight in group["params"]):
            kept = self.state[weight]
            count = kept.setdefault("count", torch.zeros((), dtype=torch.int64)).add_(1)
            squares = kept.setdefault("squares", torch.zeros_like(weight, dtype=torch.float64))
            squares += weight.grad.double() ** 2
            weight -= self.param_groups[0]["lr"] * weight.grad / (squares / count).sqrt().clamp(min=1e-6)
"""
OWN_OPTIMIZER = "_target_: double_net.Counting\nlr: 0.01\n"


@pytest.mark.parametrize(
    "chosen", [["optimizer=counting"], ["model=double", "optimizer=nadam"]], ids=["one's own", "NAdam, for float64"]
)
def test_what_an_optimizer_keeps_in_another_type_than_the_weights_goes_on_exactly(
    new_run: NewRun, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, chosen: list[str]
) -> None:
    (tmp_path / "double_net.py").write_text(DOUBLE)
    options = {"model/double": "_target_: double_net.Double\n", "optimizer/counting": OWN_OPTIMIZER}
    for name, content in options.items():
        file = tmp_path / "conf" / f"{name}.yaml"
        file.parent.mkdir(parents=True)
        file.write_text(content)
    monkeypatch.syspath_prepend(tmp_path)
    alone, stopped = (new_run(*SMALL, *chosen) for _ in range(2))
    assert execute(alone).exit_code == 0
    stop_at(monkeypatch, 3, 9)
    assert execute_to_the_end(stopped) == [75, 75, 0]
    assert_identical(result(stopped), result(alone))


SCHEDULE = """
import numpy as np

class Wave:
    def __call__(self, epoch, epochs):
        return np.cos(epoch / epochs)
"""


def test_a_schedule_that_computes_with_numpy_goes_on_exactly(
    new_run: NewRun, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "wave_schedule.py").write_text(SCHEDULE)
    (tmp_path / "conf" / "scheduler").mkdir(parents=True)
    (tmp_path / "conf" / "scheduler" / "wave.yaml").write_text("_target_: wave_schedule.Wave\n")
    monkeypatch.syspath_prepend(tmp_path)
    alone, stopped = (new_run(*SMALL, "scheduler=wave") for _ in range(2))
    assert execute(alone).exit_code == 0
    stop_at(monkeypatch, 3)
    assert execute_to_the_end(stopped) == [75, 0]
    assert_identical(result(stopped), result(alone))


COLLECTING = """
import numpy as np
from torch import nn

class Collecting(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Flatten(), nn.Linear(64, 10))

    def get_extra_state(self):
        return {"seen": np.zeros(3)}

    def set_extra_state(self, state):
        pass
"""


def test_a_state_that_could_not_be_loaded_ends_the_run_at_its_first_save_and_is_named(
    new_run: NewRun, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "collecting_net.py").write_text(COLLECTING)
    (tmp_path / "conf" / "model").mkdir(parents=True)
    (tmp_path / "conf" / "model" / "collecting.yaml").write_text("_target_: collecting_net.Collecting\n")
    monkeypatch.syspath_prepend(tmp_path)
    run = new_run(*SMALL, "model=collecting", "epochs=100")
    outcome = execute(run)
    assert (outcome.exit_code, outcome.status.epoch) == (1, 2), "the second save tells of the first"
    assert "model._extra_state.seen is a numpy.ndarray" in str(outcome.status.error)
    assert list(run.checkpoints.iterdir()) == []
