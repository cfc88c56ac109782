"""What a run shows in TensorBoard."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

from runner.tracking.event_files import EventFiles
from runner.tracking.pictures import Pixels, as_colours, as_rgb, grid

_logger = logging.getLogger(__name__)

_MAX_IMAGES = 16
_MAX_MASKS = 4


class TensorBoard:
    """Writes scalars, pictures, histograms, the model graph and hparams of one run into one folder.

    TensorBoard's modules are imported and the event file is made by the first write. Every write is on disk when it
    returns.

    Args:
        folder: Where the event files lie.
        warn: Told in one sentence what could not be written; nothing here ends a run but a disk that cannot be written.
        check: Called before each write; what it raises prevents that.
    """

    def __init__(
        self,
        folder: Path,
        warn: Callable[[str], object] = _logger.warning,
        check: Callable[[], object] = lambda: None,
    ) -> None:
        self._files = EventFiles(folder)
        self._check = check
        self._warn = warn
        self._skipped: set[str] = set()

    def scalars(self, values: Mapping[str, float], step: int, at: float | None = None) -> None:
        """Write one point of every named curve, as of a time of day in seconds since 1970; None: now."""
        from runner.tracking import summaries

        if values:
            self._add(summaries.scalars(values), step, at)

    def images(self, tag: str, images: Tensor, step: int) -> None:
        """Write the first 16 images (N, C, H, W), uint8 or floats in 0..1, as one near-square picture."""
        self._picture(tag, as_rgb(images[:_MAX_IMAGES]), None, step)

    def masks(self, tag: str, images: Tensor, truth: Tensor, predicted: Tensor, step: int, num_classes: int) -> None:
        """Write the first 4 images with their masks as one picture: a row of images, of true and of predicted masks.

        Args:
            tag: Under which name it is shown.
            images: (N, C, H, W), uint8 or floats in 0..1.
            truth: (N, H, W), the class of each pixel; what is no class is shown in grey.
            predicted: (N, H, W), likewise.
            step: When.
            num_classes: How many classes there are, the background (0, shown in black) among them.
        """
        num = min(len(images), _MAX_MASKS)
        rows = [
            as_rgb(images[:num]),
            as_colours(truth[:num], num_classes),
            as_colours(predicted[:num], num_classes),
        ]
        self._picture(tag, np.concatenate(rows), num, step)

    def histograms(self, model: nn.Module, step: int) -> None:
        """Write how the values of every parameter, and of its gradient if it has one, are spread.

        A tensor that is empty or not finite is left out, with one warning a tensor.
        """
        from runner.tracking import summaries

        for name, parameter in model.named_parameters():
            tensors = {f"parameters/{name}": parameter, f"gradients/{name}": parameter.grad}
            for tag, tensor in tensors.items():
                if tensor is None:
                    continue
                event = summaries.histogram(tag, tensor)
                if event is not None:
                    self._add(event, step)
                elif tag not in self._skipped:
                    self._skipped.add(tag)
                    reason = "holds values that are not finite" if tensor.numel() else "is empty"
                    self._warn(f"no histogram of {tag} at step {step}: it {reason}")

    def graph(self, model: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        """Write what the model computes from a batch; a model that cannot be traced costs a warning, nothing more."""
        from runner.tracking import summaries

        try:
            event = summaries.graph(model, inputs)
        except Exception as error:  # the tracer runs the user's code: anything can come out of it
            reason = str(error).strip().partition("\n")[0]
            self._warn(f"no model graph in TensorBoard: {type(error).__name__}: {reason}")
            return
        self._add(event)

    def hparams(self, config: Mapping[str, Any], metrics: Mapping[str, float], step: int = 0) -> None:
        """Make the run a row of TensorBoard's HPARAMS tab, next to its own curves.

        Args:
            config: Settings by dotted name; what is neither number nor text is shown as JSON.
            metrics: Final values by tag; each is also written as a scalar, so give tags that no curve has
                (``final/accuracy``).
            step: When.
        """
        from runner.tracking import summaries

        for event in summaries.hparams(config, metrics):
            self._add(event, step)

    def position(self) -> dict[str, int]:
        """Where the event files stand, for a checkpoint."""
        return self._files.position()

    def rewind(self, position: Mapping[str, int]) -> None:
        """Go back to where the files stood at a checkpoint (``{}``: before the first event)."""
        for name in self._files.rewind(position):
            self._warn(f"TensorBoard's {name} is shorter than at the checkpoint: curves have a gap")

    def close(self) -> None:
        """Close the event file; a later write starts another one."""
        self._files.close()

    def _add(self, event: Any, step: int | None = None, at: float | None = None) -> None:
        self._check()
        self._files.add(event, step, at)

    def _picture(self, tag: str, images: Pixels, num_columns: int | None, step: int) -> None:
        from runner.tracking import summaries

        if len(images):
            self._add(summaries.image(tag, grid(images, num_columns)), step)
