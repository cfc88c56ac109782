"""Short names for the settings of sweeps, which Hydra keeps in its own part of the configuration."""

import re
from collections.abc import Sequence

_SHORT = {
    "n_jobs": "hydra.launcher.n_jobs",
    "retries": "hydra.launcher.retries",
    "seeds": "hydra.sweeper.seeds",
    "n_trials": "hydra.sweeper.n_trials",
}
_NAME = re.compile(r"(?P<sign>[+~]*)(?P<name>launcher|sweeper|" + "|".join(_SHORT) + r")(?P<after>[.=].*)")


def written_out(words: Sequence[str]) -> list[str]:
    """Overrides with the names that Hydra has for them.

    ``launcher=slurm`` is ``hydra/launcher=slurm``, ``launcher.time=60`` is ``hydra.launcher.time=60``, and likewise for
    ``sweeper``; ``n_jobs``, ``retries``, ``seeds`` and ``n_trials`` stand alone.
    """
    return [_written_out(word) for word in words]


def _written_out(word: str) -> str:
    match = _NAME.fullmatch(word)
    if match is None:
        return word
    name, after = match["name"], match["after"]
    long = _SHORT.get(name) or f"hydra{'/' if after.startswith('=') else '.'}{name}"
    return f"{match['sign']}{long}{after}"


def shortened(text: str) -> str:
    """A text with the names as they are typed: ``launcher.time`` in place of ``hydra.launcher.time``; paths stay."""
    return re.sub(r"(?<!/)\bhydra[./](?=(launcher|sweeper)\b)", "", text)


def is_of_sweeps(word: str) -> bool:
    """Whether an override, written out, is about how a sweep is made or run."""
    return bool(re.match(r"[+~]*hydra[./](launcher|sweeper)\b", word))
