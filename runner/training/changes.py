"""What the configuration says is done to samples, between the store and the model."""

from typing import Literal, NamedTuple

from runner.build import build
from runner.config.sections.data import Data
from runner.data.augment import Augmentation
from runner.data.loader import Change
from runner.data.transforms import Collated, PerSample, is_torchvision
from runner.errors import UserError


class Changes(NamedTuple):
    """What happens to samples between the store and the model."""

    where_made: tuple[Change, ...]
    """Where a batch is made, by a worker if there are any."""
    on_device: tuple[Augmentation, ...]


def changes_of(config: Data, key: Literal["augment", "eval_transforms"], seed: int) -> Changes:
    """What a list of changes, and ``data.collate``, come to.

    Raises:
        UserError: If a transform of torchvision comes after one that works on whole batches.
    """
    named = f"data.{key}"
    built = [build(node.node(), key=f"{named}.{number}") for number, node in enumerate(getattr(config, key))]
    of_torchvision = [is_torchvision(change) for change in built]
    count = sum(of_torchvision)
    if any(of_torchvision[count:]):
        late = built[len(built) - 1 - of_torchvision[::-1].index(True)]
        raise UserError(
            f"{named}: torchvision's {type(late).__name__} comes after a change of whole batches",
            expected="torchvision's first: they are applied where a batch is made, the others on the device",
        )
    where_made: list[Change] = [PerSample(built[:count], seed, named)] if count else []
    if config.collate is not None:
        where_made.append(Collated(build(config.collate.node(), key="data.collate")))
    return Changes(tuple(where_made), tuple(built[count:]))
