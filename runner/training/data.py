"""From the data section of a configuration to batches that are ready to train on."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch

from runner.build import build
from runner.config.sections.data import Data
from runner.data.cache import keep
from runner.data.cutmix import blending
from runner.data.disk_cache import DiskCache, Note, default_root
from runner.data.fingerprint import of_contents, of_values
from runner.data.listed import sample_weights, subset_of
from runner.data.loader import Batches, TensorStore
from runner.data.prepare import Prepare
from runner.data.sampler import Order, Weighted, class_weighted
from runner.data.share import Share
from runner.data.source import Array, Progress, Samples, Streaming
from runner.data.split import Split, split
from runner.data.wrap import as_source
from runner.errors import UserError
from runner.training.changes import changes_of
from runner.training.normalisation import normalisation

IN_WORDS = {"train": "training", "val": "validation", "test": "test"}
"""What a split is called where people read of it."""


@dataclass(frozen=True, slots=True)
class Splits:
    """The samples of a run in batches, and what brings a batch to the model."""

    store: TensorStore
    train: Batches
    train_in_order: Batches
    """The training samples as an evaluation reads them."""
    val: Batches | None
    test: Batches | None
    prepare: Prepare
    as_pictures: Prepare
    """Like ``prepare``, but on the CPU and not normalised: for people to look at."""
    normalize: dict[str, list[float]] | None
    """Mean and standard deviation of each channel on the scale of 0 to 1; None where images stay as they are."""
    class_names: tuple[str, ...]
    mask_values: tuple[int, ...]
    columns: tuple[tuple[str, ...], ...]
    """As of ``Samples``."""
    fingerprint: str
    """Hex digest that changes when the data changes, or a file that says which of them are trained on, or how often."""
    shapes: tuple[tuple[int, ...], ...]
    """Of each input of a sample, as the model gets it."""
    kept: str
    """What is done with decoded images, in words; empty for data that needs no decoding."""

    @property
    def by_name(self) -> dict[str, Batches]:
        """The splits that there are, as an evaluation reads them: ``train``, ``val``, ``test``, in this order."""
        found = {"train": self.train_in_order, "val": self.val, "test": self.test}
        return {name: batches for name, batches in found.items() if batches is not None}

    def describe(self) -> str:
        """Sizes and shape, for the console."""
        sizes = ", ".join(f"{len(part.indices):,} {IN_WORDS[name]}" for name, part in self.by_name.items())
        shapes = " and ".join("x".join(map(str, shape)) for shape in self.shapes)
        return f"{sizes} samples of {shapes}{', ' if self.kept else ''}{self.kept}"


def load_data(
    config: Data,
    seed: int,
    device: torch.device,
    progress: Progress,
    *,
    mixup_alpha: float | None = None,
    cutmix_alpha: float | None = None,
    note: Note = lambda line: None,
    share: Share | None = None,
    neighbours: int = 1,
) -> Splits:
    """Read, divide and batch the data of a run.

    Args:
        config: The data section.
        seed: Decides the order of the training samples and their augmentation.
        device: Where the model is.
        progress: Told how many files are read.
        mixup_alpha: How training samples are blended; None = not at all.
        cutmix_alpha: How parts of them are pasted into each other; None = not at all.
        note: Told in a line why it takes longer than usual.
        share: Which part of each batch this process has; None: all of it.
        neighbours: How many processes on this machine hold the same data, this one included.

    Raises:
        UserError: If files are missing or broken, a split stays empty, or a class is missing in one.
    """
    samples, fingerprint, disk, kept = _read(config, progress, note, neighbours)
    parts = _divided(config, samples)
    store = TensorStore(samples)

    training_changes = changes_of(config, "augment", seed)
    eval_changes = changes_of(config, "eval_transforms", seed)
    blend = blending(mixup_alpha, cutmix_alpha, config.num_classes or 0, seed)

    def batches(indices: Array, training: bool = False) -> Batches:
        return Batches(
            store,
            indices,
            config.batch_size if training else config.eval_batch_size,
            seed=seed,
            order=_order(config, samples, indices) if training else "sequential",
            drop_last=config.drop_last and training,
            workers=config.workers,
            pin_memory=device.type == "cuda" if config.pin_memory is None else config.pin_memory,
            prefetch_factor=config.prefetch_factor,
            persistent_workers=config.persistent_workers,
            timeout=config.timeout,
            changes=(training_changes if training else eval_changes).where_made,
            share=share,
            with_lead=training and blend is not None,
        )

    normalize = normalisation(config.normalize, samples.inputs[0], parts.train, disk, progress)
    train, in_order = batches(parts.train, training=True), batches(parts.train)
    as_pictures = Prepare(augment=training_changes.on_device, evaluate=eval_changes.on_device, seed=seed)
    shapes = _shapes(config, train, in_order, as_pictures)
    return Splits(
        store=store,
        train=train,
        train_in_order=in_order,
        val=batches(parts.val) if len(parts.val) else None,
        test=batches(parts.test) if len(parts.test) else None,
        prepare=Prepare(
            **(normalize or {}),
            augment=training_changes.on_device,
            evaluate=eval_changes.on_device,
            seed=seed,
            device=device,
            blend=blend,
        ),
        as_pictures=as_pictures,
        normalize=normalize,
        class_names=samples.class_names,
        mask_values=samples.mask_values,
        columns=samples.columns,
        fingerprint=_with_lists(fingerprint, config),
        shapes=shapes,
        kept=kept,
    )


class _Read(NamedTuple):
    samples: Samples
    fingerprint: str
    disk: DiskCache | None
    """What is kept of them on the disk; None where there is nothing to decode."""
    kept: str
    """Where the decoded images are, for the console."""


def _read(config: Data, progress: Progress, note: Note, neighbours: int) -> _Read:
    """All samples, decoded or to be decoded as ``data.cache`` says.

    Raises:
        UserError: If files are missing or broken, or there are more classes than ``data.num_classes``.
    """
    source = as_source(build(config.source.node(), key="data.source"))
    wanted = config.load_size or config.image_size
    size = (wanted[0], wanted[1]) if wanted else None
    disk, kept = None, ""
    if isinstance(source, Streaming):
        fingerprint, streamed = source.fingerprint(), source.stream(size, progress)
        disk = DiskCache(_cache_root(config), type(source).__name__, fingerprint, streamed, _place_of(config))
        samples, kept = keep(streamed, config.cache, disk, progress, note, neighbours)
    else:
        samples = source.read(size, progress)
        fingerprint = source.fingerprint()  # afterwards it costs nothing for a Dataset
    if samples.has_classes and config.num_classes is not None and samples.classes.max() >= config.num_classes:
        first, last = samples.classes.min(), samples.classes.max()
        enough = f"data.num_classes={last + 1}"
        raise UserError(
            f"data.num_classes={config.num_classes}, but there is a sample of class {last}",
            expected="classes are numbered from 0",
            fix=f"classes that begin with 0 instead of {first}, or {enough}" if first > 0 else enough,
        )
    return _Read(samples, fingerprint, disk, kept)


def _divided(config: Data, samples: Samples) -> Split:
    """Ids of the samples of each split.

    Raises:
        UserError: If one of them stays empty, or lacks a class.
    """
    of = config.split
    parts = split(samples, of.val, of.test, of.seed, of.stratify, config.folds, config.fold or 0)
    if config.subset is None:
        return parts
    return parts._replace(train=subset_of(parts.train, config.subset, len(samples)))


def _with_lists(fingerprint: str, config: Data) -> str:
    """The fingerprint of the data, and of the files of numbers that are read beside them, if there are any."""
    used = (config.subset, config.sample_weights if config.order == "weighted" else None)
    files = [Path(given) for given in used if isinstance(given, str)]
    return of_values(data=fingerprint, lists=of_contents(files)) if files else fingerprint


def _shapes(config: Data, train: Batches, in_order: Batches, as_pictures: Prepare) -> tuple[tuple[int, ...], ...]:
    """The shape of each input after all changes, which are tried out on two samples.

    Raises:
        UserError: If they do not give images of the size that the model is made for.
    """
    tried = {
        "augment": as_pictures(train.first(2), training=True)[0],
        "eval_transforms": as_pictures(in_order.first(2))[0],
    }
    for key, (first, *_) in tried.items():
        got = list(first.shape[2:])
        if first.ndim == 4 and config.image_size is not None and got != list(config.image_size):
            (height, width), loaded = config.image_size, config.load_size or config.image_size
            raise UserError(
                f"data.{key} gives images of {got[0]} x {got[1]}, but data.image_size=[{height},{width}]",
                expected="the size that the model gets, height x width, for training and for evaluation",
                fix=f"data.image_size=[{got[0]},{got[1]}] data.load_size=[{loaded[0]},{loaded[1]}], and "
                "changes to that size in data.augment and data.eval_transforms",
            )
    return tuple(tuple(values.shape[1:]) for values in tried["eval_transforms"])


def _place_of(config: Data) -> str:
    """The file or folder that the samples come from."""
    node = config.source.node()
    return next((str(Path(node[key]).absolute()) for key in ("csv", "root", "images") if node.get(key)), "")


def _cache_root(config: Data) -> Path:
    return default_root() if config.cache_dir is None else Path(config.cache_dir).expanduser()


def _order(config: Data, samples: Samples, indices: Array) -> str | Order:
    if config.order not in ("balanced", "weighted"):
        return config.order
    if config.order == "weighted" and config.sample_weights is not None:
        weights = torch.from_numpy(sample_weights(config.sample_weights, len(samples))[indices])
        return Weighted(weights, config.num_samples, config.replacement)
    if not samples.has_classes:
        raise UserError(f"data.order={config.order}, but the targets are not classes", fix="data.order=random")
    per_class = None if config.order == "balanced" else config.class_weights
    num_classes = config.num_classes or int(samples.classes.max()) + 1
    return class_weighted(samples.classes[indices], per_class, config.num_samples, config.replacement, num_classes)
