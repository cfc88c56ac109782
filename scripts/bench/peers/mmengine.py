"""MMEngine: a BaseModel and a Runner with its default hooks.

Records: the logger hook every 50 steps, to the terminal (in the place of a progress bar), to its JSON file (in the
place of a CSV file) and to TensorBoard, with loss and accuracy as the model reports them.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch.nn import functional as F

from scripts.bench.cases import Case


class Classifier(BaseModel):
    def __init__(self, case: Case, records: bool) -> None:
        super().__init__()
        self.model = case.network
        self.records = records

    def forward(self, inputs: torch.Tensor, targets: torch.Tensor, mode: str = "tensor") -> Any:
        outputs = self.model(inputs)
        if mode != "loss":
            return outputs
        losses = {"loss": F.cross_entropy(outputs, targets)}
        if self.records:
            losses["accuracy"] = (outputs.argmax(1) == targets).float().mean()
        return losses


def fit(case: Case, batches: Any, folder: Path, records: bool, stepped: Callable[[], None] | None = None) -> None:
    model = Classifier(case, records)
    optimizer = torch.optim.SGD(model.parameters(), lr=case.lr)
    if stepped is not None:
        optimizer.register_step_post_hook(lambda *_: stepped())
    off = {} if records else dict.fromkeys(("runtime_info", "timer", "logger"))
    runner = Runner(
        model=model,
        work_dir=str(folder),
        train_dataloader=batches,
        optim_wrapper={"optimizer": optimizer},
        train_cfg={"by_epoch": True, "max_epochs": 1},
        default_hooks={"checkpoint": None, "logger": {"type": "LoggerHook", "interval": 50}, **off},
        visualizer={"type": "Visualizer", "vis_backends": [{"type": "TensorboardVisBackend"}] if records else None},
        log_level="INFO" if records else "ERROR",
        experiment_name=f"run-{records}-{id(model)}",
    )
    runner.train()
