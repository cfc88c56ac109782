"""What the model of a run takes and gives, so that it can be fed without the data that it was trained on.

It is in ``signature.json`` of the run directory. Shapes are those of one sample, without the axis of the batch.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from runner.errors import UserError
from runner.runs.files import as_json, write_atomic
from runner.typed import typed

_DTYPES = ("uint8", "uint16", "int64", "float32")


@dataclass(frozen=True, slots=True)
class Values:
    """An array of a sample."""

    shape: tuple[int, ...]
    """(C, H, W) of an image, (C, L) of a signal, (F,) of features, () of a class or a single value."""
    dtype: str
    """As NumPy and torch call it, such as ``uint8``."""


@dataclass(frozen=True, slots=True)
class Signature:
    """What a model takes and gives."""

    task: str
    outputs: int
    """Logits or values for each sample; channels of the output where there is one for each pixel."""
    inputs: tuple[Values, ...]
    """As the model takes them."""
    stored: tuple[Values, ...]
    """The same inputs as they come from the data, before ``data.eval_transforms`` and normalisation."""
    target: Values
    """As it comes from the data."""
    normalize: dict[str, list[float]] | None
    """``mean`` and ``std`` for each channel of the first input, on the scale of 0 to 1 for images; None: left alone."""
    class_names: tuple[str, ...]
    """By number; empty where classes have none."""
    mask_values: tuple[int, ...]
    """What stands for each class in files of masks; empty where the numbers of the classes do."""
    columns: tuple[tuple[str, ...], ...]
    """For each input the columns of a table that it comes from, none for others; empty where no input does."""

    def note(self, path: Path) -> None:
        """Write it, unless the file says so already."""
        content = as_json(asdict(self))
        if not path.is_file() or path.read_bytes() != content:
            write_atomic(path, content, durable=False)  # it is written anew whenever the run goes on

    @classmethod
    def read(cls, path: Path) -> "Signature":
        """The signature in a file.

        Raises:
            UserError: If there is none, or it is damaged.
        """
        try:
            return cls._of(json.loads(path.read_text()))
        except FileNotFoundError:
            raise UserError(
                f"{path.parent} has no {path.name}, which says what its model takes and gives",
                expected="a run that has been trained",
                fix=f"{typed('runner', 'resume', path.parent)} writes it as the run goes on",
            ) from None
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"{path} is damaged: {error}",
                fix=f"delete it; {typed('runner', 'reproduce', path.parent)} trains the run anew",
            ) from None

    @classmethod
    def _of(cls, found: dict[str, Any]) -> "Signature":
        def values(entry: dict[str, Any]) -> Values:
            if entry["dtype"] not in _DTYPES:
                raise ValueError(f"{entry['dtype']} is none of {', '.join(_DTYPES)}")
            return Values(tuple(map(int, entry["shape"])), entry["dtype"])

        normalize = found["normalize"]
        return cls(
            task=str(found["task"]),
            outputs=int(found["outputs"]),
            inputs=tuple(map(values, found["inputs"])),
            stored=tuple(map(values, found["stored"])),
            target=values(found["target"]),
            normalize=normalize and {key: [float(number) for number in normalize[key]] for key in ("mean", "std")},
            class_names=tuple(map(str, found["class_names"])),
            mask_values=tuple(map(int, found["mask_values"])),
            columns=tuple(tuple(map(str, names)) for names in found.get("columns", ())),  # older runs have none
        )

    def names(self) -> tuple[str, ...]:
        """What to call each class, label or value: its name, or else its number."""
        count = 2 if self.task == "binary" else self.outputs
        return self.class_names if len(self.class_names) == count else tuple(map(str, range(count)))
