"""``experiment=quickstart`` is the course's first listing: the same losses and right answers as a loop by hand."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from terminal import Trained
from torch import Tensor, nn

Train = Callable[..., Trained]

FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


@dataclass
class Figures:
    """What the loop by hand finds in one pass over a split."""

    loss: float
    right: int


def idx(file: Path) -> Tensor:
    """The bytes of an idx file: after the magic number a 32-bit size for each dimension, then the values."""
    content = file.read_bytes()
    ndim = content[3]
    shape = [int.from_bytes(content[start : start + 4], "big") for start in range(4, 4 + 4 * ndim, 4)]
    return torch.tensor(np.frombuffer(content, np.uint8, offset=4 + 4 * ndim)).reshape(shape)


def write_idx(file: Path, values: Tensor) -> None:
    sizes = b"".join(size.to_bytes(4, "big") for size in values.shape)
    file.write_bytes(bytes([0, 0, 8, values.ndim]) + sizes + values.numpy().tobytes())


def by_hand(folder: Path, seed: int, epochs: int) -> list[dict[str, Figures]]:
    """The course's listing in plain PyTorch; the figures of both splits after every epoch."""
    train_images, train_labels, test_images, test_labels = (idx(folder / name) for name in FILES)
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Flatten(), nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10), nn.ReLU()
    )
    loss_fn = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)

    def one_pass(images: Tensor, labels: Tensor, batch_size: int, training: bool) -> Figures:
        loss_sum, right = 0.0, 0
        for start in range(0, len(labels), batch_size):
            inputs = images[start : start + batch_size, None].float() / 255
            targets = labels[start : start + batch_size].long()
            logits = model(inputs)
            loss = loss_fn(logits, targets)
            if training:
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            loss_sum += loss.item() * len(targets)
            right += int((logits.argmax(1) == targets).sum())
        return Figures(loss_sum / len(labels), right)

    history = []
    for _ in range(epochs):
        trained = one_pass(train_images, train_labels, 64, training=True)
        with torch.no_grad():
            tested = one_pass(test_images, test_labels, 64, training=False)
        history.append({"train": trained, "test": tested})
    return history


def assert_quickstart_equals_the_loop_by_hand(run: Trained, root: Path, seed: int) -> None:
    expected = by_hand(root / "MNIST" / "raw", seed, epochs=5)
    sizes = {name: len(idx(root / "MNIST" / "raw" / file)) for name, file in (("train", FILES[1]), ("test", FILES[3]))}

    rows = pd.read_csv(run.path / "metrics.csv")
    *epochs, test = rows.to_dict("records")
    assert [row["epoch"] for row in epochs] == [1, 2, 3, 4, 5]
    for row, figures in zip(epochs, expected, strict=True):
        assert row["train/loss"] == pytest.approx(figures["train"].loss, abs=1e-5)
        assert row["val/loss"] == pytest.approx(figures["test"].loss, abs=1e-5)
        assert row["train/accuracy"] * sizes["train"] == pytest.approx(figures["train"].right, abs=1)
        assert row["val/accuracy"] * sizes["test"] == pytest.approx(figures["test"].right, abs=1)
    # The epoch that is tested is the one with the most right answers, the earliest of them.
    best = max(expected, key=lambda figures: figures["test"].right)["test"]
    assert test["test/loss"] == pytest.approx(best.loss, abs=1e-5)
    assert test["test/accuracy"] * sizes["test"] == pytest.approx(best.right, abs=1)
    assert run.status["best"] == pytest.approx(test["test/accuracy"], abs=1e-12)


def test_quickstart_on_small_files_equals_the_loop_by_hand(train: Train, tmp_path: Path) -> None:
    """650 digits fill ten batches and a part of an eleventh."""
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    generator = torch.Generator().manual_seed(0)
    patterns = torch.randint(0, 128, (10, 28, 28), generator=generator)
    for part, count in (("train", 650), ("t10k", 130)):
        labels = torch.arange(count) % 10
        noise = torch.randint(0, 128, (count, 28, 28), generator=generator)
        write_idx(raw / f"{part}-images-idx3-ubyte", (patterns[labels] + noise).to(torch.uint8))
        write_idx(raw / f"{part}-labels-idx1-ubyte", labels.to(torch.uint8))
    run = train("experiment=quickstart", f"data.source.root={tmp_path}", "seed=3")
    assert_quickstart_equals_the_loop_by_hand(run, tmp_path, seed=3)


@pytest.mark.slow
def test_quickstart_on_mnist_equals_the_loop_by_hand(train: Train, real_data: Path) -> None:
    run = train("experiment=quickstart", f"data.source.root={real_data}")
    assert_quickstart_equals_the_loop_by_hand(run, real_data, seed=0)
