"""Changing the frozen configuration of a run before it is resumed, as far as that does not change its past."""

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hydra.core.override_parser.types import Override

from runner import yaml_text
from runner.config.check import as_read, mistakes, unknown_key
from runner.config.fit_device import DEVICE_CHECKS
from runner.config.frozen import frozen
from runner.config.origin import Origin
from runner.config.paths import Places
from runner.config.schema import RunConfig
from runner.config.sections.optimization import OPEN_ENDED
from runner.config.typed import read
from runner.errors import UserError, UserErrors, nearest
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

_DEVICES = ("auto", "cpu", "cuda", "mps", "ddp", "fsdp")


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
    found, errors = read(overrides)
    keys = {text: _key(override) for text, override in found.items()}
    origin = Origin(Places.shipped(), run.choices(), {key: text for text, key in keys.items()})
    changed = copy.deepcopy(config)
    begun = _begun(read_status(run))
    for text, override in found.items():
        problem = _refusal(config, keys[text], override, origin)
        if problem:
            errors.append(problem)
        else:
            _set(changed, keys[text].split("."), override.value())
    errors += mistakes(changed, origin)
    if not errors:
        run_config = RunConfig.model_validate(changed)
        if "epochs" in keys.values() and run_config.epochs < begun:
            errors.append(_too_few_epochs(origin.typed["epochs"], begun))
        errors += [error for check in DEVICE_CHECKS if (error := check(run_config, origin))]
    if errors:
        raise UserErrors(errors)
    return as_read(changed)


def _begun(status: Status) -> int:
    """How many epochs were trained, or begun: one that has begun is always brought to its end."""
    return status.epoch + (status.epoch_seconds > 0)


def _key(override: Override) -> str:
    """What an override sets: of the options of a device, only the kind or the way to several processes is free."""
    key, value = override.key_or_group, override.value()
    if key != "device" or isinstance(value, dict):
        return str(key)
    return "device.parallel" if value in ("ddp", "fsdp") else "device.kind"


def _refusal(config: dict[str, Any], key: str, override: Override, origin: Origin) -> UserError | None:
    text = str(override.input_line)
    if override.is_sweep_override():
        return UserError(f"{text} is several values, and a run has one", expected="key=value")
    if override.is_add() or override.is_delete():
        return UserError(f"{text}: a setting of a run is changed, not added or removed", fix=f"{key}=VALUE")
    asked = override.value()
    if override.key_or_group == "device" and not isinstance(asked, dict) and asked not in _DEVICES:
        close = nearest(str(asked), _DEVICES)
        return UserError(
            f"{text}: there is no such device",
            expected=", ".join(_DEVICES),
            nearest=close,
            fix=f"device={close}" if close else None,
        )
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
    return None


def _too_few_epochs(text: str, begun: int) -> UserError:
    return UserError(
        f"{text} would change the past: epoch {begun} is trained, or has begun",
        expected=f"epochs={begun} or more",
        fix="runner train starts a new run with it",
    )


def _set(config: dict[str, Any], path: Sequence[str], value: Any) -> None:
    """Put a value at a path; of a mapping, each of its values at its own."""
    for part in path[:-1]:
        config = config[part]
    if isinstance(value, dict) and isinstance(config[path[-1]], dict):
        for key, inside in value.items():
            config[path[-1]].setdefault(str(key), None)
            _set(config[path[-1]], [str(key)], inside)
    else:
        config[path[-1]] = value
