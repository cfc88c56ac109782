"""An epoch of the course's MLP on MNIST."""

import tempfile
from pathlib import Path

from scripts.bench.harness import Bench, Result, Table, Target, attempt, ratio

ABOUT = """
The MLP 784-512-512-10 on 60,000 images of MNIST's form, batches of 64, SGD with learning rate 0.01, two threads. The
course's script reads torchvision's dataset through a `DataLoader` with `ToTensor` for each sample and calls `.item()`
every step. The hand-tuned loop holds the images as float32 in memory, takes a batch with one gather and reads the loss
once an epoch. runner is `runner train model=mlp data=mnist optimizer=sgd` without validation, so that it trains on the
same 60,000; metrics, progress bar, `metrics.csv`, TensorBoard with its pictures and histograms, and the checkpoint at
the end of the epoch (written to the disk) are all in its time. All three start from the same weights and take the
samples in the same order, so their losses must agree; they train an epoch each in turns, in one process. The first
epoch of each is not counted.
"""

COURSE, HAND, RUNNER = "course's script", "hand-tuned loop", "runner"


def measure(bench: Bench) -> Result:
    result = Result("epoch", "An epoch of the MNIST MLP", ABOUT)
    table = Table("Training epoch", "s", baseline=HAND)
    result.tables.append(table)
    with attempt(result, RUNNER):
        epochs = 1 + max(2, bench.fewer(bench.rounds, 2))
        given = {"root": str(bench.mnist), "epochs": epochs, "count": bench.fewer(60_000, 3_000)}
        answer = bench.call(bench.runner_python, f"{__name__}:train", threads=2, **given)
        for label in (COURSE, HAND, RUNNER):
            table.add(label, answer["seconds"][label][1:])
        losses = [answer["losses"][label][-1] for label in (COURSE, HAND, RUNNER)]
        told = ", ".join(f"{label} {loss:.6f}" for label, loss in zip((COURSE, HAND, RUNNER), losses, strict=True))
        result.notes.append(f"Mean training loss of the last epoch: {told}.")
        own = table.median(RUNNER)
        result.targets += [
            Target("runner's epoch / hand-tuned epoch", ratio(own, table.median(HAND)), 1.10),
            Target("course's epoch / runner's epoch", ratio(table.median(COURSE), own), 1.6, at_most=False),
            Target("largest difference of the losses", max(losses) - min(losses), 1e-3),
        ]
    return result


def train(root: str, epochs: int, count: int) -> dict[str, dict[str, list[float]]]:
    import time

    import torch
    from torch import nn
    from torch.nn import functional as F
    from torch.utils.data import DataLoader
    from torchvision import datasets, transforms

    from scripts.bench.baselines.hand import load
    from scripts.bench.cases import CASES
    from scripts.bench.own_loop import own_loop

    typed = ["model=mlp", "data=mnist", f"data.source.root={root}", "data.source.download=false", "monitor=train/loss"]
    typed += ["optimizer=sgd", f"data.split.val={60_000 - count}"]
    seconds: dict[str, list[float]] = {COURSE: [], HAND: [], RUNNER: []}
    losses: dict[str, list[float]] = {COURSE: [], HAND: [], RUNNER: []}
    with tempfile.TemporaryDirectory() as folder, own_loop(Path(folder), *typed) as loop:
        loop.without_validation()
        course_model, hand_model = CASES["course"].model(), CASES["course"].model()
        for model in (course_model, hand_model):
            model.load_state_dict(dict(zip(model.state_dict(), loop.parts.model.state_dict().values(), strict=True)))
        sampler = _Order()
        dataset = datasets.MNIST(root, transform=transforms.ToTensor())
        loader = DataLoader(dataset, batch_size=64, sampler=sampler)
        course_optimizer = torch.optim.SGD(course_model.parameters(), lr=0.01)
        loss_fn = nn.CrossEntropyLoss()
        images, labels = load("mnist", root, "train")
        hand_optimizer = torch.optim.SGD(hand_model.parameters(), lr=0.01)

        def course() -> float:
            total = 0.0
            for batch, targets in loader:
                course_optimizer.zero_grad()
                loss = loss_fn(course_model(batch), targets)
                loss.backward()
                course_optimizer.step()
                total += loss.item() * len(targets)
            return total / count

        def hand() -> float:
            total = torch.zeros(())
            for chosen in sampler.order.split(64):
                hand_optimizer.zero_grad(set_to_none=True)
                loss = F.cross_entropy(hand_model(images[chosen]), labels[chosen])
                loss.backward()
                hand_optimizer.step()
                total += loss.detach() * len(chosen)
            return total.item() / count

        for epoch in range(epochs):
            sampler.order = torch.cat([batch.indices for batch in loop.parts.splits.train.epoch(epoch)])
            for label, contender in ((COURSE, course), (HAND, hand), (RUNNER, loop.train_epoch)):
                began = time.perf_counter()
                losses[label].append(contender())
                seconds[label].append(time.perf_counter() - began)
                print(epoch, label, seconds[label][-1], losses[label][-1], flush=True)
    return {"seconds": seconds, "losses": losses}


class _Order:
    """The samples of the running epoch in runner's order, as a sampler."""

    def __iter__(self):  # type: ignore[no-untyped-def]
        return iter(self.order.tolist())

    def __len__(self) -> int:
        return len(self.order)
