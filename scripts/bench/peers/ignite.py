"""Ignite: an engine made by ``create_supervised_trainer``, handlers attached to it.

Records: running averages of loss and accuracy, its progress bar, its TensorboardLogger every 50 steps. It has no CSV
writer.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Events, create_supervised_trainer
from ignite.handlers import ProgressBar, TensorboardLogger
from ignite.metrics import Accuracy, RunningAverage
from torch import nn

from scripts.bench.cases import Case


def fit(case: Case, batches: Any, folder: Path, records: bool, stepped: Callable[[], None] | None = None) -> None:
    model = case.network
    optimizer = torch.optim.SGD(model.parameters(), lr=case.lr)
    if stepped is not None:
        optimizer.register_step_post_hook(lambda *_: stepped())
    if not records:
        create_supervised_trainer(model, optimizer, nn.CrossEntropyLoss()).run(batches, max_epochs=1)
        return
    trainer = create_supervised_trainer(
        model, optimizer, nn.CrossEntropyLoss(), output_transform=lambda x, y, y_pred, loss: (y_pred, y, loss.item())
    )
    RunningAverage(output_transform=lambda output: output[2]).attach(trainer, "loss")
    Accuracy(output_transform=lambda output: output[:2]).attach(trainer, "accuracy")
    ProgressBar().attach(trainer, metric_names=["loss"])
    with TensorboardLogger(log_dir=str(folder)) as logger:
        logger.attach_output_handler(
            trainer, event_name=Events.ITERATION_COMPLETED(every=50), tag="train", metric_names=["loss"]
        )
        trainer.run(batches, max_epochs=1)
