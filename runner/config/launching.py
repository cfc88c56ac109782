"""How a sweep is to be made and run: the settings below ``hydra.sweeper`` and ``hydra.launcher``, checked."""

from collections.abc import Mapping, Sequence
from typing import Any

from hydra.core.object_type import ObjectType
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from runner.config.check import mistakes
from runner.config.compose import Composer
from runner.config.origin import Origin
from runner.config.search import CONFIG_NAME
from runner.config.sections.launching import Launching, OfHydra, SlurmLauncher
from runner.config.shorthand import is_of_sweeps, shortened
from runner.config.typed import by_key, read
from runner.errors import UserError, UserErrors, nearest

_OURS = "hydra_plugins.runner_plugins."


def launching(composer: Composer, typed: Sequence[str]) -> Launching:
    """The settings of a sweep.

    Args:
        composer: Of the command.
        typed: All overrides, those of the runs too: an experiment may bring a sweeper with its settings.

    Raises:
        UserErrors: If a setting is wrong, or names a launcher or sweeper that cannot run what this program runs.
    """
    about_sweeps = [text for text in typed if is_of_sweeps(text)]
    # Without values of the runs, which decide nothing here: a sweep over models may set what the default model has not.
    deciding = [text for text in typed if _key(text).startswith("hydra") or composer.files.is_group(_key(text))]
    try:
        composed = composer.files.loader.load_configuration(CONFIG_NAME, overrides=deciding, run_mode=RunMode.MULTIRUN)
        found = OmegaConf.to_container(composed.hydra, resolve=False)
    except (HydraException, OmegaConfBaseException) as error:
        overrides, errors = read(typed)
        if not errors:
            wrong_option = _wrong_option(composer, about_sweeps)
            fixed = [text for text, override in overrides.items() if not override.is_sweep_override()]
            errors = [wrong_option] if wrong_option else list(composer.explained(fixed, error).errors)
        raise UserErrors([one.reworded(shortened) for one in errors]) from None
    assert isinstance(found, dict)
    settings = {"hydra": {key: found[key] for key in ("launcher", "sweeper")}}
    errors = _foreign(settings["hydra"], composer)
    if not errors:
        chosen = OmegaConf.to_container(composed.hydra.runtime.choices)
        assert isinstance(chosen, dict)
        choices = {str(group): option for group, option in chosen.items()}
        errors = mistakes(settings, Origin(composer.places, choices, by_key(about_sweeps)), OfHydra)
    if errors:
        raise UserErrors([one.reworded(shortened) for one in errors])
    return OfHydra.model_validate(settings).hydra


def _key(text: str) -> str:
    return text.partition("=")[0].lstrip("+~").partition("@")[0]


def slurm_launcher(composer: Composer, typed: Sequence[str]) -> SlurmLauncher:
    """The settings of a job: those of ``launcher=slurm``, unless another launcher for Slurm is chosen.

    Args:
        composer: Of the command.
        typed: All overrides, those of the run too.

    Raises:
        UserErrors: If a setting is wrong, or what was chosen does not submit to Slurm.
    """
    chosen = next((text for text in typed if text.partition("=")[0].lstrip("+") == "hydra/launcher"), None)
    found = launching(composer, typed if chosen else ["hydra/launcher=slurm", *typed]).launcher
    if not isinstance(found, SlurmLauncher):
        raise UserError(
            f"{shortened(chosen or '')} does not submit to Slurm",
            expected="slurm, or a launcher of your own with `defaults: [slurm]`",
            fix="leave it out",
        )
    return found


def options(composer: Composer, group: str) -> list[str]:
    """The names of all launchers, or of all sweepers: ``group`` is one of the two."""
    found = composer.files.loader.get_group_options(f"hydra/{group}", ObjectType.CONFIG, CONFIG_NAME)
    return [option for option in found if option != "basic"]


def _wrong_option(composer: Composer, about_sweeps: Sequence[str]) -> UserError | None:
    for text in about_sweeps:
        key, _, option = text.partition("=")
        group = key.lstrip("+~").removeprefix("hydra/")
        if group in ("launcher", "sweeper") and option not in (known := options(composer, group)):
            close = nearest(option, known)
            return UserError(
                f"{text}: there is no such {group}",
                expected=", ".join(known),
                nearest=close,
                fix=f"{group}={close}" if close else None,
            )
    return None


def _foreign(settings: Mapping[str, Any], composer: Composer) -> list[UserError]:
    """What is wrong with plugins of others: they know nothing of run directories."""
    return [
        UserError(
            f"hydra.{group}._target_: {node.get('_target_')} does not know the run directories of this program",
            expected=f"one of {', '.join(options(composer, group))}",
            fix=f"{group}={'local' if group == 'launcher' else 'grid'}",
        )
        for group, node in settings.items()
        if not str(node.get("_target_")).startswith(_OURS)
    ]
