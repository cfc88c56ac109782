"""Changing the frozen configuration of a run before it is resumed, as far as that does not change its past."""

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import yaml

from runner import yaml_text
from runner.config.check import as_read, mistakes, unknown_key
from runner.config.fit_device import DEVICE_CHECKS
from runner.config.frozen import frozen
from runner.config.origin import Origin
from runner.config.paths import Places
from runner.config.schema import RunConfig
from runner.config.sections.optimization import OPEN_ENDED
from runner.errors import UserError, UserErrors
from runner.runs.directory import RunDirectory
from runner.runs.files import write_atomic
from runner.runs.rebuild import read_status
from runner.runs.status import Status, now

FREE = (
    "epochs",
    "device",
    "checkpoint",
    "tracking",
    "training.nonfinite",
    "training.test",
    "data.cache",
    "data.cache_dir",
    "data.workers",
    "data.prefetch_factor",
    "data.persistent_workers",
    "data.pin_memory",
    "data.timeout",
    "data.eval_batch_size",
)
"""Settings (or groups of them) that change how a run goes on, but nothing of what it has done."""


def amend(run: RunDirectory, overrides: Sequence[str], accept: Callable[[Mapping[str, Any]], None]) -> None:
    """Set values in ``config.yaml``, and note them in ``overrides.yaml``.

    Args:
        run: A run that no process executes.
        overrides: What was typed: ``epochs=20``.
        accept: Told the whole configuration before it is written; what it raises keeps it from being so.

    Raises:
        UserErrors: If a change contradicts what the run has done already, or is not valid; nothing is written then.
    """
    changed = amended(run, overrides)
    accept(changed)
    record = run.overrides()
    record.setdefault("resumed", []).append({"at": now(), "with": list(overrides)})
    write_atomic(run.overrides_file, yaml_text.dump(record).encode())
    write_atomic(run.config_file, yaml_text.dump(changed).encode())


def amended(run: RunDirectory, overrides: Sequence[str]) -> dict[str, Any]:
    """The configuration of a run with some values changed.

    Raises:
        UserErrors: As ``amend``.
    """
    frozen(run)
    config = run.config()
    origin = Origin(Places.shipped(), run.choices(), {text.partition("=")[0]: text for text in overrides})
    changed, errors = copy.deepcopy(config), []
    begun = _begun(read_status(run)[0])
    for text in overrides:
        key, _, value = text.partition("=")
        if key == "device":
            key = "device.parallel" if value in ("ddp", "fsdp") else "device.kind"
        problem = _refusal(config, key, text, origin, begun)
        if problem:
            errors.append(problem)
        else:
            _set(changed, key.split("."), yaml_text.load(value))
    errors += mistakes(changed, origin)
    if not errors:
        run_config = RunConfig.model_validate(changed)
        errors += [error for check in DEVICE_CHECKS if (error := check(run_config, origin))]
    if errors:
        raise UserErrors(errors)
    return as_read(changed)


def _begun(status: Status) -> int:
    """How many epochs were trained, or begun: one that has begun is always brought to its end."""
    return status.epoch + (status.epoch_seconds > 0)


def _refusal(config: dict[str, Any], key: str, text: str, origin: Origin, begun: int) -> UserError | None:
    if not _is_readable(text):
        return UserError(f"{text} cannot be read", expected="key=value")
    node: Any = config
    path = tuple(key.split("."))
    for depth, part in enumerate(path):
        if not isinstance(node, dict) or part not in node:
            return unknown_key(path[: depth + 1], sorted(node) if isinstance(node, dict) else [], origin)
        node = node[part]
    if not any(key == free or key.startswith(f"{free}.") for free in FREE):
        return UserError(
            f"{text} would change the past: what was trained so far was trained with {key}={node}",
            expected=f"one of {', '.join(FREE)}",
            fix="runner train starts a new run with it",
        )
    if key == "epochs" and config["scheduler"]["_target_"] not in OPEN_ENDED:
        return UserError(
            f"{text} would change the past: the rates of scheduler={origin.choice('scheduler')} so far were on the way "
            f"to epochs={node}, and would jump",
            expected="a scheduler that does not depend on the epochs planned",
            fix="runner train starts a new run with it",
        )
    asked = yaml_text.load(text.partition("=")[2])
    if key == "epochs" and isinstance(asked, int) and 0 < asked < begun:
        return UserError(
            f"{text} would change the past: epoch {begun} is trained, or has begun",
            expected=f"epochs={begun} or more",
            fix="runner train starts a new run with it",
        )
    return None


def _is_readable(text: str) -> bool:
    _, equals, value = text.partition("=")
    try:
        yaml_text.load(value)
    except yaml.YAMLError:
        return False
    return bool(equals)


def _set(config: dict[str, Any], path: Sequence[str], value: Any) -> None:
    for part in path[:-1]:
        config = config[part]
    config[path[-1]] = value
