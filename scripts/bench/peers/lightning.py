"""Lightning: a LightningModule and a Trainer.

Records: ``self.log`` of loss and accuracy (torchmetrics) every 50 steps, CSVLogger, TensorBoardLogger, the progress bar
of tqdm. Checkpoints are off in both, because runner writes none within the measured blocks either.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import TQDMProgressBar
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from torch.nn import functional as F
from torchmetrics.classification import MulticlassAccuracy

from scripts.bench.cases import Case


class Classifier(LightningModule):
    def __init__(self, case: Case, records: bool, stepped: Callable[[], None] | None) -> None:
        super().__init__()
        self.model = case.network
        self.lr = case.lr
        self.records = records
        self.stepped = stepped
        self.accuracy = MulticlassAccuracy(case.sizes[-1], average="micro")

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        inputs, targets = batch
        outputs = self.model(inputs)
        loss = F.cross_entropy(outputs, targets)
        if self.records:
            self.accuracy(outputs, targets)
            self.log("train/loss", loss, prog_bar=True)
            self.log("train/accuracy", self.accuracy, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        optimizer = torch.optim.SGD(self.parameters(), lr=self.lr)
        if self.stepped is not None:
            optimizer.register_step_post_hook(lambda *_: self.stepped())
        return optimizer


def fit(case: Case, batches: Any, folder: Path, records: bool, stepped: Callable[[], None] | None = None) -> None:
    trainer = Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=1,
        logger=[CSVLogger(folder), TensorBoardLogger(folder)] if records else False,
        callbacks=[TQDMProgressBar()] if records else [],
        enable_progress_bar=records,
        enable_model_summary=False,
        enable_checkpointing=False,
        log_every_n_steps=50,
        default_root_dir=folder,
    )
    trainer.fit(Classifier(case, records, stepped), train_dataloaders=batches)
