"""The course's script: torchvision's dataset, ``ToTensor`` per sample in a ``DataLoader``, ``.item()`` every step.

    python -m scripts.bench.baselines.course (digits|mnist) FOLDER STEPS SEED OUTPUT

Trains STEPS batches, evaluates the test images, and saves curve and weights in OUTPUT. STEPS 0 prints the time at which
the first step was done and ends there.
"""

import os
import sys
import time
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset
from torch.utils.tensorboard import SummaryWriter
from torchvision import datasets, transforms


def mlp(inputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(inputs, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10)
    )


def load(name: str, folder: str, train: bool) -> Dataset:
    if name == "mnist":
        return datasets.MNIST(folder, train=train, transform=transforms.ToTensor())
    from sklearn.datasets import load_digits

    digits = load_digits()
    return TensorDataset(torch.tensor(digits.images, dtype=torch.float32)[:, None] / 16, torch.tensor(digits.target))


def main() -> None:
    name, folder, steps, seed, output = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
    torch.manual_seed(seed)
    loader = DataLoader(load(name, folder, train=True), batch_size=64, shuffle=True)
    model = mlp(784 if name == "mnist" else 64)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    loss_fn = nn.CrossEntropyLoss()
    Path(output).mkdir(parents=True, exist_ok=True)
    writer = SummaryWriter(output) if steps else None
    for step, (images, labels) in enumerate(loader, start=1):
        optimizer.zero_grad()
        loss = loss_fn(model(images), labels)
        loss.backward()
        optimizer.step()
        if writer is None:
            print(time.time(), flush=True)
            os._exit(0)
        writer.add_scalar("loss", loss.item(), step)
        if step == steps:
            break
    correct = 0
    with torch.no_grad():
        test = load(name, folder, train=False)
        for images, labels in DataLoader(test, batch_size=256):
            correct += (model(images).argmax(1) == labels).sum().item()
    writer.close()
    torch.save(model.state_dict(), Path(output) / "model.pt")
    print(correct / len(test))


if __name__ == "__main__":
    main()
