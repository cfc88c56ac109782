"""CSV files whose rows are samples to be predicted: files that they name, and numbers that stand in them."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.data.confine import Root
from runner.data.files import with_extension
from runner.data.table import Column, Table
from runner.deploy.array_rows import ArrayFiles
from runner.deploy.items import FileInTable, Item, Numbers, Part
from runner.errors import UserError, listing
from runner.runs.signature import Values

_FILE_COLUMNS = ("image", "file", "path", "filename", "signal", "array")
"""What the column of file names is called, where the run does not say."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What the source of a run calls the inputs of a sample, and how its CSV files are read."""

    input_names: tuple[str | int, ...]
    """Names of arrays, in the order of the inputs; empty where the source has none."""
    image_column: Column | None
    feature_columns: tuple[Column, ...]
    """Columns of numbers; empty where there are none, or where all but the label are meant."""
    trained_columns: tuple[str, ...]
    """Those that the run found then."""
    label_columns: tuple[Column, ...]
    others: tuple[str, ...]
    """Names of arrays that are no inputs."""
    delimiter: str
    header: bool
    extension: str | None

    @classmethod
    def of(cls, known: dict[str, Any], trained: Sequence[Sequence[str]]) -> "Layout":
        """That of the settings of a source, as of ``Trained``, whose inputs were trained on these columns."""
        inputs = known.get("inputs") or []
        is_table = str(known.get("file", "")).lower().endswith(".csv")
        columns = [column for one in inputs if isinstance(one, list) or is_table for column in _columns(one)]
        label = known.get("label")
        return cls(
            input_names=() if is_table else tuple(one["name"] if isinstance(one, dict) else one for one in inputs),
            image_column=known.get("image_column"),
            feature_columns=tuple(known.get("feature_columns") or columns),
            trained_columns=tuple(column for names in trained for column in names),
            label_columns=tuple(_columns(label)),
            others=tuple(str(name) for name in (*_columns(label), known.get("split")) if name is not None),
            delimiter=known.get("delimiter", ","),
            header=known.get("header", True),
            extension=known.get("extension"),
        )


def _columns(entry: Any) -> list[Column]:
    """The columns, or the name of the array, in an entry of the configuration."""
    if entry is None:
        return []
    return entry if isinstance(entry, list) else [entry["name"] if isinstance(entry, dict) else entry]


def rows_of(path: Path, stored: Sequence[Values], layout: Layout, files: ArrayFiles) -> Iterator[Item]:
    """The rows of a CSV file.

    Args:
        path: The file; what it names starts from its folder.
        stored: The inputs of a sample, as the run was trained on them.
        layout: What the columns are called.
        files: Opens the arrays that it names.

    Raises:
        UserError: If it has not the columns that it takes.
    """
    table = Table({"": path}, layout.delimiter, layout.header, {"": "INPUT"})
    table.check()
    named = _file_columns(table.titles, stored, layout, path)
    counts = [0 if column is not None else one.shape[0] for one, column in zip(stored, named, strict=True)]
    numbers = _feature_columns(table.titles, path, sum(counts), named, layout)
    of_files = [one for one in named if one is not None]
    root = Root(path.parent)
    if table.header:
        _require_header(table, path, of_files, layout)
    rows = table.read({"a column of files": of_files, "features": numbers})
    num_files = len(of_files)
    for number, cells in enumerate(rows.cells, start=1):
        names = [with_extension(cell, layout.extension) for cell in cells[:num_files]]
        first = names[0] if names else None
        left = iter(cells[num_files:])
        files_left = iter(names)
        parts: list[Part] = [
            Numbers(tuple(next(left) for _ in range(count)))
            if column is None
            else FileInTable(root, next(files_left), files)
            for column, count in zip(named, counts, strict=True)
        ]
        yield Item(first or f"{path}:{number}", first or "", tuple(parts))


def _require_header(table: Table, path: Path, columns: Sequence[Column], layout: Layout) -> None:
    """Refuse to take the first sample for names of columns, where its file is there under that name."""
    for position in table.positions({"a column of files": columns}):
        title = table.titles[position]
        with suppress(ValueError):
            Root(path.parent).file(with_extension(title, layout.extension))
            raise UserError(
                f"{path}: the first row is to name the columns, but {title} in it is a file",
                expected="a row such as image before the first sample, as the tables of the run have it",
            )


def _file_columns(titles: Sequence[str], stored: Sequence[Values], layout: Layout, path: Path) -> list[Column | None]:
    """For each input the column that names its files; None for rows of numbers that stand in the table themselves."""
    found: list[Column | None] = []
    wanted = [position for position, one in enumerate(stored) if len(one.shape) > 1]
    for position, one in enumerate(stored):
        own = layout.input_names[position] if position < len(layout.input_names) else None
        if own in titles and one.shape != (1,):  # a single number stands in the column itself
            found.append(own)
        elif position not in wanted:
            found.append(None)
        elif len(wanted) == 1:
            found.append(_usual_column(titles, layout.image_column))
        else:
            raise UserError(
                f"{path} has no column of files for input {position + 1} of the model",
                expected=f"columns called {listing(layout.input_names)}" if layout.input_names else "an array file",
            )
    return found


def _usual_column(titles: Sequence[str], trained: Column | None) -> Column:
    """That of the run's own tables where this one has it, one with a usual name, or the first."""
    if trained is not None and (trained in titles or (isinstance(trained, int) and trained > 0)):
        return trained
    return next((title for title in titles if title.lower() in _FILE_COLUMNS), 0)


def _feature_columns(
    titles: Sequence[str], path: Path, count: int, named: Sequence[Column | None], layout: Layout
) -> Sequence[Column]:
    """The columns of the numbers, for all inputs that are rows of them."""
    if not count:
        return []
    if len(layout.feature_columns) == count:
        return layout.feature_columns
    trained = layout.trained_columns
    if len(trained) == len(set(trained)) == count and set(trained) <= set(titles):
        return trained  # in whatever order they stand here
    taken = {str(column) for column in (*layout.label_columns, *named) if column is not None}
    left = [number for number, title in enumerate(titles) if title not in taken and str(number) not in taken]
    if len(left) == count + 1 and not layout.label_columns:  # the label of a table is its last column by default
        left = left[:-1]
    if len(left) != count:
        raise UserError(
            f"{path} has {len(left)} columns of numbers, the run was trained on {count}",
            expected=f"the columns that it was trained on, in their order; found: {listing(titles)}",
        )
    return left
