"""What the data of a configuration are: sizes, classes, shapes, numbers, and a picture of some samples.

N: samples, K: values of a target, H: height, W: width.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from runner.config.schema import RunConfig
from runner.data.loader import TensorStore
from runner.data.prepare import Prepare
from runner.data.source import Array, silent
from runner.data.stats import channel_stats
from runner.errors import UserError
from runner.tracking.console import Console
from runner.tracking.formatting import number, table
from runner.tracking.pictures import Pixels, as_colours, as_rgb, grid
from runner.training.data import IN_WORDS, Splits, load_data

_SHOWN = 8  # samples in the picture
_CLASSES_SHOWN = 30  # in the table
_CHUNK = 256  # masks looked at together
_MARGIN, _LINE = 96, 16  # of the picture's captions, in pixels
_GAP = 2  # between two images, as ``grid`` leaves it


@dataclass(frozen=True, slots=True)
class Survey:
    """What was found."""

    splits: dict[str, int]
    """Samples of each split."""
    inputs: list[dict[str, Any]]
    """Of each input its shape, the type that it is kept in, and mean and standard deviation of the training split."""
    normalize: dict[str, list[float]] | None
    """What the first input is scaled with."""
    balance: dict[str, dict[str, float]]
    """For each class or label, its samples in each split; for masks, its share of the pixels."""
    values: list[dict[str, dict[str, float]]]
    """For each number that is to be predicted: in each split its least, mean, greatest and standard deviation."""
    fingerprint: str
    kept: str
    picture: Path | None
    counts_pixels: bool
    """Whether ``balance`` has shares of pixels."""

    def record(self) -> dict[str, Any]:
        """Everything as plain values."""
        return {
            "splits": self.splits,
            "inputs": self.inputs,
            "normalize": self.normalize,
            "balance": self.balance,
            "values": self.values,
            "fingerprint": self.fingerprint,
            "picture": None if self.picture is None else str(self.picture),
        }

    def text(self) -> str:
        """Everything as tables."""
        lines = [*table(("split", *self.splits), [("samples", *map(number, self.splits.values()))]), ""]
        if self.balance:
            lines += [*self._balance(), ""]
        for position, value in enumerate(self.values, start=1):
            title = "value" if len(self.values) == 1 else f"value {position}"
            rows = [(split, *(number(one) for one in found.values())) for split, found in value.items()]
            lines += [*table((title, *next(iter(value.values()))), rows), ""]
        rows = [
            ("x".join(map(str, one["shape"])), one["stored"], _several(one["mean"]), _several(one["std"]))
            for one in self.inputs
        ]
        lines += [*table(("input", "kept as", "mean", "std"), rows), ""]
        scaled = "as it is" if self.normalize is None else "less {mean}, divided by {std}"
        told = {key: _several(values) for key, values in (self.normalize or {}).items()}
        lines += [f"scaled   {scaled.format(**told)}"]
        lines += [f"images   {self.kept}"] if self.kept else []
        lines += [f"picture  {self.picture or 'none: there are no images'}"]
        return "\n".join(lines)

    def _balance(self) -> list[str]:
        shown = dict(list(self.balance.items())[:_CLASSES_SHOWN])

        def cells(split: str, count: float) -> str:
            share = count if self.counts_pixels else count / max(1, self.splits[split])
            return f"{100 * share:.1f} %" if self.counts_pixels else f"{number(int(count))} ({100 * share:.1f} %)"

        rows = [(name, *(cells(split, count) for split, count in counts.items())) for name, counts in shown.items()]
        more = len(self.balance) - len(shown)
        title = "pixels of" if self.counts_pixels else "class"
        return [*table((title, *self.splits), rows), *([f"... and {more} more"] if more > 0 else [])]


def survey(config: RunConfig, picture: Path, is_silent: bool = False) -> Survey:
    """Look at the data of a configuration.

    Args:
        config: Of a run.
        picture: Where the picture goes; it is not written where there are no images.
        is_silent: Whether to show no progress.

    Raises:
        UserError: If the data is broken, parts of its configuration do not fit together, or the picture cannot be
            written.
    """
    console = Console()
    watched = nullcontext(silent) if is_silent else console.progress("reading data")
    with watched as progress:
        splits = load_data(config.data, config.seed, torch.device("cpu"), progress)
    parts = {IN_WORDS[name]: part for name, part in splits.by_name.items()}
    targets = {name: _targets(splits.store, part.indices) for name, part in parts.items()}
    drawn = _picture(splits, config.data.num_classes or 1)
    if drawn is not None:
        _write(drawn, picture)
    balance, values = _balance(targets, splits, config)
    return Survey(
        splits={name: len(part.indices) for name, part in parts.items()},
        inputs=[
            _input(shape, values, splits.train.indices)
            for shape, values in zip(splits.shapes, splits.store.inputs, strict=True)
        ],
        normalize=splits.normalize,
        balance=balance,
        values=values,
        fingerprint=splits.fingerprint,
        kept=splits.kept,
        picture=None if drawn is None else picture,
        counts_pixels=len(splits.store.targets.shape) == 3,
    )


def _write(drawn: Pixels, picture: Path) -> None:
    try:
        picture.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(drawn).save(picture)
    except OSError as error:
        raise UserError(
            f"the picture {picture} cannot be written: {error.strerror or error}", fix="-o FILE, in another folder"
        ) from error


def _input(shape: tuple[int, ...], stored: Any, indices: Array) -> dict[str, Any]:
    array = stored.numpy() if isinstance(stored, torch.Tensor) else stored
    mean, std = channel_stats(array, indices)
    return {"shape": list(shape), "stored": str(array.dtype), "mean": mean, "std": std}


def _targets(store: TensorStore, indices: Array) -> Array:
    """The targets of some samples, (n,) or (n, K); of masks, the share of the pixels for each class, (256,)."""
    stored = store.targets
    if len(stored.shape) != 3:
        assert isinstance(stored, torch.Tensor)
        values: Array = stored.numpy()[indices]
        return values
    pixels: Array = np.zeros(256, np.int64)
    for start in range(0, len(indices), _CHUNK):
        ids = indices[start : start + _CHUNK]
        masks = stored.numpy()[ids] if isinstance(stored, torch.Tensor) else stored.gather(ids)
        pixels += np.bincount(masks.ravel(), minlength=256)
    shares: Array = pixels / pixels.sum()
    return shares


def _balance(
    targets: dict[str, Array], splits: Splits, config: RunConfig
) -> tuple[dict[str, dict[str, float]], list[dict[str, dict[str, float]]]]:
    """How often each class comes; or, where targets are values, what they are like."""
    stored = splits.store.targets
    names = splits.class_names
    if len(stored.shape) == 3:
        count = config.data.num_classes or int(max(np.flatnonzero(shares)[-1] for shares in targets.values())) + 1
        counts = {split: shares[:count].tolist() for split, shares in targets.items()}
    elif targets["training"].dtype == np.int64:
        count = max(len(names), *(int(classes.max()) + 1 for classes in targets.values()))
        counts = {
            split: np.bincount(classes[classes >= 0], minlength=count).tolist() for split, classes in targets.items()
        }
    elif config.task.name == "multilabel":
        counts = {split: labels.sum(axis=0).astype(int).tolist() for split, labels in targets.items()}
        count = len(counts["training"])
    else:
        columns = {split: values.reshape(len(values), -1).astype(np.float64) for split, values in targets.items()}
        return {}, [
            {split: _spread(values[:, column]) for split, values in columns.items()}
            for column in range(columns["training"].shape[1])
        ]
    titles = names if len(names) == count else tuple(map(str, range(count)))
    return {title: {split: per[at] for split, per in counts.items()} for at, title in enumerate(titles)}, []


def _spread(values: Array) -> dict[str, float]:
    return {
        "least": float(values.min()),
        "mean": float(values.mean()),
        "greatest": float(values.max()),
        "std": float(values.std()),
    }


def _several(values: Sequence[float]) -> str:
    shown = ", ".join(number(value) for value in values[:4])
    return f"{shown}, ... ({len(values) - 4} more)" if len(values) > 4 else shown


def _picture(splits: Splits, num_classes: int) -> Pixels | None:
    """Samples from all over the training split: as they are kept, and as three epochs and an evaluation show them."""
    if len(splits.store.inputs[0].shape) != 4:
        return None
    indices = splits.train.indices
    ids = indices[np.unique(np.linspace(0, len(indices) - 1, _SHOWN).astype(np.int64))]
    rows = {"as kept": Prepare()(splits.store.batch(ids))}
    for epoch in range(3):
        rows[f"epoch {epoch + 1}"] = splits.as_pictures(splits.train.some(ids, epoch), epoch, training=True)
    rows["evaluated"] = splits.as_pictures(splits.train_in_order.some(ids))
    targets = rows["as kept"][1]
    strips = [(title, _strip(inputs[0], values, num_classes)) for title, (inputs, values) in rows.items()]
    width = max(strip.shape[1] for _, strip in strips)
    canvas = Image.new("RGB", (_MARGIN + width, _LINE + sum(strip.shape[0] + 4 for _, strip in strips)), "white")
    pen, font = ImageDraw.Draw(canvas), ImageFont.load_default()
    step = (width + _GAP) // len(ids)
    if targets.ndim == 1:
        for column, target in enumerate(targets.tolist()):
            names = splits.class_names
            told = names[target] if isinstance(target, int) and names else number(target)
            pen.text((_MARGIN + column * step, 2), told[: max(3, int(step / 6))], "black", font)
    top = _LINE
    for title, strip in strips:
        pen.text((4, top + strip.shape[0] // 2 - 6), title, "black", font)
        tile = (strip.shape[1] + _GAP) // len(ids)
        for column in range(len(ids)):  # in columns, whatever the size that they have now
            part = strip[:, column * tile : (column + 1) * tile - _GAP]
            canvas.paste(Image.fromarray(np.ascontiguousarray(part)), (_MARGIN + column * step, top))
        top += strip.shape[0] + 4
    drawn: Pixels = np.asarray(canvas)
    return drawn


def _strip(images: torch.Tensor, targets: torch.Tensor, num_classes: int) -> Pixels:
    """Images in a row, with half of the colour of their masks on them."""
    pictures = as_rgb(images)
    if targets.ndim == 3:
        colours = as_colours(targets, num_classes)
        on = (colours != 0).any(axis=-1, keepdims=True)
        pictures = np.where(on, (pictures.astype(np.uint16) + colours) // 2, pictures).astype(np.uint8)
    return grid(pictures, len(pictures))
