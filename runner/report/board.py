"""The folder that TensorBoard looks at: a link to each run, and which settings and metrics its HPARAMS tab shows.

A run's own event files name all of its settings, a hundred and more. Those of the comparison are few, and TensorBoard
takes them from an event file above the runs.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.plugins.hparams import summary_v2 as hparams

from runner.report.comparison import Comparison
from runner.report.runs import Found
from runner.report.values import shown
from runner.runs.directory import RunDirectory
from runner.tracking.event_files import EventFiles

_FEW = 12
"""Up to so many values of a setting, each can be chosen by itself."""


def above(folders: Sequence[Path]) -> Path:
    """The folder that the names of runs in some folders start from: the nearest one that has all of them in it."""
    found = [folder.resolve() for folder in folders]
    return Path(os.path.commonpath([one.parent if RunDirectory(one).status_file.is_file() else one for one in found]))


def link(runs: Sequence[Found], top: Path, folder: Path) -> None:
    """Link the event files of each run into a folder, those that are not linked yet; a run without any comes later.

    The links are called as the runs are, with the folders that lead to them from ``top``. It does not depend on which
    runs there are: another name for a run that TensorBoard shows already would be another run to it.
    """
    for path in (run.path.resolve() for run in runs):
        place = folder.joinpath(*(part for part in path.relative_to(top).parts if part != "runs"))
        events = RunDirectory(path).tensorboard.resolve()
        if events.is_dir() and not place.is_symlink():
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(events, target_is_directory=True)


def write_columns(found: Comparison, folder: Path) -> None:
    """Write what the HPARAMS tab is to show; nothing where no setting differs, and it shows all of them."""
    settings = [_hparam(key, [row.values[key] for row in found.rows]) for key in found.keys]
    names = dict.fromkeys([*(objective.metric for objective in found.objectives), *found.metrics])
    metrics = [hparams.Metric(f"final/{name}", display_name=name) for name in names]
    if settings:
        files = EventFiles(folder)
        files.add(Event(summary=hparams.hparams_config_pb(hparams=settings, metrics=metrics)))
        files.close()


def _hparam(key: str, values: Sequence[Any]) -> hparams.HParam:
    there = [value for value in values if value is not None]
    is_of_numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in there)
    if is_of_numbers and len(set(there)) > _FEW:
        return hparams.HParam(key, hparams.RealInterval(float(min(there)), float(max(there))))
    if is_of_numbers:
        return hparams.HParam(key, hparams.Discrete(sorted({float(value) for value in there})))
    return hparams.HParam(key, hparams.Discrete(sorted({shown(value) for value in there}), dtype=str))
