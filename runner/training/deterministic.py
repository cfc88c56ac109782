"""What ``device.deterministic=true`` takes on a GPU beside torch's own switch."""

from torch import Tensor, nn

from runner.data.source import Lazy
from runner.errors import UserError
from runner.losses import WeightedSum
from runner.training.divisors import divisor_of


class MeanInOrder(nn.Module):
    """A loss of torch that averages over what counts, summed up in the same order every time.

    Its own mean over the pixels of images adds, on CUDA, in an order that changes from run to run, so torch refuses it
    where it is to be deterministic (``torch.use_deterministic_algorithms``, under ``NLLLoss``).

    Args:
        loss: Averages; it gives the losses of single pixels from now on.
        targets: Those of all samples, as they are stored.
    """

    def __init__(self, loss: nn.CrossEntropyLoss | nn.NLLLoss, targets: Tensor | Lazy) -> None:
        super().__init__()
        self.divisor = divisor_of(loss, targets)
        self.loss = loss
        loss.reduction = "none"

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The mean, of outputs (N, K, ...) and targets that the loss takes."""
        losses: Tensor = self.loss(outputs, targets)  # (N, ...), 0 where nothing counts
        if self.divisor is None or targets.is_floating_point():
            return losses.mean()
        return losses.sum() / self.divisor(targets)


def in_order(loss: nn.Module, targets: Tensor | Lazy) -> nn.Module:
    """A loss, or a sum of losses, of all these targets, whose means are summed up in the same order every time."""
    if isinstance(loss, WeightedSum):
        loss.losses = nn.ModuleDict({name: in_order(term, targets) for name, term in loss.losses.items()})
    if isinstance(loss, nn.CrossEntropyLoss | nn.NLLLoss) and loss.reduction == "mean":
        return MeanInOrder(loss, targets)
    return loss


def not_deterministic(error: BaseException) -> UserError | None:
    """What to tell where torch refuses an operation because it would not give the same bits every time; else None."""
    text = str(error)
    if "deterministic" not in text or "use_deterministic_algorithms" not in text:
        return None
    return UserError(
        "device.deterministic=true, and the model or the loss does what has no deterministic form on this device",
        where=text.partition(", but you set")[0].partition("\n")[0],
        expected="operations that give the same bits every time; torch.use_deterministic_algorithms lists the others",
        fix="another layer, or device.deterministic=false: a run that is resumed then goes on to nearly the same",
    )
