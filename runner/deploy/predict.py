"""Predictions for new data: read side by side, fed in batches, written in order; nothing but a few batches is held."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from runner.data.decode import Fit
from runner.data.files import Broken, attempt, num_threads
from runner.data.source import Array
from runner.deploy.inputs import find_items
from runner.deploy.items import Item
from runner.deploy.reader import Reader
from runner.deploy.results import CsvResults, MaskResults, Results
from runner.deploy.tiles import Cutter
from runner.deploy.trained import Trained
from runner.errors import UserError
from runner.tracking.console import Console
from runner.training.metrics import classes


@dataclass(slots=True)
class Outcome:
    """What became of the samples."""

    predicted: int = 0
    broken: list[tuple[str, str]] = field(default_factory=list)
    """Name of each that could not be read or predicted, and why."""


def predict(trained: Trained, given: Sequence[str], out: Path, batch_size: int | None, console: Console) -> Outcome:
    """Predict files, folders, patterns and tables.

    Args:
        trained: The model.
        given: What to predict, see ``find_items``.
        out: A CSV file; a folder of masks where the task is segmentation. If nothing could be read it is not made.
        batch_size: Samples in a batch: 1 or more; None: ``data.eval_batch_size`` of the run.
        console: Told how far it is, and which files are broken.

    Raises:
        UserError: If there is nothing to predict, the samples are of another kind, or the results cannot be written.
    """
    data, signature = trained.config.data, trained.signature
    items = find_items(given, signature, trained.source)
    if not trained.source:
        own = data.source.node()["_target_"]
        console.warn(f"what {own} does to samples is not done to these files: they are resized and normalised")
    cutter = _cutter(trained)
    outcome = Outcome()
    size = batch_size or data.eval_batch_size
    with _results(trained, out, items) as results, console.progress("predicting", len(items)) as progress:
        samples = _read(items, Reader(signature.stored, cutter.cut), 2 * size)
        readable = _without_broken(samples, outcome, console)
        done = 0
        try:
            for item, image_size, predictions in _predicted(readable, size, trained):
                if predictions is None:
                    _skip(item, "leads to numbers that are not finite: look for such in it", outcome, console)
                    continue
                if signature.task == "segmentation":
                    assert image_size is not None
                    results.take(item, cutter.joined(predictions, image_size))
                else:
                    results.take(item, predictions[0])
                done += 1
                progress(done + len(outcome.broken), len(items))
        except torch.OutOfMemoryError as error:
            raise UserError(
                f"the device is out of memory with batches of {size}", fix=f"--batch-size {max(1, size // 2)}"
            ) from error
        except OSError as error:
            raise UserError(
                f"-o {out} cannot be written: {error.strerror or error}", fix="-o on another disk"
            ) from error
        outcome.predicted = done
        if done:
            results.publish()
    return outcome


class _Sample(NamedTuple):
    item: Item
    inputs: tuple[Array, ...]
    """Each (T, ...): one row, or one for each tile."""
    image_size: tuple[int, int] | None


def _cutter(trained: Trained) -> Cutter:
    signature, source = trained.signature, trained.source
    first = signature.stored[0]
    size = (first.shape[1], first.shape[2]) if len(first.shape) == 3 else None
    per_pixel = signature.task == "segmentation"
    if per_pixel and size is not None and signature.inputs[0].shape[1:] != size:
        raise UserError(
            f"data.eval_transforms brings images of {size[0]} x {size[1]} to another size: where its masks belong in a "
            "picture is not known",
            fix="a run without data.eval_transforms that crop",
        )
    tile = source.get("tile")
    # A mask of the picture's size needs all of the picture.
    fit: Fit = "stretch" if per_pixel else source.get("fit", "stretch")
    return Cutter(tuple(tile) if tile else None, size, fit)


def _results(trained: Trained, out: Path, items: Sequence[Item]) -> Results:
    if not out.resolve().parent.is_dir():
        raise UserError(f"-o {out}: the folder {out.parent} is not there", fix="make it first")
    if trained.signature.task == "segmentation":
        return MaskResults(out, trained.signature, items)
    if out.is_dir():
        raise UserError(f"-o {out} is a folder", expected="the name of a CSV file", fix=f"-o {out}/predictions.csv")
    return CsvResults(out, trained.signature)


def _read(items: Iterable[Item], read: Reader, ahead: int) -> Iterator[tuple[Item, _Sample | Broken]]:
    """The samples in order, read by a few threads, ``ahead`` of them beforehand."""

    def one(item: Item) -> _Sample | Broken:
        found = attempt(read, item)
        return found if isinstance(found, Broken) else _Sample(item, *found)

    with ThreadPoolExecutor(num_threads()) as pool:
        waiting: deque[tuple[Item, Future[_Sample | Broken]]] = deque()
        try:
            for item in items:
                waiting.append((item, pool.submit(one, item)))
                if len(waiting) > ahead:
                    first, future = waiting.popleft()
                    yield first, future.result()
            while waiting:
                first, future = waiting.popleft()
                yield first, future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _without_broken(
    samples: Iterable[tuple[Item, _Sample | Broken]], outcome: Outcome, console: Console
) -> Iterator[_Sample]:
    for item, sample in samples:
        if isinstance(sample, Broken):
            _skip(item, sample.reason, outcome, console)
        else:
            yield sample


def _skip(item: Item, reason: str, outcome: Outcome, console: Console) -> None:
    outcome.broken.append((item.name, reason))
    console.warn(f"skipped: {item.name} {reason}")


def _predicted(
    samples: Iterable[_Sample], size: int, trained: Trained
) -> Iterator[tuple[Item, tuple[int, int] | None, Array | None]]:
    """Each sample with what is predicted of each of its rows, (T, ...), from batches of ``size`` rows.

    None: it is no number somewhere, of which no class could be said.
    """
    waiting: deque[_Sample] = deque()
    rows: deque[tuple[Array, ...]] = deque()
    ready: deque[Array | None] = deque()

    def complete() -> Iterator[tuple[Item, tuple[int, int] | None, Array | None]]:
        while waiting and len(waiting[0].inputs[0]) <= len(ready):
            sample = waiting.popleft()
            parts = [ready.popleft() for _ in sample.inputs[0]]
            known = [part for part in parts if part is not None]
            yield sample.item, sample.image_size, np.stack(known) if len(known) == len(parts) else None

    for sample in samples:
        waiting.append(sample)
        rows.extend(zip(*sample.inputs, strict=True))
        while len(rows) >= size:
            ready.extend(_of_batch([rows.popleft() for _ in range(size)], trained))
            yield from complete()
    if rows:
        ready.extend(_of_batch(list(rows), trained))
    yield from complete()


def _of_batch(rows: Sequence[tuple[Array, ...]], trained: Trained) -> list[Array | None]:
    """For each row probabilities or values (outputs,) float32, or class numbers of pixels (h, w) uint8.

    None: it is no number somewhere.
    """
    found = trained.predict([np.stack(values) for values in zip(*rows, strict=True)])
    is_finite = found.flatten(1).isfinite().all(1).tolist()
    if trained.signature.task == "segmentation":
        found = classes(found).to(torch.uint8)
    return [row if known else None for row, known in zip(found.cpu().numpy(), is_finite, strict=True)]
