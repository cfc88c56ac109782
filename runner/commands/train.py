"""``runner train``: compose, freeze, execute."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from runner.errors import UserError
from runner.launch.together import as_one, require_one

if TYPE_CHECKING:
    from runner.parallel.meeting import Meeting


def main(args: Sequence[str]) -> int:
    """Train one run, or with ``-m`` a sweep; give the exit code."""
    return as_one(lambda meeting: _train(args, meeting))


def _train(args: Sequence[str], meeting: "Meeting | None") -> int:
    if "--help" in args or "-h" in args:
        from runner.config.help import train_help

        print(train_help(_config_dir(args)))
        return 0

    from runner.config.compose import Composer
    from runner.config.flags import parse
    from runner.config.paths import Places

    flags = parse(args)
    places = Places.find(flags.config_dir, Path.cwd())
    composer = Composer(places)
    if flags.shows_something:
        return composer.show(flags)
    if flags.multirun:
        from runner.launch.sweep import sweep

        require_one(meeting, "a sweep")
        return sweep(composer, flags.overrides, flags.dry_run)

    from runner.launch.single import execute_here, freeze, processes_for
    from runner.training.signals import StopRequest, stop_signals

    composed = composer.compose(flags.overrides)
    stop = StopRequest()
    with stop.listening(*stop_signals()):
        processes_for(composed.config, meeting)
        return execute_here(freeze(composed), places.trust(everything=True), stop, meeting=meeting)


def _config_dir(args: Sequence[str]) -> str | None:
    for number, arg in enumerate(args):
        name, _, value = arg.partition("=")
        if name in ("--config-dir", "-cd"):
            if value:
                return value
            if number + 1 < len(args):
                return args[number + 1]
            raise UserError(f"{name} needs a folder")
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
