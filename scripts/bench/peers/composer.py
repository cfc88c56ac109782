"""Composer: a ComposerClassifier and a Trainer.

Records: its training metrics (torchmetrics' accuracy), its progress bar, TensorboardLogger every 50 steps and
FileLogger (in the place of a CSV file).
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from composer import Trainer
from composer.loggers import FileLogger, TensorboardLogger
from composer.models import ComposerClassifier
from torchmetrics.classification import MulticlassAccuracy

from scripts.bench.cases import Case


def fit(case: Case, batches: Any, folder: Path, records: bool, stepped: Callable[[], None] | None = None) -> None:
    classes = case.sizes[-1]
    metrics = MulticlassAccuracy(classes, average="micro")
    model = ComposerClassifier(case.network, num_classes=classes, train_metrics=metrics)
    optimizer = torch.optim.SGD(model.parameters(), lr=case.lr)
    if stepped is not None:
        optimizer.register_step_post_hook(lambda *_: stepped())
    loggers = [
        TensorboardLogger(log_dir=str(folder), flush_interval=50),
        FileLogger(filename=str(folder / "log.txt"), flush_interval=50),
    ]
    trainer = Trainer(
        model=model,
        train_dataloader=batches,
        optimizers=optimizer,
        max_duration="1ep",
        device="cpu",
        loggers=loggers if records else None,
        progress_bar=records,
        console_log_interval="1ep",
    )
    trainer.fit()
    trainer.close()
