"""Run directories and sweeps as training leaves them, made without training."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from runner import yaml_text
from runner.runs.status import Status
from runner.runs.sweep_directory import SweepDirectory, SweepRecord

CONFIG: dict[str, Any] = {
    "model": {"_target_": "runner.models.mlp.MLP", "hidden": [512, 512], "dropout": 0.0},
    "data": {"batch_size": 64, "workers": 0, "split": {"val": 0.15}},
    "optimizer": {"_target_": "torch.optim.Adam", "lr": 0.001},
    "regularization": {"l2": None, "ema": {"decay": None}},
    "tracking": {"graph": True},
    "init": {},
    "name": "mlp-digits",
    "seed": 0,
    "epochs": 10,
    "output_root": "outputs",
}
CHOICES: dict[str, Any] = {
    "experiment": None,
    "model": "mlp",
    "data": "digits",
    "optimizer": "adam",
    "regularization": ["none"],
}


def changed(config: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration with other values of settings, by dotted name."""
    copy: dict[str, Any] = json.loads(json.dumps(config))
    for key, value in settings.items():
        *above, last = key.split(".")
        node = copy
        for name in above:
            node = node[name]
        node[last] = value
    return copy


def make_run(
    folder: Path,
    settings: Mapping[str, Any] | None = None,
    *,
    choices: Mapping[str, Any] | None = None,
    typed: Sequence[str] | None = None,
    rows: Sequence[Mapping[str, Any]] = (),
    provenance: Mapping[str, Any] | None = None,
    **status: Any,
) -> Path:
    """A run directory whose settings, unless it is said otherwise, were typed."""
    settings = settings or {}
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml_text.dump(changed(CONFIG, settings)))
    if typed is None:
        typed = [f"{key}={value}" for key, value in {**(choices or {}), **settings}.items()]
    overrides = {"typed": list(typed), "choices": {**CHOICES, **(choices or {})}}
    (folder / "overrides.yaml").write_text(yaml_text.dump(overrides))
    (folder / "provenance.json").write_text(json.dumps({"git": None, "executions": [], **(provenance or {})}))
    known: dict[str, Any] = {"state": "completed", "epoch": 10, "epochs": 10, "monitor": "val/accuracy"}
    known |= {"direction": "maximize", "created": "2026-11-20T13:20:33+00:00", "seconds": 1.5, "executions": 1}
    Status(**(known | status)).write(folder / "status.json")
    if rows:
        names = list(rows[0])
        lines = [",".join(names), *(",".join(str(row.get(name, "")) for name in names) for row in rows)]
        (folder / "metrics.csv").write_text("\n".join(lines) + "\n")
    return folder


def make_sweep(folder: Path, keys: Sequence[str], planned: int, **sweeper: Any) -> SweepDirectory:
    """A sweep directory without runs."""
    sweep = SweepDirectory(folder)
    sweep.runs_folder.mkdir(parents=True)
    record = SweepRecord(
        created="2026-11-20T13:20:33+00:00",
        typed=[f"{key}=..." for key in keys],
        keys=list(keys),
        planned=planned,
        points=None,
        threads=1,
        sweeper=sweeper,
    )
    sweep.write(record)
    return sweep
