"""Changing how a sweep is run before it is resumed; what is run stays as it was frozen."""

from collections.abc import Mapping, Sequence
from typing import Any

from runner import yaml_text
from runner.config.check import mistakes
from runner.config.origin import Origin
from runner.config.paths import Places, shipped_conf
from runner.config.sections.launching import AnyLauncher, OfHydra
from runner.config.shorthand import written_out
from runner.errors import UserError, UserErrors

_PREFIX = "hydra.launcher."


def relaunching(record: Mapping[str, Any], sweeper: Mapping[str, Any], overrides: Sequence[str]) -> AnyLauncher:
    """The settings of the launcher that a sweep was run with, with some of them changed.

    Args:
        record: Of the launcher, as the sweep's record has it.
        sweeper: Likewise; it cannot be changed.
        overrides: What was typed, such as ``n_jobs=4``.

    Raises:
        UserErrors: If something else is to be changed, or a value is not valid.
    """
    settings = dict(record)
    typed = {}
    for text, long in zip(overrides, written_out(overrides), strict=True):
        key, equals, value = long.partition("=")
        if not key.startswith(_PREFIX) or not equals:
            raise UserError(
                f"{text}: the runs of a sweep are frozen, and only how they are run can change",
                expected=", ".join(f"launcher.{name}" for name in record if name != "_target_"),
                fix="runner resume RUN changes what may change of one run",
            )
        settings[key.removeprefix(_PREFIX)] = yaml_text.load(value)
        typed[key] = text
    node = {"hydra": {"launcher": settings, "sweeper": dict(sweeper)}}
    errors = mistakes(node, Origin(Places((shipped_conf(),), ()), {}, typed), OfHydra)
    if errors:
        raise UserErrors(errors)
    return OfHydra.model_validate(node).hydra.launcher
