"""accelerate: one's own loop, with model and optimizer prepared and ``accelerator.backward``.

The loader is left out of ``prepare``, which would wrap it and add to the time. Records: the loop's own accuracy, tqdm,
``accelerator.log`` to TensorBoard every 50 steps. It has no CSV writer.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch.nn import functional as F
from tqdm import tqdm

from scripts.bench.cases import Case


def fit(case: Case, batches: Any, folder: Path, records: bool, stepped: Callable[[], None] | None = None) -> None:
    accelerator = Accelerator(cpu=True, log_with="tensorboard" if records else None, project_dir=str(folder))
    model = case.network
    model, optimizer = accelerator.prepare(model, torch.optim.SGD(model.parameters(), lr=case.lr))
    if stepped is not None:
        optimizer.optimizer.register_step_post_hook(lambda *_: stepped())
    if records:
        accelerator.init_trackers("run")
    model.train()
    correct, count = torch.zeros((), dtype=torch.long), 0
    for step, (inputs, targets) in enumerate(tqdm(batches, disable=not records), start=1):
        with accelerator.accumulate(model):
            outputs = model(inputs)
            loss = F.cross_entropy(outputs, targets)
            accelerator.backward(loss)
            optimizer.step()
            optimizer.zero_grad()
        if records:
            correct += (outputs.argmax(1) == targets).sum()
            count += len(targets)
            if step % 50 == 0:
                accelerator.log({"loss": loss.item(), "accuracy": correct.item() / count}, step=step)
    accelerator.end_training()
