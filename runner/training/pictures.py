"""Which pictures a run draws into TensorBoard, and when."""

from dataclasses import dataclass

import torch

from runner.tracking.tensorboard import TensorBoard
from runner.training.metrics import classes
from runner.training.parts import Parts
from runner.training.progress import Progress


@dataclass(frozen=True, slots=True)
class Pictures:
    """What to draw.

    Args:
        images: Sample pictures each time: 0 or more.
        histograms_every: Epochs between two histograms; None = none.
        graph: Whether to draw the model's graph, after the first epoch.
        masks: Whether to draw what a model of masks predicts, after each epoch.
    """

    images: int
    histograms_every: int | None
    graph: bool
    masks: bool = True

    def end_epoch(self, board: TensorBoard, parts: Parts, progress: Progress) -> None:
        """Draw what is due at the end of an epoch. Draws no random number and leaves the model as it was."""
        if progress.epoch == 1:
            if self.graph:
                board.graph(parts.model, parts.sample_inputs())
            if self.images:
                self._inputs(board, parts)
        if self.images and self.masks and parts.task.name == "segmentation":
            self._masks(board, parts, progress)

    def end_training(self, board: TensorBoard, parts: Parts, progress: Progress) -> None:
        """Draw what needs the gradients of the epoch's last update: they are gone after a resume."""
        if self.histograms_every and (progress.epoch + 1) % self.histograms_every == 0:
            board.histograms(parts.model, progress.step)

    def _inputs(self, board: TensorBoard, parts: Parts) -> None:
        """Training images, changed as the first epoch changes them."""
        splits = parts.splits
        images = splits.as_pictures(splits.train.first(self.images), training=True)[0][0]
        if images.ndim == 4:
            board.images("train/inputs", images, 0)

    def _masks(self, board: TensorBoard, parts: Parts, progress: Progress) -> None:
        """Images, true and predicted masks, of validation samples where there are any."""
        splits = parts.splits
        batch = (splits.val or splits.train_in_order).first(min(self.images, 8))
        inputs, targets = splits.prepare(batch)
        parts.evaluated.eval()
        with torch.no_grad(), parts.autocast():
            predicted = classes(parts.evaluated(*inputs))
        pictures = splits.as_pictures(batch)[0][0]
        tag = "val/masks" if splits.val else "train/masks"
        board.masks(tag, pictures, targets, predicted, progress.step, parts.task.outputs)
