"""Examples of what the best checkpoint of a run predicts of data that it was not trained on.

B: samples, C: channels, H, W: height and width.
"""

import io
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from runner.config.schema import RunConfig
from runner.data.loader import Batch
from runner.deploy.examples import Example, Examples
from runner.runs.directory import RunDirectory
from runner.runs.signature import Signature
from runner.tracking.console import Console
from runner.tracking.formatting import number
from runner.tracking.pictures import Pixels, as_colours, as_rgb, grid
from runner.training.assemble import assemble
from runner.training.parts import Parts
from runner.training.session import checkpoint_store
from runner.training.signature import signature_of
from runner.trust import Trust

_LOOKED_AT = 256
"""Samples of the split."""
_CLASSES_IN_LEGEND = 12


def make_examples(run: RunDirectory, trust: Trust, console: Console, count: int = 8) -> Examples:
    """Predict the first samples of the test split, or else of the validation or the training split.

    Args:
        run: A run with a checkpoint.
        trust: Whose code it may name.
        console: Told how far the data are read.
        count: How many of the first, and how many of the worst, are shown.

    Raises:
        UserError: If the checkpoint or the data is not there, or the run names code that is not trusted.
    """
    trust.check(run.config(), run.path)
    config = _for_any_machine(RunConfig.model_validate(run.config()))
    state = checkpoint_store(run, config).load("best")
    parts = assemble(config, run.choices(), console)
    parts.load_weights(state)
    splits = parts.splits
    *_, (split, batches) = splits.by_name.items()
    ids = batches.indices[:_LOOKED_AT]
    samples: list[_Sample] = []
    with console.progress("predicting examples", len(ids)) as progress:
        for start in range(0, len(ids), config.data.eval_batch_size):
            samples += _predicted(parts, batches.some(ids[start : start + config.data.eval_batch_size]))
            progress(len(samples), len(ids))
    kind = _KINDS[parts.task.name](signature_of(splits, parts.task))
    order = sorted(range(len(samples)), key=lambda at: -kind.badness(samples[at]))
    worst = [at for at in order if at >= count and kind.badness(samples[at]) > 0][:count]
    return Examples(
        split=split,
        epoch=int(state["progress"]["epoch"]),
        count=len(samples),
        told=kind.told(samples),
        first=tuple(map(kind.example, samples[:count])),
        worst=tuple(kind.example(samples[at]) for at in worst),
        legend=kind.legend(),
    )


def _for_any_machine(config: RunConfig) -> RunConfig:
    """The same without what the machine must have: examples are looked at wherever the report is made."""
    device = config.device.model_copy(
        update={"kind": "auto", "precision": "fp32", "compile": False, "cuda_graph": False, "deterministic": False}
    )
    return config.model_copy(update={"device": device})


class _Sample(NamedTuple):
    id: int
    image: Pixels | None
    """(H, W, 3); None where the first input is no image."""
    truth: Tensor
    """As the task has it, on the CPU."""
    found: Tensor
    """Probabilities or values (outputs, ...), on the CPU."""


@torch.no_grad()
def _predicted(parts: Parts, batch: Batch) -> list[_Sample]:
    inputs, targets = parts.splits.prepare(batch)
    parts.evaluated.eval()
    with parts.autocast():
        outputs = parts.evaluated(*inputs)
    found = parts.task.predict(outputs.float()).cpu()
    pictures = parts.splits.as_pictures(batch)[0][0]
    images = list(as_rgb(pictures)) if pictures.ndim == 4 else [None] * len(found)
    return [
        _Sample(int(id_), image, truth, one)
        for id_, image, truth, one in zip(batch.indices, images, targets.cpu(), found, strict=True)
    ]


class _Kind(ABC):
    """What samples of a task are judged by and shown with."""

    def __init__(self, signature: Signature) -> None:
        self._names = signature.names()
        self._is_binary = signature.task == "binary"

    @abstractmethod
    def badness(self, sample: _Sample) -> float:
        """How bad a prediction is: 0 where it is right."""

    @abstractmethod
    def told(self, samples: Sequence[_Sample]) -> str:
        """What came of all samples, in words."""

    @abstractmethod
    def example(self, sample: _Sample) -> Example:
        """A sample as it is shown."""

    def legend(self) -> tuple[tuple[str, str], ...]:
        """Name and colour of each class, where colours mean classes."""
        return ()


class _Classes(_Kind):
    """One class a sample: right or wrong, with its probability."""

    def _shares(self, sample: _Sample) -> Tensor:
        found = sample.found.flatten()
        return torch.stack([1 - found[0], found[0]]) if self._is_binary else found

    def _class(self, sample: _Sample) -> int:
        return int(self._shares(sample).argmax())

    def badness(self, sample: _Sample) -> float:
        """How sure the model is of a wrong class; 0 where it is right."""
        return float(self._shares(sample).max()) if self._class(sample) != int(sample.truth) else 0.0

    def told(self, samples: Sequence[_Sample]) -> str:
        wrong = sum(self._class(sample) != int(sample.truth) for sample in samples)
        return f"{wrong} of {len(samples)} are wrong"

    def example(self, sample: _Sample) -> Example:
        found, truth = self._class(sample), int(sample.truth)
        truth_name = self._names[truth] if 0 <= truth < len(self._names) else str(truth)
        share = float(self._shares(sample)[found])
        pictures = _pictures(image=sample.image)
        return Example(sample.id, pictures, truth_name, self._names[found], f"{100 * share:.0f} %", found == truth)


class _Labels(_Kind):
    """Several labels a sample: right if all of them are."""

    def badness(self, sample: _Sample) -> float:
        """How many labels are wrong, and by how much."""
        wrong = (sample.found >= 0.5) != (sample.truth > 0.5)
        return float((sample.found - sample.truth).abs()[wrong].sum())

    def told(self, samples: Sequence[_Sample]) -> str:
        wrong = sum(self.badness(sample) > 0 for sample in samples)
        return f"{wrong} of {len(samples)} have a wrong label"

    def example(self, sample: _Sample) -> Example:
        wrong = int(((sample.found >= 0.5) != (sample.truth > 0.5)).sum())
        return Example(
            sample.id,
            _pictures(image=sample.image),
            self._chosen(sample.truth),
            self._chosen(sample.found),
            f"{wrong} wrong" if wrong else "",
            wrong == 0,
        )

    def _chosen(self, shares: Tensor) -> str:
        chosen = [name for name, share in zip(self._names, shares.flatten().tolist(), strict=True) if share >= 0.5]
        return ", ".join(chosen) or "none"


class _Values(_Kind):
    """Numbers: off by so much."""

    def badness(self, sample: _Sample) -> float:
        """Mean absolute error."""
        return float((sample.found.flatten() - sample.truth.flatten().float()).abs().mean())

    def told(self, samples: Sequence[_Sample]) -> str:
        return f"off by {number(float(np.mean([self.badness(sample) for sample in samples])))} on average"

    def example(self, sample: _Sample) -> Example:
        truth, found = (
            ", ".join(number(float(one)) for one in values.flatten()) for values in (sample.truth, sample.found)
        )
        return Example(
            sample.id, _pictures(image=sample.image), truth, found, f"off by {number(self.badness(sample))}", None
        )


class _Masks(_Kind):
    """A class for each pixel: so many of them are right."""

    def badness(self, sample: _Sample) -> float:
        """Share of the pixels, of those that have a class, that are wrong."""
        has_class = (sample.truth >= 0) & (sample.truth < len(self._names))
        wrong = (sample.found.argmax(0) != sample.truth) & has_class
        return float(wrong.sum() / has_class.sum().clamp(min=1))

    def told(self, samples: Sequence[_Sample]) -> str:
        wrong = float(np.mean([self.badness(sample) for sample in samples]))
        return f"{100 * (1 - wrong):.1f} % of the pixels are right"

    def example(self, sample: _Sample) -> Example:
        truth, found = (as_colours(mask[None], len(self._names))[0] for mask in (sample.truth, sample.found.argmax(0)))
        score = f"{100 * (1 - self.badness(sample)):.1f} % of the pixels"
        return Example(sample.id, _pictures(image=sample.image, true=truth, predicted=found), "", "", score, None)

    def legend(self) -> tuple[tuple[str, str], ...]:
        count = min(len(self._names), _CLASSES_IN_LEGEND)
        colours = as_colours(torch.arange(count).view(1, 1, -1), len(self._names))[0, 0]
        return tuple(
            (name, "#{:02x}{:02x}{:02x}".format(*colour)) for name, colour in zip(self._names, colours, strict=False)
        )


_KINDS: dict[str, type[_Kind]] = {
    "classification": _Classes,
    "binary": _Classes,
    "multilabel": _Labels,
    "regression": _Values,
    "segmentation": _Masks,
}


def _pictures(**images: Pixels | None) -> tuple[tuple[str, bytes], ...]:
    return tuple((title, _png(image)) for title, image in images.items() if image is not None)


def _png(image: Pixels) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(grid(image[None], 1)).save(buffer, format="png", optimize=True)
    return buffer.getvalue()
