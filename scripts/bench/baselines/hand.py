"""The same by hand, as fast as it gets: the idx file read by NumPy, one gather a batch, the update written out.

    python -m scripts.bench.baselines.hand (digits|mnist) FOLDER STEPS SEED OUTPUT

Arguments as in ``course``. Without an optimizer object torch does not import its compiler; there is no TensorBoard.
"""

import os
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F


def load(name: str, folder: str, part: str) -> tuple[Tensor, Tensor]:
    """Images (N, D) float32 of 0 to 1, classes (N,) int64."""
    if name == "mnist":
        raw = Path(folder) / "MNIST" / "raw"
        images = np.fromfile(raw / f"{part}-images-idx3-ubyte", dtype=np.uint8)[16:].reshape(-1, 784)
        labels = np.fromfile(raw / f"{part}-labels-idx1-ubyte", dtype=np.uint8)[8:]
        return torch.from_numpy(images).float().div_(255), torch.from_numpy(labels).long()
    from sklearn.datasets import load_digits

    digits = load_digits()
    return torch.tensor(digits.data, dtype=torch.float32) / 16, torch.tensor(digits.target)


def main() -> None:
    name, folder, steps, seed, output = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
    torch.manual_seed(seed)
    images, labels = load(name, folder, "train")
    model = nn.Sequential(
        nn.Linear(images.shape[1], 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10)
    )
    weights = list(model.parameters())
    for chosen in torch.randperm(len(images)).split(64)[: steps or 1]:
        loss = F.cross_entropy(model(images[chosen]), labels[chosen])
        gradients = torch.autograd.grad(loss, weights)
        with torch.no_grad():
            torch._foreach_add_(weights, gradients, alpha=-0.01)
        if not steps:
            print(time.time(), flush=True)
            os._exit(0)
    with torch.no_grad():
        images, labels = load(name, folder, "t10k")
        accuracy = (model(images).argmax(1) == labels).float().mean().item()
    Path(output).mkdir(parents=True, exist_ok=True)
    torch.save(model.state_dict(), Path(output) / "model.pt")
    print(accuracy)


if __name__ == "__main__":
    main()
