"""A small convolutional network for signals: rows of numbers whose order means something."""

from collections.abc import Sequence

from torch import Tensor, nn

from runner.models.activation import make_activation


class ConvNet1d(nn.Sequential):
    """Convolutions along a signal with pooling between them, to logits (N, outputs).

    A signal is (N, C, L), or a row of features (N, L), which is a signal of one channel, or an image, which is read row
    by row. The first convolution takes as many channels as the data have: it is a lazy layer. The averages over the
    whole length of the last block's maps feed one linear layer, so the weights fit every length. Pooling rounds up: at
    length 1, it does nothing.

    Args:
        outputs: Number of logits.
        widths: Maps of each block; every block but the first works at half the length of the one before.
        kernel_size: Of every convolution, an odd number: the length of a signal stays as it is.
        activation: After every convolution, a name of ``activation.ACTIVATIONS``.
        batch_norm: Normalise between convolution and activation.
        dropout: Probability in [0, 1] that an averaged map is dropped in training.
    """

    def __init__(
        self,
        *,
        outputs: int,
        widths: Sequence[int],
        kernel_size: int,
        activation: str,
        batch_norm: bool,
        dropout: float,
    ) -> None:
        super().__init__()
        self.as_signal = AsSignal()
        for number, width in enumerate(widths, start=1):
            if number > 1:
                self.add_module(f"pool{number - 1}", nn.MaxPool1d(2, ceil_mode=True))
            conv = nn.LazyConv1d(width, kernel_size, padding=kernel_size // 2, bias=not batch_norm)
            self.add_module(f"conv{number}", conv)
            if batch_norm:
                self.add_module(f"norm{number}", nn.BatchNorm1d(width))
            self.add_module(f"activation{number}", make_activation(activation))
        self.average = nn.AdaptiveAvgPool1d(1)
        self.flatten = nn.Flatten()
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(widths[-1], outputs)


class AsSignal(nn.Module):
    """Rows (N, L) as signals of one channel, (N, 1, L); images (N, C, H, W) row by row, (N, C, H * W)."""

    def forward(self, values: Tensor) -> Tensor:
        """Signals (N, C, L); signals stay as they are."""
        return values.unsqueeze(1) if values.ndim == 2 else values.flatten(2)
