"""``runner summary``: a model's layers, shapes, parameters and memory, without training."""

from collections.abc import Sequence
from pathlib import Path

USAGE = """usage: runner summary [OVERRIDE...]

Layers, output shapes, parameters, memory and multiply-adds of the model that these overrides compose:
  runner summary model=unet model.levels=4
"""


def main(args: Sequence[str]) -> int:
    """Print the table; give the exit code."""
    if any(word in ("-h", "--help") for word in args):
        print(USAGE, end="")
        return 0
    from runner.config.compose import Composer
    from runner.config.flags import parse
    from runner.config.paths import Places

    flags = parse(args, "summary")
    places = Places.find(flags.config_dir, Path.cwd())
    composed = Composer(places).compose(flags.overrides)
    places.trust(everything=True).make_importable()

    from runner.training.summary import summarise

    print(summarise(composed.config, composed.choices))
    return 0
