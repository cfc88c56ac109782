"""Changing how runs are launched before they are launched again; what is run stays as it was frozen."""

from collections.abc import Mapping, Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from runner.config.check import mistakes
from runner.config.origin import Origin
from runner.config.paths import Places
from runner.config.sections.launching import AnyLauncher, LauncherOfHydra
from runner.config.shorthand import shortened, written_out
from runner.config.typed import QUOTING, first_line
from runner.errors import UserError, UserErrors

_PREFIX = "hydra.launcher."


def relaunching(record: Mapping[str, Any], overrides: Sequence[str]) -> AnyLauncher:
    """The settings of a launcher, with some of them changed.

    Args:
        record: The settings, as they were recorded.
        overrides: What was typed, such as ``n_jobs=4``.

    Raises:
        UserErrors: If something else is to be changed, or a value is not valid.
    """
    settings = dict(record)
    typed = {}
    for text, long in zip(overrides, written_out(overrides), strict=True):
        key, equals, _ = long.partition("=")
        if not key.startswith(_PREFIX) or not equals:
            raise UserError(
                f"{text}: the runs of a sweep are frozen, and only how they are run can change",
                expected=", ".join(f"launcher.{name}" for name in record if name != "_target_"),
                fix="runner resume RUN changes what may change of one run",
            )
        try:  # not as YAML, for which 10:00:00 is a number
            settings[key.removeprefix(_PREFIX)] = OverridesParser.create().parse_override(long).value()
        except HydraException as error:
            raise UserError(f"{text} cannot be read: {first_line(error)}", fix=QUOTING) from None
        typed[key] = text
    node = {"hydra": {"launcher": settings}}
    errors = mistakes(node, Origin(Places.shipped(), {}, typed), LauncherOfHydra)
    if errors:
        raise UserErrors([error.reworded(shortened) for error in errors])
    return LauncherOfHydra.model_validate(node).hydra.launcher
