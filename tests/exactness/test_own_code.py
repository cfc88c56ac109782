"""Code of a user's own, which does what no shipped code does: a run of it that is interrupted is exact all the same."""

import os
import signal
from pathlib import Path

import pytest
from comparing import NewRun, assert_identical, before, execute, execute_to_the_end, result

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
